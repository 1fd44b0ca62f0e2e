//go:build unix

package schedule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// periods are mixed so that the mean is one check a second for each watch.
var periods = [...]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second}

// A watched is what the root package would have for each watch: its task, and a
// user's state that the check reads. Its size is a multiple of 64, so that the
// hot part of Task is one cache line: worth a quarter of the cost at 1M.
type watched struct {
	Task
	value atomic.Int64
	slot  *lateness
	_     [16]byte
}

// lateness counts starts by how late they were, in steps of a millisecond.
type lateness struct {
	start atomic.Int64 // 0 when counting
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
		order := rand.Perm(n) // registration is in random order
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
		time.Sleep(2 * time.Second) // all first looks
		bytes := heap() - before
		time.Sleep(3 * time.Second) // what the start and the collector held up
		late.start.Store(0)
		checks := ran(ws)
		from, began := cpu(), time.Now()
		time.Sleep(measured)
		used, wall := cpu()-from, time.Since(began)
		checks = ran(ws) - checks
		cancel()
		wait()
		runtime.KeepAlive(order)
		runtime.KeepAlive(names)
		b.ReportMetric(100*float64(used)/float64(wall), "%core")
		b.ReportMetric(float64(used)/float64(max(checks, 1)), "cpu-ns/check")
		b.ReportMetric(float64(bytes)/float64(n)-32, "B/watch") // without value, slot and padding
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
	s := New(Options{Warm: []func(*Task){func(t *Task) { t.Owner.(*watched).value.Load() }}})
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

// BenchmarkHealthyCheck is one check of many that are due at once, with all that
// surrounds it: the way from the queue to the worker, the start published for the
// watchdog, the context, the next moment. Beside it the plain call.
func BenchmarkHealthyCheck(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		w := &watched{slot: new(lateness)}
		w.slot.start.Store(1)
		w.Owner = w
		run, ctx, started := readValue, context.Background(), time.Now()
		for b.Loop() {
			run(ctx, &w.Task, started)
		}
	})
	b.Run("scheduler", func(b *testing.B) {
		s, stop := started(b)
		defer stop()
		late := new(lateness)
		late.start.Store(1)
		// One worker's turn, by hand: no timer and no second core blur the figure.
		w := s.worker()
		tasks := make([]*watched, blockLen)
		s.mu.Lock()
		for i := range tasks {
			tasks[i] = &watched{slot: late}
			tasks[i].Task = Task{Every: time.Hour, Phase: 30 * time.Minute, Timeout: time.Second, Owner: tasks[i], Run: readValue}
			tasks[i].state.Store(added)
			tasks[i].plan(s.since(), 1)
		}
		s.mu.Unlock()
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i += blockLen {
			s.mu.Lock()
			for _, t := range tasks {
				s.enqueue(&t.Task, 0)
			}
			s.dispatch(s.since(), w)
			s.mu.Unlock()
			w.pass()
			s.mu.Lock()
			s.release(w, s.since())
			for _, t := range tasks {
				s.wheel.remove(&t.Task)
			}
			s.mu.Unlock()
		}
	})
}

// BenchmarkWakeToRun is the way from Wake to the first line of Run, alone and
// with 10,000 others at 1 s.
func BenchmarkWakeToRun(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprint("others=", others), func(b *testing.B) {
			s, stop := started(b)
			defer stop()
			for i := range others {
				s.Add(&Task{Name: strconv.Itoa(i), Every: time.Second, Phase: -1, Run: func(context.Context, *Task, time.Time) {}})
			}
			begun := make(chan time.Time, 1)
			task := &Task{Every: time.Hour, Phase: time.Minute, Run: func(context.Context, *Task, time.Time) { begun <- time.Now() }}
			s.Add(task)
			<-begun
			time.Sleep(1500 * time.Millisecond) // the first looks of the others
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for range b.N {
				from := time.Now()
				s.Wake(task)
				took = append(took, (<-begun).Sub(from))
				for s.Running(task) {
					runtime.Gosched()
				}
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
		})
	}
}

func BenchmarkAddRemove(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("others=", n), func(b *testing.B) {
			s, stop := started(b)
			defer stop()
			idle := func(context.Context, *Task, time.Time) {}
			for i := range n {
				s.Add(&Task{Name: strconv.Itoa(i), Every: 20 * time.Hour, Phase: -1, Run: idle})
			}
			names := make([]string, 1024)
			for i := range names {
				names[i] = fmt.Sprint("watch-", i)
			}
			b.ResetTimer()
			for i := range b.N {
				t := &Task{Name: names[i%len(names)], Every: 20 * time.Hour, Phase: -1, Run: idle}
				s.Add(t)
				s.Remove(t)
			}
		})
	}
}
