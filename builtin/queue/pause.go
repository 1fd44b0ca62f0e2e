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

// PauseOptions are for [NewPause].
type PauseOptions struct {
	// Ramp is how long producers take to come back to full speed after
	// [Pause.Resume]. 0: 10 s (our choice; less than the 30 s that a step has by
	// default). -1: they come back at once.
	Ramp time.Duration
}

// Validate returns what is wrong with the options, nil when nothing is.
func (o PauseOptions) Validate() error {
	if o.Ramp < 0 && o.Ramp != -1 {
		return fmt.Errorf("queue: PauseOptions.Ramp is %v: use a positive time, 0 for %v, or -1 for none", o.Ramp, defaultPauseRamp)
	}
	return nil
}

const (
	defaultPauseRamp = 10 * time.Second
	// pauseSlice is how finely a ramp is cut: producers run for a growing part of
	// each slice.
	pauseSlice = 200 * time.Millisecond
)

// A Pause makes own producers wait: importers, pollers, schedulers, whoever asks
// [Pause.Wait] before it makes more work. [NewPause] makes it; it is not paused.
// All methods are safe for concurrent use. It starts no goroutine.
type Pause struct {
	ramp    time.Duration
	problem error
	origin  time.Time
	state   atomic.Pointer[pausing] // nil: run
	waiting atomic.Int64

	mu    sync.Mutex
	holds map[string]struct{}
}

// pausing is a pause, or the ramp that follows it.
type pausing struct {
	over  chan struct{} // closed when the pause is over; nil in a ramp
	began time.Duration // of the ramp
}

// NewPause returns a pause that is not in force.
func NewPause(o PauseOptions) *Pause {
	p := &Pause{ramp: o.Ramp, problem: o.Validate(), origin: time.Now(), holds: map[string]struct{}{}}
	if p.ramp == 0 || p.problem != nil {
		p.ramp = defaultPauseRamp
	}
	return p
}

// Validate returns what is wrong with the options of the pause.
func (p *Pause) Validate() error { return p.problem }

func (p *Pause) now() time.Duration { return time.Since(p.origin) }

// Wait returns nil when the producer may go on, and the cause of ctx when that has
// ended. While nothing is paused it costs some nanoseconds. After a pause
// producers may go on for a growing part of the time, and those that waited are
// spread, so that they neither jump nor come in a herd.
func (p *Pause) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // a loop over Wait ends with its context
	}
	if p.state.Load() == nil {
		return nil
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for {
		s := p.state.Load()
		switch {
		case s == nil:
			return nil
		case s.over != nil:
			select {
			case <-s.over:
				continue // into the ramp
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		pass, wait := p.turn(s)
		if pass {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			if p.state.Load() == s {
				return nil // its turn
			}
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// turn says whether a producer may go on at this point of the ramp, and if not,
// how long to wait for a moment at which it may. Those that wait for one slice
// begin within its first tenth: not all at once, and soon enough to use it.
func (p *Pause) turn(s *pausing) (pass bool, wait time.Duration) {
	in := p.now() - s.began
	if in >= p.ramp {
		p.state.CompareAndSwap(s, nil)
		return true, 0
	}
	slice := min(pauseSlice, p.ramp)
	open := func(at time.Duration) time.Duration { // the open part of the slice that begins at
		return time.Duration(float64(slice) * min(float64(at)/float64(p.ramp), 1))
	}
	begin := in / slice * slice
	if in-begin < open(begin) {
		return true, 0
	}
	next := begin + slice
	return false, next - in + rand.N(max(min(open(next), slice/10), 1))
}

// PauseState is what a [Pause] does now.
type PauseState struct {
	Paused  bool // a measure is in force
	Ramping bool // producers are coming back
	Waiting int  // producers in Wait
}

// State returns what the pause does now.
func (p *Pause) State() PauseState {
	s := PauseState{Waiting: int(p.waiting.Load())}
	if st := p.state.Load(); st != nil {
		s.Paused = st.over != nil
		s.Ramping = !s.Paused && p.now()-st.began < p.ramp
	}
	return s
}

// Stop is a [remediate.Action] for Step.Run: producers wait until Resume. Where
// several incidents pause, until the last of them resumes.
func (p *Pause) Stop(ctx context.Context, req remediate.Request) error {
	if p.problem != nil {
		return p.problem
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	key := holdKey(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, held := p.holds[key]; held {
		return nil
	}
	if len(p.holds) >= maxHolds {
		return fmt.Errorf("queue: %d measures pause the producers already: undo some", len(p.holds))
	}
	if p.holds[key] = struct{}{}; len(p.holds) == 1 {
		p.state.Store(&pausing{over: make(chan struct{})})
	}
	return nil
}

// Resume is the [remediate.Action] for Step.Undo: producers come back within
// PauseOptions.Ramp. It returns when they have, so that a relapse on the way
// belongs to the same incident; with an error when its time is over before, and
// with nil when the supervisor stops. In both cases the ramp goes on by itself.
func (p *Pause) Resume(ctx context.Context, req remediate.Request) error {
	key := holdKey(req)
	p.mu.Lock()
	if _, held := p.holds[key]; held {
		if delete(p.holds, key); len(p.holds) == 0 {
			p.release()
		}
	}
	p.mu.Unlock()
	s := p.state.Load()
	if s == nil || s.over != nil { // over, or somebody else's measure
		return nil
	}
	t := time.NewTimer(max(s.began+p.ramp-p.now(), 0))
	defer t.Stop()
	select {
	case <-t.C:
		p.turn(s)
		return nil
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), remediate.ErrStopping) {
		return nil
	}
	return fmt.Errorf("queue: the producers still come back, by themselves: %w", context.Cause(ctx))
}

// release begins the ramp. p.mu is held.
func (p *Pause) release() {
	over := p.state.Load().over
	var ramp *pausing
	if p.ramp > 0 {
		ramp = &pausing{began: p.now()}
	}
	p.state.Store(ramp)
	close(over) // whoever wakes looks again
}
