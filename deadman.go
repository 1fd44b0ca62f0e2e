package selfheal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/schedule"
)

const (
	defaultSign = time.Minute
	signTimeout = 10 * time.Second
)

// heart gives the signs of life of Options.DeadMan. A look of the scheduler asks
// for one through the inbox of the loop, and the loop gives it when it has taken
// that in: where any of them stands still, there is none.
type heart struct {
	s     *Supervisor
	task  schedule.Task
	to    string // the name of DeadMan.To
	asked atomic.Bool
	busy  atomic.Bool

	mu     sync.Mutex
	cancel context.CancelFunc // of the sign under way
	ended  bool
	last   time.Time
	fails  string
}

// newHeart returns nil where there is no dead man's switch, or none that could
// work. No lock may be held.
func newHeart(s *Supervisor) *heart {
	d := s.o.DeadMan
	if !d.On() || len(d.Validate()) > 0 {
		return nil
	}
	h := &heart{s: s}
	if d.To != nil {
		h.to = s.policy.name(d.To)
	}
	every := d.Every
	if every == 0 {
		every = defaultSign
	}
	h.task.Name, h.task.Every, h.task.Timeout, h.task.Phase = incident.Self+"/dead-man", every, min(every, signTimeout), -1
	h.task.Owner = &entry{s: s} // what every task of this scheduler has
	h.task.Run = func(context.Context, *schedule.Task, time.Time) {
		h.asked.Store(true)
		s.post(incident.Input{Kind: incident.InTick})
	}
	return h
}

// turned says that the loop has turned. Only the loop calls it.
func (h *heart) turned() {
	if h == nil || !h.asked.Swap(false) || !h.busy.CompareAndSwap(false, true) {
		return
	}
	h.s.calls.start(&call{
		where: "the dead man's switch", timeout: h.task.Timeout, f: h.sign, late: func() { h.busy.Store(false) },
		done: func(err error, abandoned bool) {
			h.gave(err)
			if !abandoned {
				h.busy.Store(false)
			}
			h.s.poke() // a shutdown may wait for the end of the call
		},
		stuck: func() { h.s.abandoned("the dead man's switch") },
	})
}

func (h *heart) sign(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return nil
	}
	h.cancel = cancel
	h.mu.Unlock()
	d := h.s.o.DeadMan
	var errs []error
	if d.URL != "" {
		errs = append(errs, d.Ping(ctx))
	}
	if h.to != "" {
		errs = append(errs, h.s.outbox.Once(ctx, h.to, h.alert()))
	}
	return errors.Join(errs...)
}

// alert always fires: it is bad news only when it ends.
func (h *heart) alert() escalate.Notification {
	now, service := time.Now(), h.s.o.Service
	key := incident.Self + "/dead-man"
	if service != "" {
		key = service + "/" + key
	}
	return escalate.Notification{
		DedupKey: key, Kind: escalate.Trigger, At: now,
		Note: "this alert always fires; act when it stops",
		Incident: escalate.Incident{
			ID: key, Watch: incident.Self, Service: service, State: escalate.Watching, Opened: h.s.born,
			Finding: detect.Finding{Key: "dead-man", Summary: "the supervisor is alive: this always fires, and is bad news only when it stops"},
		},
	}
}

// gave takes in how a sign went.
func (h *heart) gave(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.mu.Lock()
	was := h.fails
	if h.ended {
		h.mu.Unlock()
		return
	}
	if h.fails = text; err == nil {
		h.last = time.Now()
	}
	h.mu.Unlock()
	switch {
	case text != "" && was == "":
		h.s.logger().Error("selfheal: the dead man's switch could not be told that all is well", "error", text)
	case text == "" && was != "":
		h.s.logger().Info("selfheal: the dead man's switch is told again")
	}
}

// stop ends the sign under way: nobody waits for it at shutdown.
func (h *heart) stop() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.cancel != nil {
		h.cancel()
	}
}

func (h *heart) status() *DeadManStatus {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &DeadManStatus{Last: h.last, Error: h.fails}
}
