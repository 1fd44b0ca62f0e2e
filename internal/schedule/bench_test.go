//go:build unix

package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// periods are mixed so that the mean is one check a second for each watch.
var periods = [...]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second}

// A watched is what the root package would have for each watch: its task, and a
// user's state that the check reads.
type watched struct {
	Task
	value atomic.Int64
	slot  *lateness
}

// lateness counts starts by how late they were, in steps of a millisecond.
type lateness struct {
	start atomic.Int64 // unix nanoseconds: the first second is not counted
	ms    [1001]atomic.Int64
}

func (l *lateness) count(late time.Duration) {
	l.ms[min(max(int(late/time.Millisecond), 0), 1000)].Add(1)
}

func (l *lateness) quantile(q float64) (ms float64) {
	var sum, seen int64
	for i := range l.ms {
		sum += l.ms[i].Load()
	}
	for i := range l.ms {
		if seen += l.ms[i].Load(); float64(seen) >= q*float64(sum) {
			return float64(i + 1)
		}
	}
	return 0
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// measured is how long one measurement of BenchmarkWatches takes.
const measured = 5 * time.Second

// BenchmarkWatches runs many checks in real time, and beside them the same checks
// with a goroutine and a ticker each, which know neither deadlines nor hung
// checks. Figures: share of one core, bytes a watch beyond the user's state, how
// late checks start. The ticker's 1M needs 3.4 GB: only with SELFHEAL_NAIVE_1M=1.
func BenchmarkWatches(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		name := map[int]string{1_000: "1k", 100_000: "100k", 1_000_000: "1M"}[n]
		b.Run(name+"/scheduler", func(b *testing.B) { measure(b, n, runScheduler) })
		if n < 1_000_000 || os.Getenv("SELFHEAL_NAIVE_1M") != "" {
			b.Run(name+"/tickers", func(b *testing.B) { measure(b, n, runTickers) })
		}
	}
}

func measure(b *testing.B, n int, run func(ctx context.Context, ws []*watched) (wait func())) {
	for range b.N {
		ws := make([]*watched, n)
		late := new(lateness)
		order := rand.Perm(n)
		names := make([]string, n)
		for i := range names {
			names[i] = "module/watch-" + strconv.Itoa(i)
		}
		before := heap()
		for i, at := range order {
			ws[i] = &watched{slot: late}
			ws[i].Task = Task{
				Name: names[at], Every: periods[at%len(periods)], Timeout: 10 * time.Second, Phase: -1,
				Owner: ws[i], Run: readValue,
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		late.start.Store(1 << 62)
		wait := run(ctx, ws)
		time.Sleep(2500 * time.Millisecond)
		bytes := heap() - before
		late.start.Store(0)
		checks := ran(ws)
		from, began := cpu(), time.Now()
		time.Sleep(measured)
		used, wall := cpu()-from, time.Since(began)
		checks = ran(ws) - checks
		cancel()
		wait()
		b.ReportMetric(100*float64(used)/float64(wall), "%core")
		b.ReportMetric(float64(used)/float64(max(checks, 1)), "cpu-ns/check")
		b.ReportMetric(float64(bytes)/float64(n)-16, "B/watch") // without value and slot
		b.ReportMetric(100*float64(checks)/wall.Seconds()/float64(n), "%done")
		b.ReportMetric(late.quantile(0.99), "p99-late-ms")
		b.ReportMetric(0, "ns/op")
	}
}

func ran(ws []*watched) (sum int64) {
	for _, w := range ws {
		sum += w.value.Load()
	}
	return sum
}

// benchStart is zero of the moments of the benchmark's tasks.
var benchStart atomic.Int64

func readValue(_ context.Context, t *Task, started time.Time) {
	w := t.Owner.(*watched)
	w.value.Add(1)
	if w.slot.start.Load() == 0 {
		w.slot.count(time.Duration(started.UnixNano() - benchStart.Load() - int64(t.due)))
	}
}

func runScheduler(ctx context.Context, ws []*watched) func() {
	s := New(Options{Warm: func(t *Task) { t.Owner.(*watched).value.Load() }})
	for _, w := range ws {
		s.Add(&w.Task)
	}
	done := make(chan error)
	benchStart.Store(time.Now().UnixNano())
	go func() { done <- s.Run(ctx) }()
	return func() {
		<-done
		if os.Getenv("SELFHEAL_STATS") != "" {
			fmt.Printf("%+v\n", s.Stats())
		}
	}
}

func runTickers(ctx context.Context, ws []*watched) func() {
	done := make(chan struct{})
	for _, w := range ws {
		go func() {
			t := time.NewTicker(w.Every)
			defer t.Stop()
			for {
				select {
				case <-ctx.Done():
					done <- struct{}{}
					return
				case now := <-t.C:
					w.value.Add(1)
					if w.slot.start.Load() == 0 {
						w.slot.count(time.Since(now))
					}
				}
			}
		}()
	}
	return func() {
		for range ws {
			<-done
		}
	}
}

var _ = sort.Ints
