package selfhealtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// fakeTB is a test that may fail.
type fakeTB struct {
	testing.TB
	mu             sync.Mutex
	errors, logged []string
	fatal          string
	cleanups       []func()
}

func (f *fakeTB) Helper() {}

func (f *fakeTB) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeTB) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logged = append(f.logged, fmt.Sprintf(format, args...))
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeTB) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

// run runs a test function to its end, cleanups included.
func (f *fakeTB) run(test func(t testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		test(f)
	}()
	<-done
}

func ladder(w *World, names ...string) remediate.Playbook {
	var steps []remediate.Step
	for _, n := range names {
		steps = append(steps, remediate.Step{Name: n, Run: w.Run, Undo: w.Undo})
	}
	return remediate.Ladder(steps...)
}

func TestWantShowsWhatDiffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake fakeTB
		fake.run(func(t testing.TB) {
			var w World
			w.Cures("shed-load")
			trial := Start(t, selfheal.Watch{Name: "queue", Detector: &w, Playbook: ladder(&w, "scale", "shed-load")})
			time.Sleep(time.Minute)
			w.Sicken()
			time.Sleep(5 * time.Minute)
			trial.Want(`
				1m0s open queue: the service is sick
				1m2s step scale: healed
				1m2s step scale: no effect

				2m6s close`)
		})
		require.Len(t, fake.errors, 1)
		assert.Equal(t, strings.Join([]string{
			"selfhealtest: the timeline differs (- wanted, + seen):",
			"\t  1m0s open queue: the service is sick",
			"\t- 1m2s step scale: healed",
			"\t  1m2s step scale: no effect",
			"\t- ",
			"\t- 2m6s close",
			"\t+ 1m4s step shed-load: healed",
			"\t+ 2m4s undo shed-load",
			"\t+ 2m4s undo scale",
			"\t+ 2m4s close",
			"",
		}, "\n"), fake.errors[0])
	})
}

func TestWantNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := Start(t, selfheal.Watch{Name: "queue", Detector: Script()})
		trial.Want("")
		assert.Empty(t, trial.Timeline())
		time.Sleep(time.Hour)
		trial.Want("\n\t\n")

		var fake fakeTB
		fake.run(func(t testing.TB) {
			Start(t, selfheal.Watch{Name: "queue", Detector: Script()}).Want("0s open queue: x")
		})
		assert.Equal(t, []string{"selfhealtest: the timeline differs (- wanted, + seen):\n\t- 0s open queue: x\n"}, fake.errors)
	})
}

func TestEveryIncidentIsNamedWhereThereAreMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		trial := Start(t,
			selfheal.Watch{Name: "b", Detector: Script(Frame{Err: errors.New("cannot read")}, Frame{})},
			selfheal.Watch{Name: "a", Detector: &w},
		)
		time.Sleep(10 * time.Second)
		w.Sicken("z", "y")
		time.Sleep(time.Second)
		w.Heal("z", "y")
		time.Sleep(2 * time.Minute)
		// Lines of one instant are ordered by watch, key and sequence.
		trial.Want(`
			0s blind b: cannot read
			10s open a[y]: y is sick
			10s page a[y] exhausted
			10s open a[z]: z is sick
			10s page a[z] exhausted
			1m11s resolve a[y]
			1m11s close a[y]
			1m11s resolve a[z]
			1m11s close a[z]`)
	})
}

// One key that falls sick twice can be told of with names or without.
func TestIncidentsAfterEachOtherNeedNoNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		w.Cures("restart")
		trial := Start(t, selfheal.Watch{Name: "a", Detector: &w, Playbook: ladder(&w, "restart")})
		for range 2 {
			w.Sicken()
			time.Sleep(10 * time.Minute)
		}
		first := "0s open a: the service is sick\n2s step restart: healed\n1m2s undo restart\n1m2s close\n"
		trial.Want(first + "10m0s open a: the service is sick\n10m2s step restart: healed\n11m2s undo restart\n11m2s close")
		trial.Want(trial.Timeline())
		assert.Contains(t, trial.Timeline(), "step a restart: healed")

		var fake fakeTB
		trial.t = &fake
		trial.Want(first)
		require.Len(t, fake.errors, 1)
		assert.Contains(t, fake.errors[0], "\t  2s step restart: healed\n", "shown in the words of the test")
	})
}

func TestBlipAndBlindAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		trial := Start(t, selfheal.Watch{Name: "queue", Detector: &w, For: time.Minute})
		time.Sleep(10 * time.Second)
		w.Sicken()
		time.Sleep(10 * time.Second)
		w.Heal()
		time.Sleep(10 * time.Second)
		w.Blind(errors.New("no route\nto \x1b[31mhost "))
		time.Sleep(10 * time.Second)
		trial.Want(`
			20s blip
			30s blind: no route\nto \x1b[31mhost`)
	})
}

func TestALookNeverRacesAWholeSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var looks []time.Duration
		Start(t, selfheal.Watch{Name: "a", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			looks = append(looks, time.Since(began).Truncate(time.Millisecond))
			return nil, nil
		})})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		ms := time.Millisecond
		assert.Equal(t, []time.Duration{0, 500 * ms, 1500 * ms, 2500 * ms}, looks)
	})
}

// A test that sleeps to the very instant of an event sees it.
func TestTheLastInstantCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		w.Sicken()
		w.Cures("restart")
		trial := Start(t, selfheal.Watch{
			Name: "a", Detector: &w, For: 30 * time.Second, KeepFor: 10 * time.Second,
			Playbook: remediate.Ladder(remediate.Step{Name: "restart", Run: w.Run, Undo: w.Undo, Settle: 5 * time.Second}),
		})
		began := time.Now()
		at := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))) }
		at(30*time.Second - time.Millisecond)
		trial.Want("")
		at(30 * time.Second)
		trial.Want("30s open a: the service is sick")
		at(35 * time.Second)
		assert.Contains(t, trial.Timeline(), "35s step restart: healed")
		at(45 * time.Second)
		trial.Want(`
			30s open a: the service is sick
			35s step restart: healed
			45s undo restart
			45s close`)
		assert.Empty(t, trial.Pager().Pages())
	})
}

func TestStartOutsideABubble(t *testing.T) {
	var fake fakeTB
	fake.run(func(t testing.TB) { Start(t, selfheal.Watch{Name: "a", Detector: Script()}) })
	assert.Contains(t, fake.fatal, "wrap the test in synctest.Test(t, func(t *testing.T) { … })")
	assert.Empty(t, fake.cleanups)
}

func TestStartWithTheTestAroundTheBubble(t *testing.T) {
	synctest.Test(t, func(inner *testing.T) {
		assert.True(inner, ofBubble(inner))
		assert.True(inner, ofBubble(&fakeTB{}))
		assert.False(inner, ofBubble(t))
	})
}

func TestSuitesAreForOutside(t *testing.T) {
	assert.Contains(t, outsideBubble(), "not in a bubble")
	synctest.Test(t, func(t *testing.T) { assert.Empty(t, outsideBubble()) })
}

func TestAnUnsoundWatchFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake fakeTB
		fake.run(func(t testing.TB) {
			Start(t, selfheal.Watch{Name: "a"}, selfheal.Watch{Name: "b", Detector: Script(), After: []string{"c"}})
		})
		assert.Contains(t, fake.fatal, "the watches of this trial are not sound")
		assert.Contains(t, fake.fatal, `watch "a": has no Detector`)
		assert.Contains(t, fake.fatal, `watch "b": After names "c"`)
	})
}

func TestStartWithKeepsTheOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		var gate Gate
		var pager Pager
		var seen []string
		w.Sicken()
		gate.Shut(errors.New("deploying"))
		trial := StartWith(t, selfheal.Options{
			Gate: gate.Ask, Escalate: escalate.To(&pager),
			Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) { seen = append(seen, e.String()) }),
		}, selfheal.Watch{Name: "a", Detector: &w, Playbook: ladder(&w, "restart")})
		time.Sleep(time.Second)
		trial.Want(`
			0s open a: the service is sick
			0s hold restart: gate`)
		require.NotEmpty(t, gate.Asked())
		assert.Equal(t, "restart", gate.Asked()[0].Step)
		gate.Shut(nil)
		time.Sleep(time.Minute)
		events := trial.Events()
		require.Len(t, seen, len(events))
		for i, e := range events {
			assert.Equal(t, e.String(), seen[i])
		}
		assert.Contains(t, trial.Timeline(), "page exhausted")
		assert.Len(t, pager.Pages(), 1)
		assert.Empty(t, trial.Pager().Pages())
	})
}

func TestStopEndsTheSupervisorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		w.Sicken()
		w.Cures("shed-load")
		trial := Start(t, selfheal.Watch{Name: "a", Detector: &w, Playbook: ladder(&w, "shed-load")})
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"shed-load"}, w.InForce())
		trial.Stop()
		trial.Stop()
		assert.Empty(t, w.InForce())
		assert.Equal(t, "stopped", trial.Supervisor().Status().State)
		trial.Want(`
			0s open a: the service is sick
			2s step shed-load: healed
			10s undo shed-load`)
		time.Sleep(time.Hour)
		assert.Contains(t, trial.Timeline(), "10s undo shed-load")
	})
}

// A step that honours its context cannot keep a bubble from ending, however long
// it would take.
func TestAStepThatTakesLongEndsWithTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w World
		w.Sicken()
		slow := Play(Turn{Takes: time.Hour})
		Start(t, selfheal.Watch{Name: "a", Detector: &w, Playbook: remediate.Ladder(
			remediate.Step{Name: "slow", Run: slow.Act, Lasting: true, Timeout: 2 * time.Hour},
		)})
		time.Sleep(time.Minute)
		assert.Len(t, slow.Requests(), 1)
	})
}

func TestTheDeadlockIsExplainedBeforehand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := Play(Turn{Hang: true})
		t.Cleanup(stuck.Release)
		quit := make(chan struct{})
		t.Cleanup(func() { close(quit) })
		var fake fakeTB
		fake.run(func(t testing.TB) {
			var w World
			w.Sicken()
			Start(t, selfheal.Watch{Name: "other", Detector: Script()})
			Start(t, selfheal.Watch{Name: "a", Detector: &w, Playbook: remediate.Ladder(
				remediate.Step{Name: "stuck", Run: stuck.Act, Lasting: true},
			)})
			go func() { <-quit }()
			time.Sleep(time.Minute)
		})
		assert.Empty(t, fake.errors)
		require.Len(t, fake.logged, 3, "the goroutine is told of by both trials")
		assert.Contains(t, fake.logged[0], "calls that ignored their context and still run: 1 ")
		// The leaked one, and the one of this test, which is not the fake's.
		assert.Contains(t, fake.logged[1], "goroutines that the supervisor did not start and that still run: 2.")
		assert.Contains(t, fake.logged[1], "TestTheDeadlockIsExplainedBeforehand")
	})
}

func TestDroppedEventsFailTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := Start(t, selfheal.Watch{Name: "a", Detector: Script(Frame{Err: errors.New("blind")}, Frame{})})
		time.Sleep(time.Second)
		require.NotEmpty(t, trial.Events())
		trial.mu.Lock()
		trial.events = trial.events[1:]
		trial.mu.Unlock()
		var fake fakeTB
		trial.t = &fake
		trial.Events()
		require.Len(t, fake.errors, 1)
		assert.Contains(t, fake.errors[0], "the supervisor dropped events")
		trial.t = t
	})
}
