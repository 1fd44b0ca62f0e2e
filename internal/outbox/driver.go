package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// DriverOptions of a [Driver]. Deliver is required.
type DriverOptions struct {
	// Machine has the limits of the machine.
	Machine Options
	// Deliver calls a target. It returns only when the target has returned: the
	// driver gives up on calls that ignore their context itself, and must know
	// when they end. A panic counts as a failure with a [*Panic]; recover it in
	// Deliver to give the error another type.
	Deliver func(ctx context.Context, target string, n escalate.Notification) error
	// Timeout of one call; its context has that deadline. 0 means 10 s. A call
	// that has not returned 1 s after it is given up: its target is not called
	// again before it has.
	Timeout time.Duration
	// Store keeps what must outlive the process: a call waits until everything
	// that was recorded before it is kept. nil keeps it in memory.
	Store Store
	// On gets every effect but Send and Record, in order, from one goroutine at a time and
	// never under a lock. It may call any method of the driver but Drain. When
	// it is slow, deliveries go on; when it is more than 10,000 effects behind,
	// it misses some, and they are counted. nil ignores them.
	On func(Effect)
	// Log gets what went wrong for good. nil logs nothing.
	Log *slog.Logger
}

const (
	grace  = time.Second // for calls to return after their context has ended
	unseen = 10_000      // effects that may wait for On
)

// DriverStats is what a [Driver] counts.
type DriverStats struct {
	Stats
	InFlight  int    // calls under way that were not given up
	Abandoned int    // calls that were given up and still run
	GivenUp   uint64 // calls that were ever given up
	Panics    uint64 // in Deliver and On
	Unseen    uint64 // effects that On missed because it was too slow
	Late      uint64 // inputs after Drain; they have no effect
	Unstored  uint64 // times that the store failed, or was not waited for
}

// A Driver runs a [Machine] in real time, or in that of a testing/synctest
// bubble when its first input comes from inside. Its goroutines exist only
// while there is something to send or to say. All methods are safe for
// concurrent use and never block, except Drain.
//
// The machine steps inside Input, so what Told, Stats and Snapshot say after an
// input includes it, and a first call starts at the very moment of its input.
type Driver struct {
	opt    DriverOptions
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex // never held while anything of others runs
	m       *Machine
	born    time.Time
	scratch []Effect
	timer   *time.Timer
	timerAt time.Duration // -1 when it is not set
	calls   map[*call]struct{}
	writing *batch                // that the store has
	pending *batch                // for when it is through with that
	answers map[string]chan error // of Once, by dedup key
	unseen  []Effect
	seeing  bool
	stats   DriverStats
	changed chan struct{} // wakes Drain
	drained chan struct{} // closed when Drain is over
	over    bool
}

// NewDriver makes a driver. It starts nothing before the first input.
func NewDriver(opt DriverOptions) *Driver {
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	opt.Machine.Durable = opt.Store != nil
	d := &Driver{opt: opt, m: New(opt.Machine), calls: map[*call]struct{}{}, answers: map[string]chan error{}, timerAt: -1}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	return d
}

// Input hands something to the machine. It may be called from anywhere, also
// from Deliver and On.
func (d *Driver) Input(in Input) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		d.stats.Late++
		return
	}
	d.step(in)
}

// Told is [Machine.Told].
func (d *Driver) Told(dedupKey string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Told(dedupKey)
}

// Standing is [Machine.Standing].
func (d *Driver) Standing(key string) (Standing, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Standing(key)
}

// Members is [Machine.Members].
func (d *Driver) Members(key string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Members(key)
}

// Targets is [Machine.Targets].
func (d *Driver) Targets() []TargetState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Targets()
}

// Records is [Machine.Records].
func (d *Driver) Records() []Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.Records()
}

// Restore is [Machine.Restore].
func (d *Driver) Restore(records []Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.m.Clock(now, time.Now())
	d.scratch = d.m.Restore(now, records, d.scratch[:0])
	d.carryOut(now)
}

// Snapshot is [Machine.Snapshot].
func (d *Driver) Snapshot() []Owed {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.born.IsZero() {
		return nil
	}
	return d.m.Snapshot(d.now())
}

// Stats counts what was done.
func (d *Driver) Stats() DriverStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Stats = d.m.Stats()
	s.InFlight = len(d.calls)
	return s
}

// now is the machine's time. It begins with the first input, not with NewDriver:
// that may have been outside the bubble whose time counts.
func (d *Driver) now() time.Duration {
	if d.born.IsZero() {
		d.born = time.Now()
	}
	return time.Since(d.born)
}

// step runs the machine and begins what it asks for. d.mu is held.
func (d *Driver) step(in Input) {
	now := d.now()
	d.m.Clock(now, time.Now())
	d.scratch = d.m.Step(now, in, d.scratch[:0])
	d.carryOut(now)
}

// carryOut begins what the machine asked for. d.mu is held.
func (d *Driver) carryOut(now time.Duration) {
	for i, e := range d.scratch {
		switch e := e.(type) {
		case Record:
			d.keep(e)
		case Send:
			d.launch(e)
		case Done:
			d.answer(e)
			d.show(e)
		default:
			d.show(e)
		}
		d.scratch[i] = nil
	}
	d.flush()
	d.rearm(now)
	d.wake()
}

func (d *Driver) rearm(now time.Duration) {
	at, ok := d.m.Next()
	switch {
	case !ok || d.over:
		if d.timerAt >= 0 {
			d.timer.Stop()
			d.timerAt = -1
		}
	case at == d.timerAt:
	case d.timer == nil:
		d.timer, d.timerAt = time.AfterFunc(at-now, d.tick), at
	default:
		d.timer.Reset(at - now)
		d.timerAt = at
	}
}

func (d *Driver) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.timerAt = -1
	d.step(Tick{})
}

// show queues an effect for On. d.mu is held.
func (d *Driver) show(e Effect) {
	if d.opt.On == nil && d.opt.Log == nil {
		return
	}
	if len(d.unseen) >= unseen {
		d.stats.Unseen++
		return
	}
	d.unseen = append(d.unseen, e)
	if !d.seeing {
		d.seeing = true
		go d.see()
	}
}

func (d *Driver) see() {
	for {
		d.mu.Lock()
		batch := d.unseen
		d.unseen = nil
		if len(batch) == 0 {
			d.seeing = false
			d.wake()
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		for _, e := range batch {
			d.on(e)
		}
	}
}

func (d *Driver) on(e Effect) {
	defer func() {
		if r := recover(); r != nil {
			d.mu.Lock()
			d.stats.Panics++
			d.mu.Unlock()
			if d.opt.Log != nil {
				d.opt.Log.Error("selfheal: outbox: panic while an effect was shown", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			}
		}
	}()
	if d.opt.Log != nil {
		d.log(e)
	}
	if d.opt.On != nil {
		d.opt.On(e)
	}
}

func (d *Driver) log(e Effect) {
	about := func(target string, n escalate.Notification) *slog.Logger {
		return d.opt.Log.With("target", target, "notification", n.ID, "kind", n.Kind.String(),
			"incident", n.Incident.ID, "watch", n.Incident.Watch, "key", n.Incident.Finding.Key)
	}
	switch e := e.(type) {
	case Undeliverable:
		about(e.Target, e.Notification).Error("selfheal: a notification is undeliverable",
			"why", e.Why, "error", e.Last, "tries", e.Tries, "age", e.Age, "next_level", e.NextLevel, "nobody_left", e.Lost)
	case Fallback:
		if !e.Lost {
			d.opt.Log.Warn("selfheal: somebody else is told in the place of a notifier",
				"incident", e.Incident.ID, "watch", e.Incident.Watch, "key", e.Incident.Finding.Key, "target", e.Target,
				"why", e.Why, "level", e.Level, "instead", e.Instead)
		} else {
			d.opt.Log.Error("selfheal: nobody could be reached of an incident, and nobody is left to try",
				"incident", e.Incident.ID, "watch", e.Incident.Watch, "key", e.Incident.Finding.Key, "target", e.Target, "why", e.Why)
		}
	case Down:
		d.opt.Log.Error("selfheal: a notifier does not answer; others are told in its place", "target", e.Target, "error", e.Err)
	case Up:
		d.opt.Log.Info("selfheal: a notifier answers again", "target", e.Target, "after", e.After)
	case Unstored:
		d.opt.Log.Error("selfheal: what is owed to people could not be kept; it is sent all the same", "error", e.Err)
	case Stuck:
		about(e.Target, e.Notification).Error("selfheal: a notifier ignores its context; it is not called before it returns",
			"timeout", d.opt.Timeout)
	case Unstuck:
		d.opt.Log.Info("selfheal: a notifier that was given up has returned", "target", e.Target, "after", e.After)
	}
}

// wake lets Drain look again. d.mu is held.
func (d *Driver) wake() {
	if d.changed == nil {
		return
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
}
