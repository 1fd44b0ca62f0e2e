package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

// The traps that Go supervisors fell into, each with what must not happen here.

// suture: one bad service delays its healthy sibling's restart by the whole
// back-off; oversight: the second failure in 5 s ends healthy siblings too.
func TestTrapSharedBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := newJournal()
		good, calm := newPuppet("good", j), newPuppet("calm", j)
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: exact}))
		require.NoError(t, g.Add(good.spec(), calm.spec(),
			worker.Spec{Name: "bad", Run: func(context.Context, func()) error { return errFault }}))
		started(t, g)
		time.Sleep(40 * time.Second)
		require.Equal(t, "pausing", of(t, g, "bad").State, "it is in the middle of its back-off")
		j.take()
		good.fail()
		synctest.Wait()
		require.Equal(t, []string{"40s good up"}, j.take(), "at once")
		time.Sleep(time.Minute)
		require.Equal(t, "given up", of(t, g, "bad").State)
		good.fail()
		synctest.Wait()
		require.Equal(t, "running", of(t, g, "good").State)
		require.Equal(t, 100*time.Second, of(t, g, "calm").For, "a sibling never noticed")
	})
}

// suture: an EventHook that calls the supervisor deadlocks, and a slow one stops
// every restart.
func TestTrapHookOnTheLoop(t *testing.T) {
	t.Run("calls back", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var g *worker.Group
			p := newPuppet("a", nil)
			var calls atomic.Int64
			g = worker.NewGroup(silent(worker.GroupOptions{OnEvent: func(ctx context.Context, e worker.Event) {
				if e.Kind == worker.Died {
					_ = g.Status()
					_ = g.Add(worker.Spec{Name: "new", Run: newPuppet("new", nil).run})
					_ = g.Restart(ctx, "new")
					_ = g.Remove(ctx, "new")
					calls.Add(1)
				}
			}}))
			require.NoError(t, g.Add(p.spec()))
			stop := started(t, g)
			p.fail()
			p.fail()
			time.Sleep(time.Second)
			require.EqualValues(t, 2, calls.Load())
			require.NoError(t, stop())
		})
	})
	t.Run("hangs", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			hold := make(chan struct{})
			p := newPuppet("a", nil)
			g := worker.NewGroup(silent(worker.GroupOptions{
				Restart: worker.Restart{Intensity: -1, Delay: -1},
				OnEvent: func(context.Context, worker.Event) { <-hold },
			}))
			require.NoError(t, g.Add(p.spec()))
			stop := started(t, g)
			for range 2_000 {
				p.fail()
			}
			synctest.Wait()
			require.Equal(t, "running", of(t, g, "a").State)
			require.EqualValues(t, 2_000, of(t, g, "a").Deaths)
			time.Sleep(time.Minute)
			s := g.Status()
			require.Equal(t, time.Minute, s.HookBusy, "it is seen to hang")
			require.Positive(t, s.Dropped)
			began := time.Now()
			require.NoError(t, stop())
			require.Equal(t, 10*time.Second, time.Since(began), "Run does not wait for it for ever")
			close(hold)
		})
	})
	t.Run("panics", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := newPuppet("a", nil)
			calls := 0
			g := worker.NewGroup(silent(worker.GroupOptions{OnEvent: func(context.Context, worker.Event) { calls++; panic("hook") }}))
			require.NoError(t, g.Add(p.spec()))
			stop := started(t, g)
			p.fail()
			synctest.Wait()
			require.Equal(t, "running", of(t, g, "a").State)
			require.NoError(t, stop())
			require.Equal(t, 4, calls, "the next events come all the same")
		})
	})
	t.Run("in order", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := newPuppet("a", nil)
			var seen []uint64
			g := worker.NewGroup(silent(worker.GroupOptions{
				Restart: worker.Restart{Intensity: -1, Delay: -1},
				OnEvent: func(_ context.Context, e worker.Event) {
					if e.Kind == worker.Died {
						seen = append(seen, e.Deaths)
						time.Sleep(time.Millisecond)
					}
				},
			}))
			require.NoError(t, g.Add(p.spec()))
			stop := started(t, g)
			for range 100 {
				p.fail()
			}
			time.Sleep(time.Second)
			require.NoError(t, stop())
			require.Len(t, seen, 100)
			for i, n := range seen {
				require.EqualValues(t, i+1, n)
			}
		})
	})
}

// suture: a service that hangs is never seen.
func TestTrapHangUnseen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Budget: 10 * time.Second, Run: newPuppet("a", nil).run}))
		started(t, g)
		d := worker.Stuck(worker.Options{Groups: []*worker.Group{g}}).Detector
		for range 29 {
			time.Sleep(time.Second)
			fs, err := d.Detect(t.Context())
			require.NoError(t, err)
			require.Empty(t, fs)
		}
		require.True(t, of(t, g, "a").Late)
		time.Sleep(2 * time.Second)
		fs, err := d.Detect(t.Context())
		require.NoError(t, err)
		require.Len(t, fs, 1)
		require.Equal(t, "a", fs[0].Key)
		require.Regexp(t, `^no beat for 3\ds, budget 10s: (stuck )?at .*puppet\)\.run \(help_test\.go:\d+\)$`, fs[0].Summary)
	})
}

// suture once: an error of a context that the service had made was
// taken for the end of its own, and the service ended for good.
func TestTrapChildContextsErrorTakenForOnesOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runs := make(chan struct{}, 10)
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: exact}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
			runs <- struct{}{}
			child, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			<-child.Done()
			return fmt.Errorf("query: %w", child.Err())
		}}, worker.Spec{Name: "b", Run: func(ctx context.Context, _ func()) error {
			runs <- struct{}{}
			child, cancel := context.WithCancel(ctx)
			cancel()
			return child.Err()
		}}))
		started(t, g)
		time.Sleep(1500 * time.Millisecond)
		require.GreaterOrEqual(t, len(runs), 5)
		for _, n := range []string{"a", "b"} {
			require.NotEqual(t, "done", of(t, g, n).State)
			require.Positive(t, of(t, g, n).Deaths)
		}
	})
}

// oversight: the restart log is never trimmed, and 8 us a restart become 120 us
// after 20,000. Here what is kept, and what a restart allocates, stays as it was.
func TestTrapRestartLogNeverTrimmed(t *testing.T) {
	p := newPuppet("a", nil)
	g := worker.NewGroup(silent(worker.GroupOptions{Restart: worker.Restart{Delay: -1}}))
	require.NoError(t, g.Add(worker.Spec{Name: "a", Run: p.run, Restart: worker.Restart{Intensity: -1}}))
	short := newPuppet("b", nil)
	require.NoError(t, g.Add(worker.Spec{Name: "b", Run: short.run, Restart: worker.Restart{Intensity: 50, Period: time.Nanosecond}}))
	started(t, g)
	bytes := func(p *puppet) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 1_000 {
			p.fail()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / 1_000
	}
	for _, p := range []*puppet{p, short} {
		bytes(p)
		first := bytes(p)
		for range 18_000 {
			p.fail()
		}
		require.InDelta(t, first, bytes(p), float64(first)/5, "bytes a restart")
	}
	until(t, func() bool { return of(t, g, "b").Deaths == 21_000 })
	require.LessOrEqual(t, of(t, g, "b").Recent, 50)
}
