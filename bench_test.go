package selfheal_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
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

// readings are what the detectors read: the user's own, with a count of the
// looks that came too late.
type reading struct {
	v     int64
	every time.Duration
}

// BenchmarkWatches keeps many watches for some seconds, with mixed periods
// around 1 s, in random order, with hung-check detection on, and prints what
// they cost: cpu as a share of one core, bytes a watch beyond the user's own
// values and closures, and how late looks are.
func BenchmarkWatches(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(map[int]string{1_000: "1k", 100_000: "100k", 1_000_000: "1M"}[n], func(b *testing.B) {
			if n >= 1_000_000 && testing.Short() {
				b.Skip("a million watches take a while: run without -short")
			}
			benchWatches(b, n)
		})
	}
}

func benchWatches(b *testing.B, n int) {
	reads := make([]reading, n)
	ws := make([]selfheal.Watch, n)
	periods := []time.Duration{500 * time.Millisecond, time.Second, time.Second, time.Second, 2 * time.Second}
	detectors := make([]detect.Detector, n)
	for i := range reads {
		r := &reads[i]
		r.every = periods[i%len(periods)]
		detectors[i] = detect.Above(func(context.Context) (int64, error) { return r.v, nil }, 10)
	}
	names := make([]string, n)
	for i, j := range rand.Perm(n) {
		names[i] = fmt.Sprintf("watch-%07d", j)
	}
	before := heap()
	s := selfheal.New(selfheal.Options{Escalate: nobody})
	for i := range ws {
		ws[i] = selfheal.Watch{Name: names[i], Detector: detectors[i], Every: reads[i].every}
	}
	s.Watch(ws...)
	ws = nil
	running(b, s)
	time.Sleep(3 * time.Second)
	bytes := float64(heap()-before) / float64(n)
	for b.Loop() {
		start, used := time.Now(), cpu()
		time.Sleep(4 * time.Second)
		share := (cpu() - used).Seconds() / time.Since(start).Seconds()
		b.ReportMetric(100*share, "%core")
	}
	b.ReportMetric(bytes, "B/watch")
	b.ReportMetric(s.Status().Late.Seconds()*1e3, "late-ms-max")
	runtime.KeepAlive(reads)
}

var quiet = slog.New(slog.DiscardHandler)

func step(run func()) remediate.Playbook {
	return remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Settle: time.Hour, Run: func(context.Context, remediate.Request) error { run(); return nil }})
}
