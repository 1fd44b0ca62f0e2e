package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// ErrAbandoned is the error of a call that ignored its context and was given up.
var ErrAbandoned = errors.New("outbox: the notifier ignored the end of its context and was given up")

// errExit is the error of a call that called runtime.Goexit.
var errExit = errors.New("outbox: the notifier ended its goroutine instead of returning")

// A Panic is the error of a call that panicked.
type Panic struct {
	Value any
	Stack []byte
}

// Error says what the panic was about, without the stack.
func (p *Panic) Error() string { return fmt.Sprintf("outbox: panic in a notifier: %v", p.Value) }

// A call is one try, on a goroutine of its own. What happens to it is guarded by
// the driver's mutex.
type call struct {
	send  Send
	watch *time.Timer
	gone  bool // it was given up
}

// start begins a call. d.mu is held.
func (d *Driver) start(s Send) {
	c := &call{send: s}
	d.calls[c] = struct{}{}
	c.watch = time.AfterFunc(d.opt.Timeout+grace, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.abandon(c)
	})
	go d.run(c)
}

func (d *Driver) run(c *call) {
	// d.returned runs in a deferred call, so that neither a panic nor a Goexit
	// leaves the target occupied for ever.
	err := errExit
	var verdict escalate.Failure
	defer func() {
		if r := recover(); r != nil {
			err = &Panic{Value: r, Stack: debug.Stack()}
			d.mu.Lock()
			d.stats.Panics++
			d.mu.Unlock()
		}
		d.returned(c, err, verdict)
	}()
	ctx, cancel := context.WithTimeout(d.ctx, d.opt.Timeout)
	defer cancel()
	err = d.opt.Deliver(ctx, c.send.Target, c.send.Notification)
	// What the error says is asked here, where its methods may panic.
	if f := (*escalate.Failure)(nil); errors.As(err, &f) && f != nil {
		verdict.Permanent, verdict.RetryAfter = f.Permanent, f.RetryAfter
	}
}

func (d *Driver) returned(c *call, err error, verdict escalate.Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.watch.Stop()
	switch {
	case c.gone:
		d.stats.Abandoned--
		if !d.over {
			d.step(Freed{Target: c.send.Target})
		}
		return
	case err == nil:
		delete(d.calls, c)
		d.step(Sent{ID: c.send.ID, Target: c.send.Target})
	default:
		delete(d.calls, c)
		d.step(Failed{
			ID: c.send.ID, Target: c.send.Target, Err: err,
			Permanent: verdict.Permanent, RetryAfter: verdict.RetryAfter,
		})
	}
}

// abandon gives a call up, unless it has returned. d.mu is held.
func (d *Driver) abandon(c *call) {
	if _, running := d.calls[c]; !running {
		return
	}
	delete(d.calls, c)
	c.gone = true
	c.watch.Stop()
	d.stats.Abandoned++
	d.stats.GivenUp++
	d.step(Failed{ID: c.send.ID, Target: c.send.Target, Err: ErrAbandoned, Stuck: true})
}

// Drain ends levels and repeats, tries at once whatever waits for a retry, and
// delivers what is owed until ctx ends. Then the calls under way are cancelled
// with [ErrStopped] as their cause and get a second to return, and On another
// to see the last effects. After Drain inputs have no effect.
//
// It returns nil when nothing stayed undelivered, what is kept in the store
// apart, and nothing still runs. It must not be called from Deliver or On. A second Drain waits for the first.
func (d *Driver) Drain(ctx context.Context) error {
	d.mu.Lock()
	if done := d.drained; done != nil {
		d.mu.Unlock()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("outbox: drain: %w", context.Cause(ctx))
		}
	}
	d.drained, d.changed = make(chan struct{}), make(chan struct{}, 1)
	defer close(d.drained)
	before := d.m.Stats().Undeliverable
	d.step(Drain{})
	d.mu.Unlock()

	d.await(ctx, func() bool { return d.m.Owed() == 0 && len(d.calls) == 0 && d.stored() })
	d.mu.Lock()
	d.step(Stop{})
	d.dismiss()
	d.mu.Unlock()
	d.cancel(ErrStopped)
	d.awaitGrace(func() bool { return len(d.calls) == 0 && d.stored() })
	d.mu.Lock()
	// In the order of their targets: the last effects are as repeatable as all others.
	for _, c := range slices.SortedFunc(maps.Keys(d.calls), func(a, b *call) int {
		return strings.Compare(a.send.Target, b.send.Target)
	}) {
		d.abandon(c)
	}
	d.over = true
	d.unstore()
	d.rearm(0)
	lost, running := d.m.Stats().Undeliverable-before, d.stats.Abandoned
	d.mu.Unlock()
	seen := d.awaitGrace(func() bool { return !d.seeing })

	var errs []error
	if lost > 0 {
		errs = append(errs, fmt.Errorf("outbox: drain: %d notifications stayed undelivered", lost))
	}
	if running > 0 {
		errs = append(errs, fmt.Errorf("outbox: drain: %d calls of notifiers still run: they ignore their context", running))
	}
	if !seen {
		errs = append(errs, errors.New("outbox: drain: the observer of effects has not returned"))
	}
	return errors.Join(errs...)
}

func (d *Driver) awaitGrace(done func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return d.await(ctx, done)
}

// await waits until done, which is asked under d.mu, or the end of ctx.
func (d *Driver) await(ctx context.Context, done func() bool) bool {
	for {
		d.mu.Lock()
		ok := done()
		d.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return false
		}
	}
}
