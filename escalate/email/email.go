package email

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A Notifier sends mail. It is safe for concurrent use: each delivery has a
// connection of its own, which it closes before it returns.
type Notifier struct {
	*settings // by pointer: fmt asks no method of what is in an unexported field
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	told  map[string]map[string]bool // by notification, who has it while others were put off
	order []string                   // of told, the oldest first
}

// mostTold bounds how many notifications are remembered that only some have.
// Beyond it a recipient may get a second copy, under the same Message-ID.
const mostTold = 256

// New makes a notifier. It returns all mistakes of the configuration, joined, and
// calls nobody.
func New(c Config) (*Notifier, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	return &Notifier{settings: s, dial: new(net.Dialer).DialContext, told: map[string]map[string]bool{}}, nil
}

// String is the server and the recipients: nothing that is secret.
func (n *Notifier) String() string {
	if n == nil || n.settings == nil {
		return "email"
	}
	return fmt.Sprintf("email to %d by %s", len(n.to), n.addr)
}

// Format makes every verb say what String does: the fields hold the password.
func (n *Notifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(n.String())) }

// LogValue makes a log say what String does.
func (n *Notifier) LogValue() slog.Value { return slog.StringValue(n.String()) }

// Notify sends the notification to all recipients that do not have it yet. nil
// means that the server has taken it for each, or refused some of them for good
// while others have it.
//
// An error is an [*escalate.Failure]: Permanent after replies of 5yz and where
// only another configuration would help. It wraps an [*Error] with the reply, if
// there was one, or the cause of the end of ctx. It holds no password.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.settings == nil {
		return escalate.Permanent(errors.New("email: this notifier was not made by New: make it so"))
	}
	if n.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, n.timeout,
			fmt.Errorf("nothing within %v: check the server, or raise Timeout: %w", n.timeout, context.DeadlineExceeded))
		defer cancel()
	}
	d := &delivery{Notifier: n, ctx: ctx}
	key := m.DedupKey + "\x00" + m.ID
	missing := n.missing(key)
	d.run(m, missing)
	if d.err != nil {
		return d.err
	}
	if len(d.later) > 0 {
		n.remember(key, d.taken)
		have := len(n.to) - len(d.later) - len(d.never)
		return failure(fmt.Errorf("email %s: %d of %d recipients have it: %w", n.addr, have, len(n.to), refusals(append(d.later, d.never...))), false)
	}
	n.forget(key)
	if len(d.never) > 0 {
		log := n.log
		if log == nil {
			log = slog.Default()
		}
		log.Warn("recipients of a notification were refused for good: correct the list, or their mailboxes",
			"server", n.addr, "notification", m.ID, "error", refusals(d.never).Error())
	}
	return nil
}

// missing are the recipients that do not have it yet.
func (n *Notifier) missing(key string) []*mail.Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []*mail.Address
	for _, to := range n.to {
		if !n.told[key][to.Address] {
			list = append(list, to)
		}
	}
	return list
}

func (n *Notifier) remember(key string, taken []*mail.Address) {
	n.mu.Lock()
	defer n.mu.Unlock()
	has := n.told[key]
	if has == nil {
		if len(n.order) == mostTold {
			delete(n.told, n.order[0])
			n.order = n.order[1:]
		}
		has = map[string]bool{}
		n.told[key] = has
		n.order = append(n.order, key)
	}
	for _, to := range taken {
		has[to.Address] = true
	}
}

func (n *Notifier) forget(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.told[key]; !ok {
		return
	}
	delete(n.told, key)
	for i, k := range n.order {
		if k == key {
			n.order = append(n.order[:i:i], n.order[i+1:]...)
			return
		}
	}
}

// goodbye bounds the end of a session whose mail is delivered already.
const goodbye = time.Second
