package selfhealtest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/trial"
)

// A Trial is a real supervisor that runs in the virtual time of a bubble of
// testing/synctest, where time.Sleep is the clock.
//
// Its methods are for the goroutine of the test; Supervisor and Pager may be
// called, and what they return used, from anywhere in the bubble.
type Trial struct {
	t     testing.TB
	s     *selfheal.Supervisor
	pager *Pager
	began time.Time
	stop  func()

	mu     sync.Mutex
	events []selfheal.Event
}

// Start runs a supervisor with the given watches until the test ends. Call it
// inside synctest.Test, with the t that the bubble got; anything else fails the
// test, and so does a watch that is not sound. A watch without a policy tells
// [Trial.Pager].
//
// Every watch looks at once and then at half its interval, so that a change at a
// whole second never races a look: with the interval of 1 s after 0 s, 0.5 s,
// 1.5 s and so on.
func Start(t testing.TB, ws ...selfheal.Watch) *Trial {
	t.Helper()
	return StartWith(t, selfheal.Options{}, ws...)
}

// StartWith is [Start] with options. An observer of its own gets every event
// too; while it does not return the timeline stands still. Unless o has a logger
// the supervisor logs nothing.
func StartWith(t testing.TB, o selfheal.Options, ws ...selfheal.Watch) *Trial {
	t.Helper()
	if why := outsideBubble(); why != "" {
		t.Fatalf("selfhealtest: a trial needs virtual time, and this is no bubble (%s): wrap the test in synctest.Test(t, func(t *testing.T) { … }) and start the trial in there", why)
	}
	if !ofBubble(t) {
		t.Fatalf("selfhealtest: the trial got the t of the test around the bubble, which ends after the bubble: give it the t that synctest.Test hands to its function")
	}
	tr := &Trial{t: t, pager: &Pager{}}
	if o.Escalate.Empty() {
		o.Escalate = escalate.To(escalate.Named("pager", tr.pager))
	}
	if o.Logger == nil {
		o.Logger = discard()
	}
	theirs := o.Observer
	o.Observer = selfheal.ObserverFunc(func(ctx context.Context, e selfheal.Event) {
		tr.mu.Lock()
		tr.events = append(tr.events, e)
		tr.mu.Unlock()
		if theirs != nil {
			theirs.Observe(ctx, e)
		}
	})
	tr.s = selfheal.New(o)
	tr.s.Watch(ws...)
	if err := tr.s.Validate(); err != nil {
		t.Fatalf("selfhealtest: the watches of this trial are not sound:\n%v", err)
	}
	ctx, cancel := context.WithCancel(trial.With(context.Background()))
	ended := make(chan error, 1)
	tr.began = time.Now()
	go func() { ended <- tr.s.Run(ctx) }()
	tr.stop = sync.OnceFunc(func() {
		cancel()
		tr.after(<-ended)
	})
	t.Cleanup(func() {
		t.Helper()
		tr.stop()
		tr.explain()
	})
	return tr
}

// after judges how Run ended.
func (t *Trial) after(err error) {
	t.t.Helper()
	var recycle *selfheal.RecycleError
	if err != nil && !errors.As(err, &recycle) {
		t.t.Errorf("selfhealtest: Run returned %v", err)
	}
}

// explain says beforehand what a deadlock panic at the end of the bubble is
// about. It fails nothing: a Cleanup that comes after this one may end them all.
func (t *Trial) explain() {
	t.t.Helper()
	synctest.Wait()
	if n := t.s.Status().Abandoned; n > 0 {
		t.t.Logf("selfhealtest: calls that ignored their context and still run: %d (steps, gates, detectors, notifiers, evidence). %s: make them return when their context ends, or let them go before the test ends, as with Actor.Release", n, ending)
	}
	if left := leftOver(); len(left) > 0 {
		t.t.Logf("selfhealtest: goroutines that the supervisor did not start and that still run: %d. %s: end them in the test or in t.Cleanup. The first is:\n%s", len(left), ending, left[0])
	}
}

const ending = "A bubble ends when its last goroutine does, else it panics with a deadlock"

// Supervisor is the one that runs.
func (t *Trial) Supervisor() *selfheal.Supervisor { return t.s }

// Pager is told by the watches that have no policy.
func (t *Trial) Pager() *Pager { return t.pager }

// Stop ends the supervisor before the end of the test, and waits for it: running
// steps and owed undos get Options.Grace of virtual time. A second Stop does
// nothing.
func (t *Trial) Stop() {
	t.t.Helper()
	t.stop()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
