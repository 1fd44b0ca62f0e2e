package selfhealtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Turn is what an [Actor] does when it is called once: Do, then Takes, then
// Hang, then Panic, and then it returns Err. The zero value succeeds at once.
type Turn struct {
	// Do changes the world of the test. nil: nothing changes.
	Do func()
	// Takes is how long the call takes. Where its context ends before, the call
	// returns the cause of that.
	Takes time.Duration
	// Hang makes the call ignore its context and not return before
	// [Actor.Release].
	Hang bool
	// Panic is what the call panics with. nil: it does not.
	Panic any
	// Err is what the call returns: an error, remediate.ErrSkip, the answer of
	// remediate.Recycle. nil: it succeeded.
	Err error
}

// An Actor plays the action of a step by a script, and remembers what it was
// asked to do. It is safe for concurrent use.
type Actor struct {
	mu       sync.Mutex
	turns    []Turn
	requests []remediate.Request
	hanging  []chan struct{}
	released bool
}

// Play returns an actor that plays one turn a call; the last repeats. Without
// turns every call succeeds and changes nothing.
func Play(turns ...Turn) *Actor { return &Actor{turns: slices.Clone(turns)} }

// Act is a [remediate.Action]: for Step.Run, Step.Undo and Step.Verify.
func (a *Actor) Act(ctx context.Context, req remediate.Request) error {
	t, hang := a.next(req)
	if t.Do != nil {
		t.Do()
	}
	if t.Takes > 0 {
		timer := time.NewTimer(t.Takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if hang != nil {
		<-hang
	}
	if t.Panic != nil {
		panic(t.Panic)
	}
	return t.Err
}

// next takes the next turn, and where that hangs, a channel to hang on: made
// here, so that it belongs to the bubble of the call.
func (a *Actor) next(req remediate.Request) (t Turn, hang chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, req)
	if len(a.turns) > 0 {
		t = a.turns[0]
	}
	if len(a.turns) > 1 {
		a.turns = a.turns[1:]
	}
	if t.Hang && !a.released {
		hang = make(chan struct{})
		a.hanging = append(a.hanging, hang)
	}
	return t, hang
}

// Release lets all calls return that hang, and no later one hang. Call it before
// the test ends: a bubble waits for its last goroutine.
func (a *Actor) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.released = true
	for _, c := range a.hanging {
		close(c)
	}
	a.hanging = nil
}

// Requests returns what it was asked to do so far, in order.
func (a *Actor) Requests() []remediate.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// A Gate is an application's veto that a test opens and shuts. The zero value is
// open; it is safe for concurrent use.
type Gate struct {
	mu    sync.Mutex
	no    error
	asked []selfheal.Proposal
}

// Ask is for Options.Gate: it returns nil while the gate is open.
func (g *Gate) Ask(_ context.Context, p selfheal.Proposal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, p)
	return g.no
}

// Shut makes it say no, for that reason. nil opens it.
func (g *Gate) Shut(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.no = why
}

// Asked returns the steps that it was asked about so far, in order.
func (g *Gate) Asked() []selfheal.Proposal {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}
