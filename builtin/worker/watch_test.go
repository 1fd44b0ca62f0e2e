package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/worker"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// watched runs a group under a supervisor in virtual time.
func watched(t *testing.T, o worker.Options, g *worker.Group, specs ...worker.Spec) *selfhealtest.Trial {
	t.Helper()
	require.NoError(t, g.Add(specs...))
	started(t, g)
	o.Groups = []*worker.Group{g}
	return selfhealtest.Start(t, worker.Module(o).Watches...)
}

func TestACrashIsHealedByTheGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("mailer", nil)
		trial := watched(t, worker.Options{}, worker.NewGroup(silent(worker.GroupOptions{})), p.spec())
		time.Sleep(time.Minute)
		p.crash()
		time.Sleep(5 * time.Minute)
		trial.Want(`
			1m0s open crash[mailer]: died once: panic: boom
			1m12s step restart: healed
			2m12s close`)
		require.Empty(t, trial.Pager().Pages())
	})
}

func TestGivingUpCallsAPersonOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mended atomic.Bool
		g := worker.NewGroup(silent(worker.GroupOptions{Name: "jobs", Restart: exact}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "import", Run: func(ctx context.Context, _ func()) error {
			if mended.Load() {
				<-ctx.Done()
				return nil
			}
			return errors.New("bad\nfile")
		}})
		time.Sleep(10 * time.Minute)
		trial.Want(`
			0s open crash[jobs/import]: died 2 times: bad file
			1m0s step restart: no effect
			1m12s step restart-subtree: no effect
			1m12s page exhausted`)
		require.EqualValues(t, 12, of(t, g, "import").Deaths, "10 restarts; the rung has one trial, no fresh count")
		mended.Store(true)
		require.NoError(t, g.Release("import"))
		time.Sleep(5 * time.Minute)
		require.Contains(t, trial.Timeline(), "close")
		require.Len(t, trial.Pager().Pages(), 1)
		require.Len(t, trial.Pager().Resolved(), 1)
	})
}

func TestPoisonIsPutAside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var poison atomic.Bool
		poison.Store(true)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{QuarantineInput: func(_ context.Context, req remediate.Request) error {
			require.Equal(t, "reader", req.Finding.Key)
			poison.Store(false)
			return g.Restart(t.Context(), "reader")
		}}, g, worker.Spec{Name: "reader", Run: func(ctx context.Context, _ func()) error {
			if poison.Load() {
				panic("cannot parse")
			}
			<-ctx.Done()
			return nil
		}, Restart: exact})
		time.Sleep(4 * time.Minute)
		trial.Want(`
			0s open crash[reader]: died 2 times: panic: cannot parse
			1m0s step restart: no effect
			1m12s step restart-subtree: no effect
			1m24s step quarantine-input: healed
			2m24s close`)
	})
}

// hanging is a worker that stops beating when it is told to, and may be deaf.
type hanging struct {
	hang, deaf atomic.Bool
	hold       chan struct{}
}

func (h *hanging) run(ctx context.Context, beat func()) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if h.hang.Load() {
				h.hang.Store(false) // only this run
				if h.deaf.Load() {
					<-h.hold
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			beat()
		case <-ctx.Done():
			return nil
		}
	}
}

func TestAStuckWorkerIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hanging{}
		trial := watched(t, worker.Options{}, worker.NewGroup(silent(worker.GroupOptions{})), worker.Spec{Name: "poller", Run: h.run, Budget: 5 * time.Second})
		time.Sleep(time.Minute + 200*time.Millisecond)
		h.hang.Store(true)
		time.Sleep(4 * time.Minute)
		lines := trial.Timeline()
		require.Regexp(t, `(?s)^\s*1m1\ds open stuck\[poller\]: no beat for 1\ds, budget 5s: .*hanging\)\.run \(watch_test\.go:\d+\)
\s*1m1\ds step cancel: healed
\s*2m1\ds close\s*$`, lines)
		require.Empty(t, trial.Pager().Pages())
	})
}

func TestOneThatBeatsWithinItsBudgetIsNeverLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "slow", Budget: 4 * time.Second, Run: func(ctx context.Context, beat func()) error {
			for tick := time.NewTicker(3 * time.Second); ; {
				select {
				case <-tick.C:
					beat()
				case <-ctx.Done():
					tick.Stop()
					return nil
				}
			}
		}})
		for range 3600 {
			time.Sleep(time.Second)
			require.False(t, of(t, g, "slow").Late)
		}
		require.Empty(t, trial.Timeline())
	})
}

func TestAStuckWorkerThatIgnoresItsContextIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hanging{hold: make(chan struct{})}
		h.deaf.Store(true)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "poller", Run: h.run, Budget: 5 * time.Second})
		h.hang.Store(true)
		time.Sleep(4 * time.Minute)
		require.Regexp(t, `(?s)open stuck\[poller\]: no beat.*step cancel: failed.*step replace: healed.*close`, trial.Timeline())
		require.NotContains(t, trial.Timeline(), "page")
		s := g.Status()
		require.Len(t, s.Abandoned, 1)
		require.Contains(t, s.Abandoned[0].Stack, "hanging).run")
		close(h.hold)
		synctest.Wait()
		require.Empty(t, g.Status().Abandoned)
	})
}

func TestTheCapCallsAPerson(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hanging{hold: make(chan struct{})}
		h.deaf.Store(true)
		g := worker.NewGroup(silent(worker.GroupOptions{MaxAbandoned: -1}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "poller", Run: h.run, Budget: 5 * time.Second})
		h.hang.Store(true)
		time.Sleep(2 * time.Minute)
		require.Regexp(t, `(?s)step cancel: failed.*step replace: failed.*page escalated`, trial.Timeline())
		require.Equal(t, "stopping", of(t, g, "poller").State)
		require.Zero(t, g.Status().Given)
		require.Contains(t, trial.Pager().Pages()[0].Incident.Detail, "cap")
		trial.Stop()
		close(h.hold)
	})
}

func TestARestartThatDoesNotBeatIsNoCure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil) // never beats
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "a", Run: p.run, Budget: 5 * time.Second})
		time.Sleep(3 * time.Minute)
		require.Regexp(t, `(?s)step cancel: no effect.*step replace: no effect.*page exhausted`, trial.Timeline())
		trial.Stop()
	})
}

// What must not act.

func TestAHaltedSupervisorLeavesAStuckWorkerAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hanging{}
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{}, g, worker.Spec{Name: "a", Run: h.run, Budget: 5 * time.Second})
		require.NoError(t, trial.Supervisor().Halt("me", "looking myself"))
		h.hang.Store(true)
		time.Sleep(5 * time.Minute)
		require.Contains(t, trial.Timeline(), "hold cancel: halt")
		require.NotContains(t, trial.Timeline(), "step")
		require.Greater(t, of(t, g, "a").For, 4*time.Minute)
	})
}

func TestAStormOfStuckWorkersIsNotAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		var hs []*hanging
		var specs []worker.Spec
		for i := range 20 {
			h := &hanging{}
			hs = append(hs, h)
			specs = append(specs, worker.Spec{Name: string(rune('a' + i)), Run: h.run, Budget: 5 * time.Second})
		}
		trial := watched(t, worker.Options{}, g, specs...)
		time.Sleep(10 * time.Second)
		for _, h := range hs {
			h.hang.Store(true)
		}
		time.Sleep(2 * time.Minute)
		require.Contains(t, trial.Timeline(), "cancel: storm")
		require.LessOrEqual(t, strings.Count(trial.Timeline(), " step "), 1, "one may have begun before the others were seen")
	})
}

// A process that was starved stops its workers and its looks alike.
func TestALateLookIsNotHeldAgainstTheWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &hanging{}
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: newPuppet("a", nil).run, Budget: 5 * time.Second}, worker.Spec{Name: "b", Run: h.run, Budget: 5 * time.Second}))
		started(t, g)
		d := worker.Stuck(worker.Options{Groups: []*worker.Group{g}}).Detector
		for range 5 {
			time.Sleep(time.Second)
			_, _ = d.Detect(t.Context())
		}
		time.Sleep(time.Hour)
		fs, err := d.Detect(t.Context())
		require.NoError(t, err)
		require.Empty(t, fs, "an hour in which nobody looked counts as one gap")
		require.LessOrEqual(t, of(t, g, "a").Silence, 7*time.Second)
	})
}

func TestBlindWhereNothingIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{Name: "x"}))
		for _, c := range []struct {
			groups []*worker.Group
			want   string
		}{{nil, "set Options.Groups"}, {[]*worker.Group{g}, `the group "x" does not run: call its Run`}} {
			for _, w := range worker.Module(worker.Options{Groups: c.groups}).Watches {
				for range 2 {
					fs, err := w.Detector.Detect(t.Context())
					require.Empty(t, fs)
					require.ErrorContains(t, err, c.want)
				}
			}
		}
		stop := started(t, g)
		w := worker.Crash(worker.Options{Groups: []*worker.Group{g}})
		_, err := w.Detector.Detect(t.Context())
		require.NoError(t, err)
		require.NoError(t, stop())
		_, err = w.Detector.Detect(t.Context())
		require.ErrorContains(t, err, "has ended")
	})
}

func TestNobodyStartsWhatAPersonPutIntoQuarantine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		trial := watched(t, worker.Options{}, g, p.spec())
		require.NoError(t, g.Quarantine(t.Context(), "a", "ticket 42"))
		time.Sleep(time.Hour)
		require.Empty(t, trial.Timeline())
		err := worker.RestartWorker(g)(t.Context(), selfhealtestRequest("a"))
		require.ErrorIs(t, err, remediate.ErrSkip)
		err = worker.ReplaceWorker(g)(t.Context(), selfhealtestRequest("a"))
		require.ErrorIs(t, err, remediate.ErrSkip)
		require.Equal(t, "given up", of(t, g, "a").State)
	})
}

func TestTheLastRungRecycles(t *testing.T) {
	w := worker.Crash(worker.Options{Recycle: 70}).Playbook.Steps
	require.Equal(t, "recycle", w[len(w)-1].Name)
	code, ok := remediate.Recycling(w[len(w)-1].Run(t.Context(), remediate.Request{}))
	require.True(t, ok)
	require.Equal(t, 70, code)
}

func TestWrongOptionsAreMistakes(t *testing.T) {
	g, other := worker.NewGroup(silent(worker.GroupOptions{})), worker.NewGroup(silent(worker.GroupOptions{Name: "g"}))
	_ = g.Add(worker.Spec{Name: "a"})
	m := worker.Module(worker.Options{Groups: []*worker.Group{g, other, nil, other}, Every: -1, Calm: -1, Patience: -1, Budgets: -1, Recycle: 256})
	s := selfheal.New(selfheal.Options{})
	s.Install(m)
	err := s.Validate()
	for _, what := range []string{"Every", "Calm", "Patience", "Budgets", "Recycle", "Groups[2] is nil", "has no name, and there are more groups", "two of Options.Groups", "no Run"} {
		require.ErrorContains(t, err, what)
	}
}
