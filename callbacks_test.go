package selfheal_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// everyMethod calls all of them, twice over.
func everyMethod(s *selfheal.Supervisor, from string) {
	for range 2 {
		s.Status()
		_ = s.Validate()
		_ = s.Halt("callback", "from "+from)
		_ = s.Resume("callback")
		id, _ := s.Silence(selfheal.Silence{Watch: "nothing", By: "callback", Reason: from, Until: time.Now().Add(time.Second)})
		_ = s.Unsilence(id, "callback")
		_ = s.Ack("none", "callback", time.Time{})
		_ = s.Approve("none", "callback")
		_ = s.Reject("none", "callback")
		s.Watch(selfheal.Watch{Name: "added-from-" + from, Detector: selfhealtest.Script()})
		s.Install(selfheal.Module{Name: "module-from-" + from, Watches: []selfheal.Watch{{Name: "w", Detector: selfhealtest.Script()}}})
		_ = s.Remove("added-from-" + from)
		_ = s.Remove("module-from-" + from + "/w")
		s.Handler()
		s.Collector()
	}
}

// A callback under the library's lock deadlocks the caller in several peers.
func TestEveryMethodMayBeCalledFromEveryCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *selfheal.Supervisor
		depth := selfhealtest.NewGauge(9)
		var once sync.Map
		from := func(where string) {
			if _, again := once.LoadOrStore(where, true); !again {
				everyMethod(s, where)
			}
		}
		pager := escalate.NotifierFunc(func(context.Context, escalate.Notification) error { from("notifier"); return nil })
		s = selfheal.New(selfheal.Options{
			Logger: quiet, Escalate: escalate.To(pager),
			Gate:     func(context.Context, selfheal.Proposal) error { from("gate"); return nil },
			Observer: selfheal.ObserverFunc(func(context.Context, selfheal.Event) { from("observer") }),
		})
		s.Watch(selfheal.Watch{
			Name: "q",
			Detector: detect.Func(func(ctx context.Context) ([]detect.Finding, error) {
				from("detector")
				return detect.Above(depth.Read, 5).Detect(ctx)
			}),
			Evidence: []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
				from("gatherer")
				return nil, nil
			})},
			Playbook: remediate.Ladder(
				remediate.Step{Name: "no-help", Lasting: true, Run: do(func() { from("run") })},
				remediate.Step{
					Name: "help", Undo: do(func() { from("undo") }), Run: do(func() { depth.Set(1) }),
					Verify: do(func() { from("verify") }),
				},
			),
		}, selfheal.Watch{Name: "escalates", Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "x"}}})})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		cancel()
		require.NoError(t, <-done)
		for _, where := range []string{"detector", "gate", "observer", "notifier", "gatherer", "run", "verify", "undo"} {
			_, called := once.Load(where)
			require.True(t, called, "%s was never called", where)
		}
	})
}

// Each culprit at once: everybody else keeps the schedule, and each is visible.
func TestTheHungThePanickingAndTheLeakingHarmNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var fine atomic.Int64
		hang := func() { <-release }
		quick := &selfhealtest.Pager{}
		s := selfheal.New(selfheal.Options{
			Logger:   quiet,
			Grace:    3 * time.Second,
			Escalate: escalate.To(escalate.Named("hung", escalate.NotifierFunc(func(context.Context, escalate.Notification) error { hang(); return nil })), quick),
			Observer: selfheal.ObserverFunc(func(context.Context, selfheal.Event) { panic("observer") }),
		})
		s.Watch(
			selfheal.Watch{Name: "hangs", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { hang(); return nil, nil })},
			selfheal.Watch{Name: "panics", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { panic("detector") })},
			selfheal.Watch{Name: "leaks", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { go hang(); return nil, nil })},
			selfheal.Watch{Name: "step-hangs", Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "sick"}}}),
				Playbook: remediate.Ladder(remediate.Step{Name: "hang", Risk: remediate.Safe, Timeout: 5 * time.Second, Run: do(hang)})},
			selfheal.Watch{Name: "fine", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { fine.Add(1); return nil, nil })},
		)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(5*time.Minute - time.Millisecond)
		require.InDelta(t, 300, fine.Load(), 1)

		st := s.Status()
		by := map[string]selfheal.WatchStatus{}
		for _, w := range st.Watches {
			by[w.Name] = w
		}
		require.Equal(t, "blind", by["hangs"].State)
		require.False(t, by["hangs"].Hung.IsZero())
		require.EqualValues(t, 1, by["hangs"].Hangs, "a hung check is never started twice")
		require.Contains(t, by["hangs"].Blind, "still runs")
		require.Equal(t, "blind", by["panics"].State)
		require.Contains(t, by["panics"].Panic, "detector")
		require.Equal(t, "healthy", by["fine"].State)
		require.Equal(t, "sick", by["step-hangs"].State)
		require.ErrorContains(t, by["step-hangs"].Incidents[0].Incident.Attempts[0].Err, "ignores its context")
		require.NotZero(t, st.Counts.Panics)
		require.GreaterOrEqual(t, st.Abandoned, 3, "a check, a step and a notifier")
		require.NotEmpty(t, quick.Pages(), "a hung notifier delays nobody")

		begin := time.Now()
		cancel()
		require.NoError(t, <-done)
		require.LessOrEqual(t, time.Since(begin), 5*time.Second, "Grace and 2 s")
		close(release)
	})
}

func TestEventsReachAnObserverInOrderAndASlowOneDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seqs []uint64
		depth := selfhealtest.NewGauge(9)
		var ran time.Time
		trial := selfhealtest.StartWith(t, selfheal.Options{Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			seqs = append(seqs, e.Meta().Seq)
			time.Sleep(3 * time.Second)
		})}, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5), KeepFor: -1,
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { ran = time.Now(); depth.Set(1) })}),
		})
		start := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Less(t, ran.Sub(start), time.Second)
		require.NotEmpty(t, seqs)
		for i, n := range seqs {
			require.EqualValues(t, i+1, n)
		}
		trial.Stop()
	})
}

func TestRunTwiceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := selfhealtest.Start(t)
		synctest.Wait()
		require.ErrorIs(t, trial.Supervisor().Run(t.Context()), selfheal.ErrRunTwice)
		trial.Stop()
		require.ErrorIs(t, trial.Supervisor().Run(t.Context()), selfheal.ErrRunTwice)
	})
}

// At the end: nothing new, what runs gets Grace and then ErrStopping, what is
// owed is undone.
func TestShutdownEndsStepsAndUndoesMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		var undone []string
		var cause error
		trial := selfhealtest.StartWith(t, selfheal.Options{MaxConcurrent: 5},
			selfheal.Watch{Name: "settles", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(
				remediate.Step{Name: "shed", Settle: time.Hour, Run: do(func() {}), Undo: do(func() { undone = append(undone, "shed") })},
			)},
			selfheal.Watch{Name: "runs", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(
				remediate.Step{Name: "long", Timeout: time.Hour, Run: func(ctx context.Context, _ remediate.Request) error {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return cause
				}, Undo: do(func() { undone = append(undone, "long") })},
				remediate.Step{Name: "never", Lasting: true, Run: do(func() { t.Error("a new step at shutdown") })},
			)},
			selfheal.Watch{Name: "a", Detector: selfhealtest.Script()}, selfheal.Watch{Name: "b", Detector: selfhealtest.Script()},
			selfheal.Watch{Name: "c", Detector: selfhealtest.Script()},
		)
		time.Sleep(10 * time.Second)
		start := time.Now()
		trial.Stop()
		require.Equal(t, []string{"shed", "long"}, undone)
		require.ErrorIs(t, cause, remediate.ErrStopping)
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second, "it got its grace")
		require.LessOrEqual(t, time.Since(start), 12*time.Second)
	})
}

// The owed undo of a measure must not wait for the grace of others.
func TestShutdownIsQuickWhereNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: selfhealtest.Script()})
		time.Sleep(time.Minute)
		start := time.Now()
		trial.Stop()
		require.Less(t, time.Since(start), time.Second)
	})
}

func TestTheGateThatPanicsOrHangsIsANo(t *testing.T) {
	for name, gate := range map[string]func(context.Context, selfheal.Proposal) error{
		"panics": func(context.Context, selfheal.Proposal) error { panic("gate") },
		"hangs":  func(ctx context.Context, _ selfheal.Proposal) error { <-ctx.Done(); return nil },
		"no":     func(context.Context, selfheal.Proposal) error { return errors.New("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				depth := selfhealtest.NewGauge(9)
				trial := selfhealtest.StartWith(t, selfheal.Options{Gate: gate}, selfheal.Watch{
					Name: "q", Detector: detect.Above(depth.Read, 5),
					Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { t.Error("it ran") })}),
				})
				time.Sleep(5 * time.Minute)
				require.Equal(t, remediate.RailGate, trial.Supervisor().Status().Watches[0].Incidents[0].HeldBy)
			})
		})
	}
}

// Watches come and go while the supervisor runs, and what is owed is undone first.
func TestAddAndRemoveWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t)
		s := trial.Supervisor()
		time.Sleep(time.Minute)
		w := selfheal.Watch{Name: "late", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "shed", Run: do(func() {}), Undo: do(func() {}), Settle: 10 * time.Second},
		)}
		s.Watch(w)
		time.Sleep(30 * time.Second)
		require.NoError(t, s.Remove("late"))
		synctest.Wait()
		require.Error(t, s.Remove("late"))
		require.Empty(t, s.Status().Watches)
		depth.Set(1)
		s.Watch(w) // its name is free again
		time.Sleep(time.Minute)
		require.Equal(t, "healthy", s.Status().Watches[0].State)
		trial.Want(`
			1m0s open late: 9 is above 5
			1m10s step shed: no effect
			1m10s undo shed
			1m10s page exhausted
			1m30s resolve
			1m30s close`)
	})
}
