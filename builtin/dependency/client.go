package dependency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Why a call was refused. Each wraps [ErrRefused]; what a client returns names
// the client too.
var (
	// ErrRefused says that a call was not made, to spare the dependency and the
	// caller. Nothing is known of what it would have done.
	ErrRefused = errors.New("dependency: the call was refused")
	// ErrOpen: the breaker is open, or lets one other call through to try.
	ErrOpen = fmt.Errorf("%w: the breaker is open", ErrRefused)
	// ErrReturning: the breaker closes in a ramp, and this call was not among those
	// that it lets through.
	ErrReturning = fmt.Errorf("%w: the dependency comes back step by step", ErrRefused)
	// ErrBusy: as many calls are under way as [Client.Cut] allows.
	ErrBusy = fmt.Errorf("%w: too many calls are under way", ErrRefused)
)

// A Client stands between callers and one dependency. It refuses calls while the
// dependency fails or hangs (breaker), lets callers return in a ramp, bounds the
// retries of all callers together, and takes the measures of a playbook.
// [NewClient] makes it; one is shared by all callers of the dependency.
//
// # The breaker
//
// Closed, it counts. It trips where the failed or the slow share of the calls of
// the sliding window reaches its limit; calls that are under way too long count as
// slow. Open, it refuses everything for a pause that is drawn by chance. Then it
// is half-open: one call at a time is let through. If that one works, callers
// return in a ramp; if it fails, panics aside, or takes too long, the breaker is
// open again, for longer. In the ramp it trips as when it is closed.
//
// What it does depends on the time alone, not on the next call: [Client.State] is
// never stale. There is no learned baseline that a slow decline could move.
//
// # Costs
//
// While it is closed and nothing is in force, a call costs a few atomic
// operations: no lock, no clock, no allocation. A timer counts time in steps of
// a hundredth to a tenth of the window while there are calls, and stops a window
// after the last one: there is nothing to close. Everything else (errors, calls
// longer than such a step, an open breaker) takes a lock for about a microsecond.
//
// All methods are safe for concurrent use. No function of the user's is called
// under a lock.
type Client struct {
	o       ClientOptions
	problem error
	origin  time.Time
	precise bool // cells are too coarse for Slow

	// fast is where calls count while the breaker is closed, no measure is in
	// force and time is kept. nil: ask enter.
	fast atomic.Pointer[cell]
	row  atomic.Int64 // failed calls in a row

	errOpen, errReturning, errBusy error

	mu      sync.Mutex
	window  window
	breaker breaker
	holds   map[string]measure
	force   int // holds of each kind
	cut     int
	mute    int
	uncut   span // the way back from a cut
	timer   *time.Timer
	ticking bool
	next    time.Duration // when the timer is due
	counts  counts
}

// counts are since the client was made.
type counts struct{ trips, refused, retries, starved int64 }

// span is a stretch of time; the zero span is none.
type span struct{ from, length time.Duration }

// at is how much of it has passed, 1 for none.
func (s span) at(now time.Duration) float64 {
	if s.length <= 0 || now-s.from >= s.length {
		return 1
	}
	return max(float64(now-s.from)/float64(s.length), 0)
}

// NewClient returns a client whose breaker is closed. With options that Validate
// objects to it lets every call through and counts nothing; the module that it is
// given to reports the mistake.
func NewClient(o ClientOptions) *Client {
	c := &Client{problem: o.Validate(), origin: time.Now(), holds: map[string]measure{}}
	if c.problem != nil {
		c.o = ClientOptions{Name: o.Name, Judge: o.Judge, Degraded: o.Degraded}.withDefaults()
	} else {
		c.o = o.withDefaults()
	}
	c.window = newWindow(&c.o)
	c.precise = c.o.Slow > 0 && c.o.Slow < c.o.Window/10
	name := func(err error) error {
		if c.o.Name == "" {
			return err
		}
		return fmt.Errorf("%w (%s)", err, c.o.Name)
	}
	c.errOpen, c.errReturning, c.errBusy = name(ErrOpen), name(ErrReturning), name(ErrBusy)
	return c
}

// Validate returns what is wrong with the options of the client.
func (c *Client) Validate() error { return c.problem }

// Name is the name that it was given.
func (c *Client) Name() string { return c.o.Name }

func (c *Client) now() time.Duration { return time.Since(c.origin) }

// Do makes a call, unless it has to be refused, and returns its error. A refused
// one is served by ClientOptions.Degraded, or returns an error that wraps
// [ErrRefused]. A failed one is repeated as ClientOptions.Retry says, if the
// budget of all callers allows. A panic of call passes through; it counts neither
// way, and what it held is given back.
//
// Do allocates nothing while the breaker is closed.
func (c *Client) Do(ctx context.Context, call func(ctx context.Context) error) error {
	var err error
	if cell := c.begin(); cell != nil && !c.precise {
		err = c.runIn(ctx, cell, call)
	} else {
		p, refused := c.permit(ctx, cell)
		if refused != nil {
			return c.degrade(ctx, refused)
		}
		err = c.run(ctx, p, call)
	}
	if err != nil && c.o.Retry.Tries > 1 {
		return c.repeat(ctx, call, err)
	}
	return err
}

// begin counts a call where nothing has to be asked; nil elsewhere.
func (c *Client) begin() *cell {
	cell := c.fast.Load()
	if cell != nil {
		cell.begun.Add(1)
		if c.fast.Load() != cell {
			c.notice()
		}
	}
	return cell
}

// runIn is run for the usual call: the same, without a permit to carry about.
func (c *Client) runIn(ctx context.Context, cell *cell, call func(ctx context.Context) error) error {
	returned := false
	defer func() {
		if !returned {
			Permit{c: c, cell: cell}.Done(Ignored)
		}
	}()
	err := call(ctx)
	if err == nil && c.fast.Load() == cell {
		returned = true
		cell.ok.Add(1)
		if c.row.Load() != 0 {
			c.row.Store(0)
		}
		return nil
	}
	o := c.judgeError(err)
	returned = true
	c.leave(Permit{c: c, cell: cell}, o)
	return err
}

func (c *Client) judgeError(err error) Outcome {
	if err == nil {
		return OK
	}
	return c.o.Judge(err)
}

// Get is [Client.Do] for a call that returns a value. degraded serves a call that
// was refused; nil returns the error, which wraps [ErrRefused]. The Degraded of
// the options is not asked.
func Get[T any](ctx context.Context, c *Client, call func(ctx context.Context) (T, error), degraded func(ctx context.Context, refused error) (T, error)) (T, error) {
	var v T
	keep := func(ctx context.Context) (err error) {
		v, err = call(ctx)
		return err
	}
	p, err := c.Acquire(ctx)
	if err != nil {
		if degraded != nil && errors.Is(err, ErrRefused) {
			return degraded(ctx, err)
		}
		return v, err
	}
	if err = c.run(ctx, p, keep); err != nil && c.o.Retry.Tries > 1 {
		err = c.repeat(ctx, keep, err)
	}
	return v, err
}

func (c *Client) degrade(ctx context.Context, refused error) error {
	if c.o.Degraded == nil || !errors.Is(refused, ErrRefused) {
		return refused
	}
	return c.o.Degraded(ctx, refused)
}

// run makes a call that was let through.
func (c *Client) run(ctx context.Context, p Permit, call func(ctx context.Context) error) error {
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			p.Done(Ignored)
		}
	}()
	err := call(ctx)
	o := c.judgeError(err)
	returned = true
	p.Done(o)
	return err
}

// A Permit is the leave to make one call, from [Client.Acquire].
type Permit struct {
	c     *Client
	cell  *cell
	start time.Duration // where cells are too coarse
	trial uint64        // which trial of the breaker it is; 0: none
}

// Acquire asks for leave to make one call, for callers that [Client.Do] does not
// fit. Done must follow exactly once, also after a panic. The error wraps
// [ErrRefused], or is that of ctx: while the breaker is not closed, calls whose
// context has ended are dropped and take nobody's turn.
func (c *Client) Acquire(ctx context.Context) (Permit, error) { return c.permit(ctx, c.begin()) }

// permit is the leave for a call that begin counted, or not.
func (c *Client) permit(ctx context.Context, cell *cell) (Permit, error) {
	if cell == nil {
		return c.enter(ctx, false)
	}
	p := Permit{c: c, cell: cell}
	if c.precise {
		p.start = c.now()
	}
	return p, nil
}

// notice keeps the time for a call that began just as the timer stopped because
// there was nothing to count.
func (c *Client) notice() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.keepTime(now)
	c.publish(now)
}

// Done says how the call went.
func (p Permit) Done(o Outcome) {
	c := p.c
	if c == nil {
		return
	}
	// The cell is shorter than Slow: a call that ends where it began was not slow.
	if o == OK && p.trial == 0 && !c.precise && c.fast.Load() == p.cell {
		p.cell.ok.Add(1)
		if c.row.Load() != 0 {
			c.row.Store(0)
		}
		return
	}
	c.leave(p, o)
}

// enter is Acquire where something has to be asked.
func (c *Client) enter(ctx context.Context, retry bool) (Permit, error) {
	if c.problem != nil {
		return Permit{}, nil
	}
	if ctx.Err() != nil {
		return Permit{}, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.breaker.advance(now, &c.o)
	if retry && !c.affords(now) {
		return Permit{}, errNoBudget
	}
	if err := c.refusal(now); err != nil {
		c.counts.refused++
		return Permit{}, err
	}
	p := Permit{c: c, cell: c.keepTime(now)}
	if c.precise {
		p.start = now
	}
	if c.breaker.state == HalfOpen {
		p.trial = c.breaker.try(now)
	}
	p.cell.begun.Add(1)
	if retry {
		p.cell.retries.Add(1)
		c.counts.retries++
	}
	c.publish(now)
	return p, nil
}

// leave is Done where something has to be judged.
func (c *Client) leave(p Permit, o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	b := &c.breaker
	b.advance(now, &c.o)
	slow := c.window.overdue(p.cell, now)
	if c.precise {
		slow = now-p.start >= c.o.Slow
	}
	if p.trial != 0 && p.trial == b.trial {
		p.cell.add(o, slow)
		switch {
		case o == Failure || slow:
			b.reopen(now, &c.o)
		case o == OK:
			b.back(now, &c.o)
			c.row.Store(0)
			c.window.forget(now)
		default:
			b.trial = 0 // it says nothing: another one may try
		}
		return
	}
	if p.trial != 0 && p.trial == b.trials && b.tripped() && b.trial == 0 && (o == Failure || slow) {
		// A trial that was given up ends only now: the pause counts from here, or
		// whoever calls one after the other would never pause.
		b.open(now, &c.o)
	}
	cell := p.cell
	if !cell.past && !c.window.holds(cell, now) {
		// It began before the window did, and tells of now.
		cell.add(Ignored, false)
		cell = c.keepTime(now)
		cell.begun.Add(1)
	}
	cell.add(o, slow)
	switch o {
	case OK:
		c.row.Store(0)
	case Failure:
		if !cell.past {
			c.row.Add(1)
		}
	}
	if o == Failure || slow {
		c.judge(now)
	}
	c.publish(now)
}
