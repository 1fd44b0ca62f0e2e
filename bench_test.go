//go:build unix

package selfheal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
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

// crowd is many watches with what their users have anyway: detectors, and the
// closures that they read with. One in a hundred notes when it is looked at; the
// others share a closure, because what lies behind a user's closure is the user's.
type crowd struct {
	names     []string
	every     []time.Duration
	detectors []detect.Detector
	looks     atomic.Int64
	probes    []*probe
}

// probe notes how far from its period each look is.
type probe struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
	late  []time.Duration
}

func (p *probe) read(context.Context) (int64, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() {
		p.late = append(p.late, max(now.Sub(p.last)-p.every, 0))
	}
	p.last = now
	return 1, nil
}

func newCrowd(n int) *crowd {
	c := &crowd{}
	read := func(context.Context) (int64, error) { c.looks.Add(1); return 1, nil }
	for i, j := range rand.Perm(n) {
		c.names = append(c.names, fmt.Sprintf("module/watch-%07d", j))
		c.every = append(c.every, periods[j%len(periods)])
		read := read
		if i%100 == 0 {
			p := &probe{every: c.every[i]}
			c.probes = append(c.probes, p)
			read = func(ctx context.Context) (int64, error) { c.looks.Add(1); return p.read(ctx) }
		}
		c.detectors = append(c.detectors, detect.Above(read, 10))
	}
	return c
}

func (c *crowd) forget() {
	for _, p := range c.probes {
		p.mu.Lock()
		p.late, p.last = p.late[:0], time.Time{}
		p.mu.Unlock()
	}
}

func (c *crowd) lateness() (all []time.Duration) {
	for _, p := range c.probes {
		p.mu.Lock()
		all = append(all, p.late...)
		p.mu.Unlock()
	}
	slices.Sort(all)
	return all
}

func benchWatches(b *testing.B, n int, run func(*testing.B, *crowd) func()) {
	for b.Loop() {
		c := newCrowd(n)
		before := heap()
		stop := run(b, c)
		for c.looks.Load() < 2*int64(n) { // all were looked at, and are in their stride
			time.Sleep(100 * time.Millisecond)
		}
		b.ReportMetric((float64(heap())-float64(before))/float64(n), "B/watch")
		time.Sleep(2 * time.Second)
		c.forget()
		looks, start, used := c.looks.Load(), time.Now(), cpu()
		time.Sleep(6 * time.Second)
		spent, wall := cpu()-used, time.Since(start)
		looks = c.looks.Load() - looks
		b.ReportMetric(100*spent.Seconds()/wall.Seconds(), "%core")
		b.ReportMetric(100*float64(looks)/float64(n)/wall.Seconds(), "%done")
		b.ReportMetric(float64(spent)/float64(max(looks, 1)), "cpu-ns/look")
		if late := c.lateness(); len(late) > 0 {
			b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "late-ms-p99")
		}
		b.ReportMetric(0, "ns/op")
		stop()
		runtime.KeepAlive(c)
	}
}

func supervised(b *testing.B, c *crowd) (stop func()) {
	s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
	for i := range c.names {
		s.Watch(selfheal.Watch{Name: c.names[i], Detector: c.detectors[i], Every: c.every[i]})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		<-done
	}
}

func naive(_ *testing.B, c *crowd) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range c.names {
		wg.Go(func() {
			t := time.NewTicker(c.every[i])
			defer t.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-t.C:
					_, _ = c.detectors[i].Detect(ctx)
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

func step(run func()) remediate.Playbook {
	return remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Settle: time.Hour, Run: func(context.Context, remediate.Request) error { run(); return nil }})
}
