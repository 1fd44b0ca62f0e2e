package worker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

// chain is a group of puppets that depend on each other in order.
func chain(t *testing.T, s worker.Strategy, r worker.Restart, names ...string) (*worker.Group, map[string]*puppet, *journal) {
	t.Helper()
	j := newJournal()
	g := worker.NewGroup(silent(worker.GroupOptions{Strategy: s, Restart: r}))
	ps := map[string]*puppet{}
	for _, n := range names {
		p := newPuppet(n, j)
		ps[n] = p
		require.NoError(t, g.Add(worker.Spec{Name: n, Run: p.run}))
	}
	return g, ps, j
}

func sorted(lines []string) map[string]int {
	m := map[string]int{}
	for _, l := range lines {
		m[l]++
	}
	return m
}

func TestRestForOneStopsInReverseAndStartsInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g, ps, j := chain(t, worker.RestForOne, exact, "a", "b", "c", "d")
		stop := started(t, g)
		synctest.Wait()
		j.take()
		ps["b"].fail()
		synctest.Wait()
		lines := j.take()
		require.Equal(t, []string{"0s d down", "0s c down"}, lines[:2], "dependents first")
		require.Equal(t, sorted([]string{"0s b up", "0s c up", "0s d up"}), sorted(lines[2:]), "a is left alone")
		ps["b"].fail() // the second time there is a pause, in which the dependents are down
		synctest.Wait()
		require.Equal(t, "pausing", of(t, g, "b").State)
		require.Equal(t, "held", of(t, g, "c").State)
		require.Equal(t, "running", of(t, g, "a").State)
		time.Sleep(time.Second)
		require.Equal(t, sorted([]string{"0s d down", "0s c down", "100ms b up", "100ms c up", "100ms d up"}), sorted(j.take()))
		require.NoError(t, stop())
		require.Equal(t, []string{"1s d down", "1s c down", "1s b down", "1s a down"}, j.take(), "the end is in reverse order, one after the other")
	})
}

func TestOneForAllRestartsAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g, ps, j := chain(t, worker.OneForAll, exact, "a", "b", "c")
		started(t, g)
		synctest.Wait()
		j.take()
		ps["b"].fail()
		synctest.Wait()
		lines := j.take()
		require.Equal(t, []string{"0s c down", "0s a down"}, lines[:2])
		require.Equal(t, sorted([]string{"0s a up", "0s b up", "0s c up"}), sorted(lines[2:]))
		require.EqualValues(t, 0, of(t, g, "a").Deaths, "one that was stopped for another has not failed")
	})
}

func TestDependentsOfOneThatWasGivenUpAreHeld(t *testing.T) {
	for _, c := range []struct {
		strategy worker.Strategy
		a        string
	}{{worker.RestForOne, "running"}, {worker.OneForAll, "held"}} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g, ps, _ := chain(t, c.strategy, worker.Restart{Intensity: 1, Delay: -1}, "a", "b", "c")
				started(t, g)
				ps["b"].fail()
				ps["b"].fail()
				synctest.Wait()
				require.Equal(t, "given up", of(t, g, "b").State)
				require.Equal(t, "held", of(t, g, "c").State)
				require.Equal(t, c.a, of(t, g, "a").State)
				require.ErrorIs(t, g.Restart(t.Context(), "c"), worker.ErrHeld)
				time.Sleep(5*time.Minute + time.Second) // the trial
				for _, n := range []string{"a", "b", "c"} {
					require.Equal(t, "running", of(t, g, n).State, n)
				}
				ps["b"].fail() // a trial has no fresh count
				synctest.Wait()
				require.Equal(t, "given up", of(t, g, "b").State)
				require.NoError(t, g.Release("b"))
				synctest.Wait()
				require.Equal(t, "running", of(t, g, "c").State)
			})
		})
	}
}

func TestADependentThatIgnoresItsEndIsReplacedInTheRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		j := newJournal()
		a := newPuppet("a", j)
		g := worker.NewGroup(silent(worker.GroupOptions{Strategy: worker.RestForOne, StopTimeout: 2 * time.Second, MaxAbandoned: 1}))
		require.NoError(t, g.Add(a.spec(), worker.Spec{Name: "deaf", Run: func(context.Context, func()) error {
			j.add("deaf up")
			<-hold
			return nil
		}}))
		stop := started(t, g)
		synctest.Wait()
		j.take()
		a.fail()
		time.Sleep(3 * time.Second)
		require.Equal(t, sorted([]string{"2s a up", "2s deaf up"}), sorted(j.take()))
		require.Len(t, g.Status().Abandoned, 1)
		require.Contains(t, g.Status().Abandoned[0].Stack, "TestADependentThatIgnoresItsEndIsReplacedInTheRound")
		a.fail() // the cap is reached: the round waits for it, and a stays down
		time.Sleep(time.Minute)
		require.Equal(t, "stopping", of(t, g, "deaf").State)
		require.Equal(t, "pausing", of(t, g, "a").State)
		close(hold)
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "a").State)
		require.Empty(t, g.Status().Abandoned)
		_ = stop()
	})
}

// Random scripts: whatever happens, a worker never has two runs at once that were
// not abandoned, and once the faults are over everything is up again.
func TestRandomScripts(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { randomScript(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomScript(t *testing.T, r *rand.Rand) {
	g := worker.NewGroup(silent(worker.GroupOptions{
		Strategy: worker.Strategy(r.IntN(3)), StopTimeout: time.Second,
		Restart: worker.Restart{Intensity: 1 + r.IntN(5), Period: time.Minute},
	}))
	ups := make([]chan int, 5) // how many runs each has
	ps := make([]*puppet, len(ups))
	for i := range ps {
		ups[i] = make(chan int, 1)
		ups[i] <- 0
		p := newPuppet(fmt.Sprint(i), nil)
		ps[i] = p
		require.NoError(t, g.Add(worker.Spec{Name: p.name, Run: func(ctx context.Context, beat func()) error {
			n := <-ups[i] + 1
			ups[i] <- n
			if n > 1 {
				t.Errorf("worker %d runs %d times at once", i, n)
			}
			defer func() { ups[i] <- <-ups[i] - 1 }()
			return p.run(ctx, beat)
		}}))
	}
	stop := started(t, g)
	for range 60 {
		p := ps[r.IntN(len(ps))]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		switch r.IntN(8) {
		case 0, 1, 2:
			select {
			case p.say <- func() error { return errFault }:
			case <-ctx.Done():
			}
		case 3:
			_ = g.Restart(ctx, p.name)
		case 4:
			_ = g.Quarantine(ctx, p.name, "")
		case 5:
			_ = g.Release(p.name)
		case 6:
			time.Sleep(time.Duration(r.IntN(20)) * time.Second)
		case 7:
			_ = g.Status()
		}
		cancel()
	}
	for _, p := range ps {
		require.NoError(t, g.Release(p.name))
	}
	time.Sleep(3 * time.Hour)
	for _, p := range ps {
		require.Equal(t, "running", of(t, g, p.name).State, "%v", g.Status())
	}
	require.NoError(t, stop())
}
