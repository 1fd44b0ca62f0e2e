package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/thejerf/suture/v4"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

// Both sides restart at once and without a bound, and tell nobody: what is
// measured is the restart.

func quiet() worker.GroupOptions {
	return worker.GroupOptions{
		Restart: worker.Restart{Intensity: -1, Delay: -1},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func quietSuture() suture.Spec {
	return suture.Spec{FailureThreshold: 1e18, EventHook: func(suture.Event) {}}
}

// service is what is supervised on both sides: the same code, by the adapter.
type service struct {
	name string
	do   func(ctx context.Context) error
}

func (s *service) Serve(ctx context.Context) error { return s.do(ctx) }
func (s *service) String() string                  { return s.name }

var errFault = errors.New("fault")

// dying fails n times, then says so and waits.
func dying(n int, fail func() error) (do func(ctx context.Context) error, over chan struct{}) {
	var runs atomic.Int64
	over = make(chan struct{})
	return func(ctx context.Context) error {
		if runs.Add(1) <= int64(n) {
			return fail()
		}
		close(over)
		<-ctx.Done()
		return nil
	}, over
}

func selfhealRun(tb testing.TB, services ...*service) (stop func()) {
	tb.Helper()
	g := worker.NewGroup(quiet())
	for _, s := range services {
		if err := g.Add(worker.Service(s.name, s)); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
}

func sutureRun(_ testing.TB, services ...*service) (stop func()) {
	s := suture.New("bench", quietSuture())
	for _, x := range services {
		s.Add(x)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := s.ServeBackground(ctx)
	return func() {
		cancel()
		<-done
	}
}

// faults are the ways to end of which a restart is measured.
var faults = []struct {
	name string
	fail func() error
}{
	{"return", func() error { return errFault }},
	{"panic", func() error { panic(errFault) }},
}

// sides are the supervisors.
var sides = []struct {
	name string
	run  func(tb testing.TB, services ...*service) (stop func())
}{
	{"selfheal", selfhealRun},
	{"suture", sutureRun},
}

// BenchmarkRestart is the time from the start of a run that fails at once to that
// of the next, and what it allocates. cpu-ns/op is what all threads used: on a busy
// machine it says more than the time.
func BenchmarkRestart(b *testing.B) {
	for _, f := range faults {
		for _, s := range sides {
			b.Run(f.name+"/"+s.name, func(b *testing.B) {
				b.ReportAllocs()
				do, over := dying(b.N, f.fail)
				used := cpu()
				b.ResetTimer()
				stop := s.run(b, &service{"dying", do})
				<-over
				b.StopTimer()
				b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
				stop()
			})
		}
	}
}

// A restart allocates fewer bytes than suture's.
func TestFewerBytesARestart(t *testing.T) {
	const n = 2_000
	for _, f := range faults {
		bytes := map[string]uint64{}
		for _, s := range sides {
			var before, after runtime.MemStats
			do, over := dying(n, f.fail)
			runtime.GC()
			runtime.ReadMemStats(&before)
			stop := s.run(t, &service{"dying", do})
			<-over
			runtime.ReadMemStats(&after)
			stop()
			bytes[s.name] = (after.TotalAlloc - before.TotalAlloc) / n
		}
		t.Logf("after a %s: %v bytes a restart", f.name, bytes)
		if bytes["selfheal"] >= bytes["suture"] {
			t.Errorf("after a %s a restart allocates %d bytes, and suture's %d", f.name, bytes["selfheal"], bytes["suture"])
		}
	}
}
