package queue

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"
)

// plan is how the pressure of a gate runs from a moment on, until it changes. It
// is a function of time, so that nothing has to run for a ramp to go on.
type plan struct {
	floor float64 // what is held
	from  float64 // what it was at began,
	began time.Duration
	fall  float64 // and by how much it falls, a second
	held  bool
	adapt bool // the steering may raise the pressure
}

func (p *plan) at(now time.Duration) float64 {
	return max(p.floor, p.from-p.fall*(now-p.began).Seconds())
}

// steerPressure is as far as the loop goes by itself: all of Normal. A queue shows
// what was refused only when it has drained, and until then the loop goes too far;
// what is Important is refused by a Shed that says so.
const steerPressure = float64(Important - Background)

// steer is the closed loop: it finds how much must be refused.
type steer struct {
	next     atomic.Int64  // when to look again, in nanoseconds on the gate's clock
	pressure atomic.Uint64 // float64 bits: read without the lock, written under it
	at       time.Duration // of the last look
	law      law
}

func (s *steer) load() float64   { return math.Float64frombits(s.pressure.Load()) }
func (s *steer) store(v float64) { s.pressure.Store(math.Float64bits(v)) }

// replan begins a new plan where the present one has led to. g.mu is held.
func (g *Gate) replan(now time.Duration) {
	next := &plan{began: now, held: len(g.holds) > 0}
	for _, h := range g.holds {
		next.floor = max(next.floor, h.pressure)
		next.adapt = next.adapt || h.adapt
	}
	was := g.plan.Load()
	if was != nil {
		next.from = max(was.at(now), g.steer.load())
	}
	if was == nil || !was.adapt {
		g.steer.at = now
		g.steer.next.Store(int64(now))
	}
	// The way back is watched where that is possible.
	next.adapt = g.o.Overloaded != nil && (next.adapt || !next.held)
	next.from = max(next.from, next.floor)
	next.fall = (next.from - next.floor) / g.o.Ramp.Seconds()
	if !next.held {
		g.steer.store(0) // from here it falls by the plan, unless it is overloaded
	}
	g.plan.Store(next)
	g.tidy(next, now)
}

// pressure is how much is refused at now; it looks at the signal when that is
// due, and opens the gate for good when a ramp is over.
func (g *Gate) pressure(pl *plan, now time.Duration) float64 {
	if pl.adapt {
		g.look(pl, now)
	}
	v := max(pl.at(now), g.steer.load())
	if v <= 0 && !pl.held && g.mu.TryLock() {
		g.tidy(pl, now)
		g.mu.Unlock()
	}
	return v
}

// tidy drops a plan that has come to its end. g.mu is held.
func (g *Gate) tidy(pl *plan, now time.Duration) {
	if !pl.held && pl.at(now) <= 0 && g.steer.load() <= 0 {
		g.plan.CompareAndSwap(pl, nil)
	}
}

// look asks the signal, ten times an interval, and moves the pressure by it. One
// caller does so; the others go by what was known.
func (g *Gate) look(pl *plan, now time.Duration) {
	due := g.steer.next.Load()
	if int64(now) < due || !g.steer.next.CompareAndSwap(due, int64(now+g.o.Every/10)) {
		return
	}
	over, ok := g.ask()
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.plan.Load() != pl {
		return // what the signal says belongs to another plan
	}
	s := &g.steer
	passed := max(now-s.at, 0)
	s.at = max(s.at, now)
	if s.law.act(now, over) {
		s.store(max(min(max(s.load(), pl.at(now))+g.o.Step, steerPressure), s.load()))
	} else if !over {
		s.store(max(s.load()-steerPressure*passed.Seconds()/g.o.Ramp.Seconds(), 0))
	}
}

func (g *Gate) ask() (over, ok bool) {
	defer func() {
		if !ok && recover() != nil {
			g.panics.Add(1)
		}
	}()
	return g.o.Overloaded(), true
}

// GateState is what a [Gate] does now and has done so far.
type GateState struct {
	// Refusing is the share of each priority that is refused now, by class from
	// Background.
	Refusing [classes]float64
	// Admitted and Refused count the requests of each priority.
	Admitted, Refused [classes]uint64
	// Held says that a measure is in force; the gate may refuse without one while
	// it opens.
	Held bool
	// Panics is how often Overloaded panicked.
	Panics uint64
}

// Of picks the value of one priority from Refusing, Admitted or Refused.
func Of[N uint64 | float64](p Priority, of [classes]N) N { return of[p.class()] }

// String lists what is refused: "100% of background, 50% of normal".
func (s GateState) String() string {
	var parts []string
	for c, share := range s.Refusing {
		if share > 0 {
			parts = append(parts, fmt.Sprintf("%.0f%% of %v", 100*share, Background+Priority(c)))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// State returns what the gate does now and has done so far.
func (g *Gate) State() GateState {
	s := GateState{Panics: g.panics.Load()}
	if pl := g.plan.Load(); pl != nil {
		s.Held = pl.held
		pressure := g.pressure(pl, g.now())
		for c := range classes - 1 {
			s.Refusing[c] = min(max(pressure-float64(c), 0), 1)
		}
	}
	for c := range classes {
		s.Admitted[c], s.Refused[c] = g.admitted[c].Load(), g.refused[c].Load()
	}
	return s
}
