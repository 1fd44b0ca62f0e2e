package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

func TestRestartOnDemandIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := newJournal()
		why := make(chan error, 2)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
			j.add("up")
			<-ctx.Done()
			why <- context.Cause(ctx)
			return ctx.Err()
		}}))
		stop := started(t, g)
		require.NoError(t, g.Restart(t.Context(), "a"))
		synctest.Wait()
		require.Equal(t, []string{"0s up", "0s up"}, j.take())
		require.ErrorIs(t, <-why, worker.ErrRestarting)
		require.Zero(t, of(t, g, "a").Deaths)
		require.ErrorIs(t, g.Restart(t.Context(), "b"), worker.ErrUnknown)
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, g.Restart(dead, "a"), context.Canceled)
		require.ErrorIs(t, g.Replace(dead, "a"), context.Canceled)
		require.ErrorIs(t, g.Quarantine(dead, "a", ""), context.Canceled)
		require.NoError(t, stop())
		require.ErrorIs(t, g.Restart(t.Context(), "a"), worker.ErrNotRunning)
	})
}

// deaf works until it is let go, whatever its context says.
func deaf(hold <-chan struct{}, started func()) worker.Func {
	return func(context.Context, func()) error { started(); <-hold; return nil }
}

func TestAWorkerThatIgnoresItsContextIsReplacedUpToTheCap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j, hold := newJournal(), make(chan struct{})
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "deaf", Run: deaf(hold, func() { j.add("up") }), Always: true}))
		stop := started(t, g)
		require.ErrorIs(t, g.Restart(t.Context(), "deaf"), worker.ErrIgnored)
		require.Equal(t, "stopping", of(t, g, "deaf").State)
		for range 3 {
			require.NoError(t, g.Replace(t.Context(), "deaf"))
			synctest.Wait()
		}
		require.Equal(t, []string{"0s up", "10s up", "10s up", "10s up"}, j.take())
		require.ErrorIs(t, g.Replace(t.Context(), "deaf"), worker.ErrCap)
		s := g.Status()
		require.Len(t, s.Abandoned, 3)
		for _, a := range s.Abandoned {
			require.Contains(t, a.Stack, "deaf")
		}
		close(hold)
		require.NoError(t, stop())
	})
}

func TestABeatOfAReplacedRunDoesNotSpeakForItsSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		beats := make(chan func(), 4)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Budget: time.Second, Run: func(_ context.Context, beat func()) error {
			beats <- beat
			<-hold
			return nil
		}}))
		stop := started(t, g)
		d := worker.Stuck(worker.Options{Groups: []*worker.Group{g}}).Detector
		old := <-beats
		require.NoError(t, g.Replace(t.Context(), "a"))
		<-beats
		for range 6 {
			old()
			time.Sleep(time.Second)
			_, _ = d.Detect(t.Context())
		}
		require.True(t, of(t, g, "a").Late)
		close(hold)
		require.NoError(t, stop())
	})
}

func TestQuarantineOnDemandLastsUntilRelease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := newJournal()
		p := newPuppet("a", j)
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(p.spec()))
		started(t, g)
		synctest.Wait()
		require.NoError(t, g.Quarantine(t.Context(), "a", "ticket\n42"))
		w := of(t, g, "a")
		require.Equal(t, "given up", w.State)
		require.Equal(t, "ticket 42", w.Why)
		time.Sleep(24 * time.Hour)
		require.Equal(t, []string{"0s a up", "0s a down"}, j.take())
		require.NoError(t, g.Release("a"))
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "a").State)
	})
}

func TestRemoveFreesTheName(t *testing.T) {
	for s := range worker.OneForAll + 1 {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g, _, j := chain(t, s, exact, "a", "b", "c")
				started(t, g)
				synctest.Wait()
				j.take()
				require.NoError(t, g.Remove(t.Context(), "b"))
				synctest.Wait()
				require.Equal(t, []string{"0s b down"}, j.take())
				require.ErrorIs(t, g.Remove(t.Context(), "b"), worker.ErrUnknown)
				require.NoError(t, g.Add(worker.Spec{Name: "b", Run: newPuppet("new", j).run}))
				synctest.Wait()
				require.Equal(t, "running", of(t, g, "b").State, "one that is added while Run is under way starts at once")
				require.Len(t, g.Status().Workers, 3)
			})
		})
	}
}

func TestRemovingTheOneThatBlocksFreesThoseThatWait(t *testing.T) {
	for _, s := range []worker.Strategy{worker.RestForOne, worker.OneForAll} {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g, _, _ := chain(t, s, exact, "a", "b", "c", "d")
				started(t, g)
				synctest.Wait()
				require.NoError(t, g.Quarantine(t.Context(), "b", ""))
				synctest.Wait()
				require.Equal(t, "held", of(t, g, "d").State)
				require.NoError(t, g.Remove(t.Context(), "b"))
				synctest.Wait()
				for _, n := range []string{"a", "c", "d"} {
					require.Equal(t, "running", of(t, g, n).State, n)
				}
			})
		})
	}
}

func TestAPanicOnTheWayDownIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []worker.Event
		g := worker.NewGroup(silent(worker.GroupOptions{OnEvent: func(_ context.Context, e worker.Event) {
			if e.Kind == worker.Died {
				told = append(told, e)
			}
		}}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			panic("closed twice")
		}}))
		stop := started(t, g)
		synctest.Wait()
		require.NoError(t, stop())
		require.Len(t, told, 1)
		require.EqualError(t, told[0].Err, "panic: closed twice")
	})
}

func TestAWorkerMayCallItsGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		called := make(chan error, 4)
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
			called <- g.Add(worker.Spec{Name: "child", Run: newPuppet("child", nil).run})
			called <- g.Restart(ctx, "child")
			_ = g.Status()
			called <- g.Remove(ctx, "child")
			<-ctx.Done()
			return nil
		}}))
		stop := started(t, g)
		for range 3 {
			require.NoError(t, <-called)
		}
		require.NoError(t, stop())
	})
}

func TestAGroupIsAWorkerOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, p := worker.NewGroup(silent(worker.GroupOptions{Name: "inner"})), newPuppet("a", nil)
		s := p.spec()
		s.Essential, s.Restart = true, worker.Restart{Intensity: 1, Delay: -1}
		require.NoError(t, inner.Add(s))
		outer := worker.NewGroup(silent(worker.GroupOptions{Name: "outer"}))
		require.NoError(t, outer.Add(worker.Service("inner", inner)))
		stop := started(t, outer)
		p.fail()
		p.fail()
		synctest.Wait()
		require.EqualValues(t, 1, of(t, outer, "inner").Deaths, "giving up is a failure of the group above")
		require.Equal(t, "running", of(t, inner, "a").State)
		require.NoError(t, stop())
	})
}
