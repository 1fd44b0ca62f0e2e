package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

// many is a group of n workers that wait; those with a budget beat when asked.
func many(t testing.TB, n int, budget time.Duration) (g *worker.Group, beatAll func()) {
	t.Helper()
	g = worker.NewGroup(silent(worker.GroupOptions{}))
	beats := make([]func(), n)
	var up atomic.Int64
	for i := range n {
		require.NoError(t, g.Add(worker.Spec{Name: fmt.Sprint("w", i), Budget: budget, Run: func(ctx context.Context, beat func()) error {
			beats[i] = beat
			up.Add(1)
			<-ctx.Done()
			return nil
		}}))
	}
	started(t, g)
	until(t, func() bool { return up.Load() == int64(n) })
	return g, func() {
		for _, b := range beats {
			b()
		}
	}
}

// BenchmarkPackOverhead is one look of each watch, which comes once a second: ns/op
// over 1e9 is the share of a core. "beating" is the worst case that is healthy,
// where every worker has beaten since the last look.
func BenchmarkPackOverhead(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		for _, c := range []struct {
			name   string
			budget time.Duration
		}{{"plain", 0}, {"beating", time.Hour}} {
			b.Run(fmt.Sprintf("worker/%s/%d", c.name, n), func(b *testing.B) {
				g, beatAll := many(b, n, c.budget)
				ws := worker.Module(worker.Options{Groups: []*worker.Group{g}}).Watches
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					beatAll()
					b.StartTimer()
					for _, w := range ws {
						if fs, err := w.Detector.Detect(b.Context()); len(fs) > 0 || err != nil {
							b.Fatal(fs, err)
						}
					}
				}
			})
		}
	}
}

func BenchmarkBeat(b *testing.B) {
	beats := make(chan func(), 1)
	g := worker.NewGroup(silent(worker.GroupOptions{}))
	require.NoError(b, g.Add(worker.Spec{Name: "a", Budget: time.Hour, Run: func(ctx context.Context, beat func()) error {
		beats <- beat
		<-ctx.Done()
		return nil
	}}))
	started(b, g)
	beat := <-beats
	b.ReportAllocs()
	for b.Loop() {
		beat()
	}
}

// BenchmarkRestartAmong is a restart beside siblings: theirs is no cost of it.
func BenchmarkRestartAmong(b *testing.B) {
	for _, n := range []int{0, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g, _ := many(b, n, 0)
			p := newPuppet("dying", nil)
			require.NoError(b, g.Add(worker.Spec{Name: "dying", Run: p.run, Restart: worker.Restart{Intensity: -1, Delay: -1}}))
			b.ReportAllocs()
			for b.Loop() {
				p.fail()
			}
		})
	}
}

// stops are the stops of the world so far, other than the collector's.
func stops() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}

// BenchmarkStacks is a look at a stack among 10,000 goroutines, and a replacement.
// It prints how the stops of the world meanwhile are spread; on a machine that is
// busy otherwise the longest say more of that than of the look.
func BenchmarkStacks(b *testing.B) {
	g, _ := many(b, 10_000, 0)
	before := stops()
	for b.Loop() {
		if err := g.Replace(b.Context(), "w5"); err != nil {
			b.Fatal(err)
		}
		for len(g.Status().Abandoned) > 0 {
			runtime.Gosched()
		}
	}
	after := stops()
	var all, seen uint64
	for i, n := range after.Counts {
		all += n - before.Counts[i]
	}
	for i, n := range after.Counts {
		n -= before.Counts[i]
		if seen < (all+1)/2 && seen+n >= (all+1)/2 {
			b.ReportMetric(after.Buckets[i+1]*1e6, "us-stopped-p50")
		}
		if seen+n == all && n > 0 {
			b.ReportMetric(after.Buckets[i+1]*1e6, "us-stopped-max")
		}
		seen += n
	}
	b.ReportMetric(float64(all)/float64(b.N), "stops/op")
}

func TestAHealthyLookAllocatesNothing(t *testing.T) {
	g, beatAll := many(t, 100, time.Hour)
	for _, w := range worker.Module(worker.Options{Groups: []*worker.Group{g}}).Watches {
		n := testing.AllocsPerRun(100, func() {
			beatAll()
			_, _ = w.Detector.Detect(t.Context())
		})
		require.Zero(t, n, w.Name)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	t.Cleanup(func() { noneLeft(t) }) // after the group has ended
	g, _ := many(t, 50, time.Second)
	for i := range 50 {
		require.NoError(t, g.Restart(t.Context(), fmt.Sprint("w", i)))
	}
	require.NoError(t, g.Remove(t.Context(), "w3"))
	require.Positive(t, left(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, g.Run(ctx), worker.ErrRunning)
}
