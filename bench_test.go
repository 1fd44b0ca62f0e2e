package selfheal_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// cpu is what the process has used so far.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// running runs a supervisor until the end of b.
func running(b *testing.B, s *selfheal.Supervisor) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
}

var nobody = escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil }))

// periods are mixed so that the mean is one look a second for each watch.
var periods = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Second}

// BenchmarkWatches keeps many watches for some seconds: mixed periods, registered
// in random order, hung-check detection on. Beside it, in the same run, the naive
// goroutine with a ticker for each, which knows neither time-outs nor hung checks.
// It prints the share of one core, bytes a watch beyond the user's own values and
// closures, and the latest look. The ticker's 1M takes 3.4 GB: only on request.
func BenchmarkWatches(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		name := map[int]string{1_000: "1k", 100_000: "100k", 1_000_000: "1M"}[n]
		b.Run(name, func(b *testing.B) { benchWatches(b, n, supervised) })
		if n < 1_000_000 || os.Getenv("SELFHEAL_NAIVE_1M") != "" {
			b.Run(name+"-tickers", func(b *testing.B) { benchWatches(b, n, naive) })
		}
	}
}

// user is what the user of a watch has anyway: a value, a closure, a detector.
type user struct {
	name     string
	every    time.Duration
	looks    atomic.Int64
	detector detect.Detector
}

func benchWatches(b *testing.B, n int, run func(*testing.B, []user) func()) {
	for b.Loop() {
		users := make([]user, n)
		for i, j := range rand.Perm(n) {
			u := &users[i]
			u.name, u.every = fmt.Sprintf("module/watch-%07d", j), periods[j%len(periods)]
			u.detector = detect.Above(func(context.Context) (int64, error) {
				u.looks.Add(1)
				return 1, nil
			}, 10)
		}
		before := heap()
		stop := run(b, users)
		for looked(users) < n {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		b.ReportMetric((float64(heap())-float64(before))/float64(n), "B/watch")
		looks, start, used := count(users), time.Now(), cpu()
		time.Sleep(5 * time.Second)
		spent, wall := cpu()-used, time.Since(start)
		looks = count(users) - looks
		b.ReportMetric(100*spent.Seconds()/wall.Seconds(), "%core")
		b.ReportMetric(100*float64(looks)/float64(n)/wall.Seconds(), "%done")
		b.ReportMetric(float64(spent)/float64(max(looks, 1)), "cpu-ns/look")
		b.ReportMetric(0, "ns/op")
		stop()
	}
}

func count(users []user) (sum int64) {
	for i := range users {
		sum += users[i].looks.Load()
	}
	return sum
}

// looked is how many have been looked at.
func looked(users []user) (n int) {
	for i := range users {
		if users[i].looks.Load() > 0 {
			n++
		}
	}
	return n
}

func supervised(b *testing.B, users []user) (stop func()) {
	s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
	for i := range users {
		s.Watch(selfheal.Watch{Name: users[i].name, Detector: users[i].detector, Every: users[i].every})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		b.ReportMetric(s.Status().Late.Seconds()*1e3, "late-ms-max")
		cancel()
		<-done
	}
}

func naive(b *testing.B, users []user) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range users {
		u := &users[i]
		wg.Go(func() {
			t := time.NewTicker(u.every)
			defer t.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-t.C:
					_, _ = u.detector.Detect(ctx)
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// BenchmarkHealthyCheck is what one due check of a healthy threshold costs in
// all, beside a plain call of its read function.
func BenchmarkHealthyCheck(b *testing.B) {
	var looks atomic.Int64
	read := func(context.Context) (int64, error) { looks.Add(1); return 1, nil }
	b.Run("plain", func(b *testing.B) {
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = read(ctx)
		}
	})
	b.Run("supervised", func(b *testing.B) {
		const watches, every = 5_000, 20 * time.Millisecond
		s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
		for i := range watches {
			s.Watch(selfheal.Watch{Name: fmt.Sprintf("watch-%d", i), Every: every, Detector: detect.Above(read, 10)})
		}
		running(b, s)
		time.Sleep(time.Second)
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		b.ResetTimer()
		from, used := looks.Load(), cpu()
		for looks.Load()-from < int64(b.N) {
			time.Sleep(every)
		}
		n := float64(looks.Load() - from)
		spent := cpu() - used
		runtime.ReadMemStats(&m1)
		b.ReportMetric(float64(spent)/n, "cpu-ns/check")
		b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/n, "mallocs/check")
	})
}

var quiet = slog.New(slog.DiscardHandler)

func step(run func()) remediate.Playbook {
	return remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Settle: time.Hour, Run: func(context.Context, remediate.Request) error { run(); return nil }})
}
