package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

var exact = worker.Restart{Jitter: -1}

func TestAFailureRestartsAtOnceThenWithGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := newJournal()
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: exact}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(context.Context, func()) error {
			j.add("up")
			return errFault
		}}))
		started(t, g)
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{
			"0s up", "0s up", "100ms up", "300ms up", "700ms up", "1.5s up", "3.1s up", "6.3s up", "12.7s up", "25.5s up", "51.1s up",
		}, j.take())
		w := of(t, g, "a")
		require.Equal(t, "given up", w.State)
		require.EqualValues(t, 11, w.Deaths, "10 restarts, and the failure after the last")
		require.Equal(t, "fault", w.Err)
	})
}

func TestAPanicIsAFailureWithItsStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		var got []worker.Event
		g := worker.NewGroup(silent(worker.GroupOptions{OnEvent: func(_ context.Context, e worker.Event) { got = append(got, e) }}))
		require.NoError(t, g.Add(p.spec()))
		stop := started(t, g)
		p.crash()
		synctest.Wait()
		w := of(t, g, "a")
		require.Equal(t, "running", w.State)
		require.Equal(t, "panic: boom", w.Err)
		require.Regexp(t, `^github.com/selfheal-go/selfheal/builtin/worker_test\.\S*\(\*puppet\)\.crash`, w.Stack, "the place of the panic comes first")
		require.Contains(t, w.Stack, "help_test.go:")
		require.NoError(t, stop())
		kinds := []worker.Kind{}
		for _, e := range got {
			kinds = append(kinds, e.Kind)
		}
		require.Equal(t, []worker.Kind{worker.Started, worker.Died, worker.Started, worker.Ended}, kinds)
		var panicked *worker.PanicError
		require.ErrorAs(t, got[1].Err, &panicked)
		require.Equal(t, "boom", panicked.Value)
	})
}

func TestGoexitIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(p.spec()))
		started(t, g)
		p.say <- func() error { runtime.Goexit(); return nil }
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "a").State)
		require.Contains(t, of(t, g, "a").Err, "Goexit")
	})
}

// The bound is OTP's: a failure after Intensity restarts within the last Period.
func TestRestartsLongAgoDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: worker.Restart{Intensity: 2, Period: time.Minute, Delay: -1}}))
		require.NoError(t, g.Add(p.spec()))
		started(t, g)
		for range 20 { // two in each minute are allowed for ever
			p.fail()
			time.Sleep(31 * time.Second)
		}
		require.Equal(t, "running", of(t, g, "a").State)
		p.fail()
		time.Sleep(time.Second)
		p.fail()
		synctest.Wait()
		require.Equal(t, "given up", of(t, g, "a").State)
	})
}

func TestThePauseDecaysWhileUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: worker.Restart{Intensity: -1, Jitter: -1}}))
		require.NoError(t, g.Add(p.spec()))
		started(t, g)
		for range 6 {
			p.fail()
		}
		time.Sleep(10 * time.Second)
		p.fail() // the pause was 1.6 s and is now less than twice as long
		synctest.Wait()
		require.Greater(t, of(t, g, "a").Next, time.Second)
		time.Sleep(10 * time.Minute)
		p.fail()
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "a").State, "after a calm time it restarts at once")
	})
}

func TestJitterSpreadsThoseThatFailedTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		starts := map[time.Time]int{}
		ups := make(chan struct{}, 1)
		ups <- struct{}{}
		for i := range 50 {
			n := 0
			require.NoError(t, g.Add(worker.Spec{Name: fmt.Sprint(i), Run: func(ctx context.Context, _ func()) error {
				if n++; n <= 2 {
					return errFault
				}
				<-ups
				starts[time.Now()]++
				ups <- struct{}{}
				<-ctx.Done()
				return nil
			}}))
		}
		began := time.Now()
		started(t, g)
		time.Sleep(time.Second)
		<-ups
		require.Greater(t, len(starts), 40)
		for at := range starts {
			require.GreaterOrEqual(t, at.Sub(began), 50*time.Millisecond)
			require.LessOrEqual(t, at.Sub(began), 150*time.Millisecond)
		}
	})
}

func TestWhatEndsAWorkerForGood(t *testing.T) {
	done, end := errors.New("theirs: done"), errors.New("theirs: end")
	for _, c := range []struct {
		name   string
		ret    error
		always bool
		state  string
	}{
		{"nil", nil, false, "done"},
		{"nil, always", nil, true, "running"},
		{"ErrDone, always", fmt.Errorf("wrapped: %w", worker.ErrDone), true, "done"},
		{"their done", fmt.Errorf("wrapped: %w", done), true, "done"},
		{"a fault", errFault, false, "running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPuppet("a", nil)
				g := worker.NewGroup(silent(worker.GroupOptions{Done: done, End: end}))
				s := p.spec()
				s.Always = c.always
				require.NoError(t, g.Add(s))
				stop := started(t, g)
				p.say <- func() error { return c.ret }
				synctest.Wait()
				require.Equal(t, c.state, of(t, g, "a").State)
				require.NoError(t, stop())
			})
		})
	}
	for _, ret := range []error{worker.ErrEndGroup, end} {
		t.Run(ret.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := newPuppet("a", nil), newPuppet("b", nil)
				g := worker.NewGroup(silent(worker.GroupOptions{End: end}))
				require.NoError(t, g.Add(a.spec(), b.spec()))
				stop := started(t, g)
				a.say <- func() error { return fmt.Errorf("all is lost: %w", ret) }
				synctest.Wait()
				require.False(t, g.Status().Running)
				require.ErrorIs(t, stop(), ret)
			})
		})
	}
}

func TestGivingUpAnEssentialWorkerEndsTheGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newPuppet("a", nil), newPuppet("b", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		s := a.spec()
		s.Essential, s.Restart.Intensity, s.Restart.Delay = true, 1, -1
		require.NoError(t, g.Add(s, b.spec()))
		stop := started(t, g)
		a.fail()
		a.fail()
		synctest.Wait()
		var gave *worker.GiveUpError
		require.ErrorAs(t, stop(), &gave)
		require.Equal(t, "a", gave.Worker)
		require.ErrorIs(t, gave, errFault)
	})
}

func TestQuarantineHasTrialsThatDouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := newJournal()
		var ok atomic.Bool
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: worker.Restart{Intensity: 2, Delay: -1}}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
			j.add("up")
			if ok.Load() {
				<-ctx.Done()
			}
			return errFault
		}}))
		stop := started(t, g)
		time.Sleep(16 * time.Minute)
		require.Equal(t, []string{"0s up", "0s up", "0s up", "5m0s up", "15m0s up"}, j.take(), "a trial has one failure and no fresh count")
		ok.Store(true)
		time.Sleep(20 * time.Minute)
		require.Equal(t, []string{"35m0s up"}, j.take())
		require.Equal(t, "running", of(t, g, "a").State)
		require.NoError(t, stop())
	})
}

func TestRunCanBeCalledAgainAndNotTwiceAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(p.spec()))
		stop := started(t, g)
		require.ErrorIs(t, g.Run(t.Context()), worker.ErrRunning)
		p.fail()
		require.NoError(t, stop())
		require.Equal(t, "resting", of(t, g, "a").State)
		stop = started(t, g)
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "a").State)
		require.Zero(t, of(t, g, "a").Deaths)
		require.NoError(t, stop())
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, g.Run(ended))
	})
}

func TestWhoIgnoresTheEndIsNamedWithItsStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		g := worker.NewGroup(silent(worker.GroupOptions{StopTimeout: 3 * time.Second}))
		require.NoError(t, g.Add(newPuppet("good", nil).spec(), worker.Spec{Name: "deaf", Run: func(context.Context, func()) error { <-hold; return nil }}))
		stop := started(t, g)
		began := time.Now()
		err := stop()
		require.Equal(t, 3*time.Second, time.Since(began))
		var l *worker.LeftError
		require.ErrorAs(t, err, &l)
		require.Equal(t, []string{"deaf"}, l.Workers)
		s := g.Status()
		require.Len(t, s.Abandoned, 1)
		require.Contains(t, s.Abandoned[0].Stack, "TestWhoIgnoresTheEndIsNamedWithItsStack")
		close(hold)
		synctest.Wait()
		require.Empty(t, g.Status().Abandoned, "one that returns late is no longer counted")
		require.EqualValues(t, 1, g.Status().Given)
	})
}

func TestMistakesAreKeptAndNeverPanic(t *testing.T) {
	g := worker.NewGroup(silent(worker.GroupOptions{
		Name: " x", Strategy: 9, StopTimeout: -1, MaxAbandoned: -2, Restart: worker.Restart{Jitter: 2, Intensity: -2, Delay: -2, Quarantine: -2},
	}))
	p := newPuppet("a", nil)
	err := g.Add(worker.Spec{}, worker.Spec{Name: "no\nline", Run: p.run}, worker.Spec{Name: "b", Run: worker.Serve(nil)}, p.spec(), p.spec(),
		worker.Spec{Name: "c", Run: p.run, Budget: -1, Restart: worker.Restart{Delay: 2, MaxDelay: 1, Period: -1, Decay: -1}})
	for _, s := range []string{"has no name", "printed", "no Run", "two workers", "Budget", "above MaxDelay", "Period", "Decay"} {
		require.ErrorContains(t, err, s)
	}
	for _, s := range []string{"group \" x\"", "Strategy", "StopTimeout", "MaxAbandoned", "Jitter", "Intensity", "Delay", "Quarantine", "has no name"} {
		require.ErrorContains(t, g.Validate(), s)
	}
	require.Len(t, g.Status().Workers, 1, "the sound one is there")
}
