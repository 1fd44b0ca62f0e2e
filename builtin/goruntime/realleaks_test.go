package goruntime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// hurried is the watch of leaks, ten times as fast as by default, and free to look
// however long a busy machine makes that take.
func hurried(o Options) selfheal.Watch {
	o.Every = 50 * time.Millisecond
	o.Leak = LeakOptions{Window: 300 * time.Millisecond, MinGrowth: 20, StopShare: 0.1, CPUShare: 1}
	w := GoroutineLeak(o)
	w.KeepFor = time.Second
	return w
}

// supervise runs a watch until an incident has come to its end or a person is told.
func supervise(w selfheal.Watch) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	s := selfheal.New(selfheal.Options{
		Logger: slog.New(slog.DiscardHandler),
		Escalate: escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error {
			cancel()
			return nil
		})),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			fmt.Println(e.Line(false))
			if _, ok := e.(selfheal.EventClose); ok {
				cancel()
			}
		}),
	})
	s.Watch(w)
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
	}
}

// leakUntilCancelled leaks into a component until its context is cancelled, which
// is what the ladder does.
func leakUntilCancelled() {
	component, cancel := context.WithCancel(context.Background())
	var leaked sync.WaitGroup
	go func() {
		for component.Err() == nil {
			leaked.Go(func() { <-component.Done() })
			time.Sleep(20 * time.Millisecond)
		}
	}()
	supervise(hurried(Options{StopLeak: []remediate.Step{{
		Name: "cancel-component", Lasting: true,
		Run: func(context.Context, remediate.Request) error { cancel(); return nil },
	}}}))
	leaked.Wait()
}

// leakDeadlocks makes pairs of goroutines wait for each other's mutex.
func leakDeadlocks() {
	go func() {
		for {
			leakDeadlock(nil)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	supervise(hurried(Options{}))
}

func TestALeakIsHealedByStoppingItsSource(t *testing.T) {
	t.Parallel()
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			out := play(t, program(t, profile), "leak-until-cancelled")
			require.Contains(t, out, "suspected goroutine leak")
			require.Contains(t, out, "leakUntilCancelled.func1.1 (goruntime/realleaks_test.go:")
			require.Contains(t, out, "step cancel-component: healed")
			require.Regexp(t, "(?m)^close", out)
		})
	}
}

// Deadlocks cannot be untied from outside: a person is told, with the site.
func TestDeadlockedMutexesAreFoundAndPaged(t *testing.T) {
	t.Parallel()
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			out := play(t, program(t, profile), "leak-deadlocks")
			verdict := Suspected
			if profile {
				verdict = Proven
			}
			require.Contains(t, out, verdict+" goroutine leak")
			require.Contains(t, out, "leakDeadlock.func1 (goruntime/programs_test.go:")
			require.Contains(t, out, "step recycle: skipped")
			require.Contains(t, out, "page exhausted")
		})
	}
}
