package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// Priority says how much it matters that a request is served now. The zero value
// is Normal; what lies outside counts as the nearest of these.
type Priority int8

// The priorities.
const (
	Background Priority = iota - 1 // nobody waits: batches, prefetching, reports
	Normal                         // a user waits
	Important                      // it costs the user or us: checkout, login
	Vital                          // never refused: health checks, paging, administration
)

// String returns "background", "normal", "important" or "vital".
func (p Priority) String() string {
	return [...]string{"background", "normal", "important", "vital"}[p.class()]
}

func (p Priority) class() int { return int(min(max(p, Background), Vital) - Background) }

const classes = int(Vital-Background) + 1

// fullPressure refuses everything that may be refused. Pressure is one number for
// all that a gate refuses: of class c it is the share pressure-c, so that 1.5 is
// all of Background and half of Normal. One number can ramp; a list of rules
// cannot.
const fullPressure = float64(classes - 1)

// Defaults of a gate.
const (
	defaultRamp       = 20 * time.Second
	defaultRetryAfter = 5 * time.Second
	defaultShare      = 0.5
	defaultStep       = 0.1
	defaultEvery      = time.Second
	maxHolds          = 1000
)

// A Shed says what is refused: everything less important than Below, and the
// share Share of Below itself.
type Shed struct {
	// Below is the lowest priority that is still served, at least in part. The
	// zero value is Normal: Background is refused.
	Below Priority
	// Share is how much of Below is refused, more than 0 to 1. 0: 0.5 (our
	// choice: it must relieve a service whose requests are all Normal). -1: none.
	Share float64
}

func (s Shed) pressure() float64 {
	share := s.Share
	switch {
	case share == 0:
		share = defaultShare
	case share == -1:
		share = 0
	}
	return min(float64(s.Below.class())+share, fullPressure)
}

// Validate returns what is wrong with s, nil when nothing is.
func (s Shed) Validate() error {
	var errs []error
	if s.Below < Background || s.Below > Vital {
		errs = append(errs, fmt.Errorf("queue: Shed.Below is %d: use Background, Normal, Important or Vital", s.Below))
	}
	if !(s.Share >= 0 && s.Share <= 1) && s.Share != -1 { // also NaN
		errs = append(errs, fmt.Errorf("queue: Shed.Share is %v: use a share of up to 1, 0 for %v, or -1 for none", s.Share, defaultShare))
	}
	if s.Below == Background && s.Share == -1 {
		errs = append(errs, errors.New("queue: Shed refuses nothing: raise Below, or set Share"))
	}
	return errors.Join(errs...)
}

// GateOptions are for [NewGate]. The zero value is useful.
type GateOptions struct {
	// Shed is what [Gate.Shed] refuses. Zero: all of Background and half of
	// Normal.
	Shed Shed
	// Ramp is how long the gate takes to open again after [Gate.Restore]. 0: 20 s,
	// our choice: less than the 30 s that a step has by default. There is no way
	// to turn it off: a gate that opens at once lets the herd in.
	Ramp time.Duration
	// RetryAfter is what refused clients are told, spread by half to both sides
	// so that they do not come back together, in whole seconds of at least 1.
	// 0: 5 s (our choice).
	RetryAfter time.Duration
	// Overloaded is what [Gate.Adapt] steers by, such as [Meter.Overloaded]. With
	// it the way back is watched too: while it says yes the gate does not open
	// further. It must be quick and safe for concurrent use; its panic is
	// recovered, counted, and changes nothing. nil: no adapting.
	Overloaded func() bool
	// Every is the interval of the control law of Adapt: while overloaded, more is
	// refused after Every, Every/sqrt(2), Every/sqrt(3) … 0: 1 s, our choice: ten
	// of CoDel's intervals, because a service answers with a queue that has to
	// drain first.
	Every time.Duration
	// Step is how much more is refused each time, in parts of a priority. 0: 0.1
	// (our choice). At most 1.
	Step float64
}

// Validate returns everything that is wrong with the options, nil when nothing
// is.
func (o GateOptions) Validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Ramp", o.Ramp}, {"RetryAfter", o.RetryAfter}, {"Every", o.Every}} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("queue: GateOptions.%s is %v: use a positive time, or 0 for the default", d.name, d.d))
		}
	}
	if !(o.Step >= 0 && o.Step <= 1) { // also NaN
		errs = append(errs, fmt.Errorf("queue: GateOptions.Step is %v: use a share of up to 1, or 0 for %v", o.Step, defaultStep))
	}
	if err := o.Shed.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A Gate admits requests, or refuses the least important ones while a step of a
// playbook asks it to. [NewGate] makes it; it is open. All methods are safe for
// concurrent use. It starts no goroutine.
//
// Shed, ShedBy and Adapt take a hold under the key of their request, Restore
// gives it back; while there are several the gate refuses what the strictest
// refuses. Refusing begins at once. The way back is a ramp: in it the more
// important requests return first.
type Gate struct {
	o       GateOptions
	problem error
	origin  time.Time

	plan     atomic.Pointer[plan] // nil: open, which is all that the usual request looks at
	admitted [classes]atomic.Uint64
	refused  [classes]atomic.Uint64
	panics   atomic.Uint64

	mu    sync.Mutex
	holds map[string]hold
	steer steer
}

type hold struct {
	pressure float64
	adapt    bool
}

// NewGate returns an open gate. With options that Validate objects to it never
// refuses anything, and its actions return the mistake.
func NewGate(o GateOptions) *Gate {
	g := &Gate{o: o, problem: o.Validate(), origin: time.Now(), holds: map[string]hold{}}
	if g.o.Ramp <= 0 {
		g.o.Ramp = defaultRamp
	}
	if g.o.RetryAfter <= 0 {
		g.o.RetryAfter = defaultRetryAfter
	}
	if g.o.Every <= 0 {
		g.o.Every = defaultEvery
	}
	if g.o.Step == 0 {
		g.o.Step = defaultStep
	}
	g.steer.law.interval = g.o.Every
	return g
}

// Validate returns what is wrong with the options of the gate.
func (g *Gate) Validate() error { return g.problem }

func (g *Gate) now() time.Duration { return time.Since(g.origin) }

// Admit says whether to serve a request. Which ones of a priority are refused is
// left to chance, so that no client that comes in a rhythm is always unlucky. It
// allocates nothing; while the gate is open it costs one atomic load and one
// addition.
func (g *Gate) Admit(p Priority) bool {
	c := p.class()
	if pl := g.plan.Load(); pl != nil && !g.passes(pl, c) {
		g.refused[c].Add(1)
		return false
	}
	g.admitted[c].Add(1)
	return true
}

func (g *Gate) passes(pl *plan, class int) bool {
	over := g.pressure(pl, g.now()) - float64(class)
	switch {
	case over <= 0: // always so for Vital: see fullPressure
		return true
	case over >= 1:
		return false
	}
	return rand.Float64() >= over
}

// Shed is a [remediate.Action] for Step.Run: it refuses what GateOptions.Shed
// says until Restore.
func (g *Gate) Shed(ctx context.Context, req remediate.Request) error {
	return g.take(ctx, req, hold{pressure: g.o.Shed.pressure()})
}

// ShedBy is Shed with another measure, for ladders with several rungs.
func (g *Gate) ShedBy(s Shed) remediate.Action {
	err := s.Validate()
	return func(ctx context.Context, req remediate.Request) error {
		if err != nil {
			return err
		}
		return g.take(ctx, req, hold{pressure: s.pressure()})
	}
}

// Adapt is a [remediate.Action] for Step.Run: until Restore the gate refuses as
// much as it takes, Background first and then Normal, steered by
// GateOptions.Overloaded with CoDel's control law. Without that function it does not apply
// ([remediate.ErrSkip]).
func (g *Gate) Adapt(ctx context.Context, req remediate.Request) error {
	if g.o.Overloaded == nil && g.problem == nil {
		return fmt.Errorf("queue: the gate has no signal to adapt to: set GateOptions.Overloaded: %w", remediate.ErrSkip)
	}
	return g.take(ctx, req, hold{adapt: true})
}

func (g *Gate) take(ctx context.Context, req remediate.Request, h hold) error {
	if g.problem != nil {
		return g.problem
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	key, now := holdKey(req), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, held := g.holds[key]; held {
		return nil
	}
	if len(g.holds) >= maxHolds {
		return fmt.Errorf("queue: %d measures hold the gate already: undo some", len(g.holds))
	}
	g.holds[key] = h
	g.replan(now)
	return nil
}

// holdKey names what Run took and Undo gives back: Request.Key without the phase.
func holdKey(req remediate.Request) string {
	req.Phase = remediate.Run
	return req.Key()
}

// Restore is the [remediate.Action] for Step.Undo: it gives the hold of Shed,
// ShedBy or Adapt back. The gate opens evenly within GateOptions.Ramp; where
// GateOptions.Overloaded is set, only as far and as fast as that allows.
//
// It returns when the gate is open, or when another hold keeps it: a relapse on
// the way then belongs to the same incident. When its time is over it returns an
// error that says how much is still refused. In two cases it returns nil at once:
// when the supervisor stops; and where Overloaded says yes from the start, since
// then a ladder ended without a cure, and telling people comes first. In all of
// these the gate goes on to open by itself.
func (g *Gate) Restore(ctx context.Context, req remediate.Request) error {
	key := holdKey(req)
	g.mu.Lock()
	if _, held := g.holds[key]; held {
		delete(g.holds, key)
		g.replan(g.now())
	}
	g.mu.Unlock()
	if g.restored() {
		return nil
	}
	if g.o.Overloaded != nil {
		if over, _ := g.ask(); over {
			return nil
		}
	}
	t := time.NewTicker(max(g.o.Ramp/100, time.Millisecond))
	defer t.Stop()
	for !g.restored() {
		select {
		case <-t.C:
			continue
		case <-ctx.Done():
		}
		if errors.Is(context.Cause(ctx), remediate.ErrStopping) {
			return nil
		}
		return fmt.Errorf("queue: the gate opens by itself, and still refuses %s: %w", g.State(), context.Cause(ctx))
	}
	return nil
}

// restored says whether there is nothing to wait for.
func (g *Gate) restored() bool {
	pl := g.plan.Load()
	return pl == nil || pl.held || g.pressure(pl, g.now()) <= 0
}
