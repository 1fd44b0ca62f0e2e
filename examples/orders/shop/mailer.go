package shop

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Mailer mails confirmations, each on a goroutine of its own. One more goroutine
// takes note of what was sent.
type Mailer struct {
	limit      int
	goroutines atomic.Int64
	confirmed  atomic.Int64

	mu   sync.Mutex
	life *mailerLife
}

// mailerLife is what a restart replaces.
type mailerLife struct {
	ctx  context.Context
	end  context.CancelFunc
	all  sync.WaitGroup
	sent chan string
}

// NewMailer returns a mailer that runs from Start to Stop.
func NewMailer(c Config) *Mailer { return &Mailer{limit: c.MailerLimit} }

// Start begins to take note of what is sent.
func (m *Mailer) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life = m.begin()
}

func (m *Mailer) begin() *mailerLife {
	l := &mailerLife{sent: make(chan string)}
	l.ctx, l.end = context.WithCancel(context.Background())
	m.spawn(l, func() { m.takeNote(l) })
	return l
}

func (m *Mailer) spawn(l *mailerLife, f func()) {
	m.goroutines.Add(1)
	l.all.Add(1)
	go func() {
		defer l.all.Done()
		defer m.goroutines.Add(-1)
		f()
	}()
}

// Confirm mails a confirmation, soon.
func (m *Mailer) Confirm(o Order) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.life
	m.spawn(l, func() { m.send(l, o.Customer) })
}

func (m *Mailer) send(l *mailerLife, to string) {
	// Here a real one would talk to a mail server.
	select {
	case l.sent <- to:
	case <-l.ctx.Done():
	}
}

// takeNote has a bug: one bad address, and it returns instead of going on. From
// then on nobody receives, and each order leaves a goroutine behind in send.
func (m *Mailer) takeNote(l *mailerLife) {
	for {
		select {
		case <-l.ctx.Done():
			return
		case to := <-l.sent:
			if !strings.Contains(to, "@") {
				return
			}
			m.confirmed.Add(1)
		}
	}
}

// Restart ends everything that belongs to the mailer, waits until it is gone, and
// begins anew.
func (m *Mailer) Restart(ctx context.Context, _ remediate.Request) error {
	m.mu.Lock()
	old := m.life
	m.life = m.begin()
	m.mu.Unlock()
	return old.stop(ctx)
}

// Stop ends the mailer.
func (m *Mailer) Stop(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life.stop(ctx)
}

func (l *mailerLife) stop(ctx context.Context) error {
	l.end()
	gone := make(chan struct{})
	go func() {
		l.all.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Goroutines is how many of them are the mailer's.
func (m *Mailer) Goroutines(context.Context) (int64, error) { return m.goroutines.Load(), nil }

// Confirmed is how many mails were noted as sent.
func (m *Mailer) Confirmed() int64 { return m.confirmed.Load() }

// Healing watches how many goroutines the mailer has. A restart loses notes about
// mails that were sent and nothing else, so it leaves nothing to put back.
func (m *Mailer) Healing() selfheal.Watch {
	limit := int64(m.limit)
	return selfheal.Watch{
		Name:     "orders/mailer",
		Detector: detect.Above(m.Goroutines, limit).ClearBelow(limit / 2).Unit("goroutines"),
		For:      time.Minute,
		KeepFor:  3 * time.Minute,
		Playbook: remediate.Ladder(
			remediate.Step{Name: "restart-mailer", Run: m.Restart, Lasting: true, Settle: time.Minute},
		),
	}
}
