package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
)

// hot are the calls that a service makes for every request and every item.
func hot(t testing.TB) map[string]func() {
	ctx := context.Background()
	open, shut, steered, ramping := queue.NewGate(queue.GateOptions{}), queue.NewGate(queue.GateOptions{}),
		queue.NewGate(queue.GateOptions{Overloaded: func() bool { return true }}), queue.NewGate(queue.GateOptions{Ramp: time.Hour})
	do(t, shut.Shed, "i")
	do(t, steered.Adapt, "i")
	do(t, ramping.Shed, "i")
	ended, cancel := context.WithCancel(ctx)
	time.AfterFunc(10*ms, cancel)
	_ = ramping.Restore(ended, request("i"))
	m, pause := queue.NewMeter(queue.CoDelOptions{}), queue.NewPause(queue.PauseOptions{})
	codel := queue.NewCoDel(queue.CoDelOptions{})
	m.Enter()
	now := time.Duration(0)
	return map[string]func(){
		"Admit/open":      func() { open.Admit(queue.Normal) },
		"Admit/shedding":  func() { shut.Admit(queue.Normal) },
		"Admit/ramping":   func() { ramping.Admit(queue.Normal) },
		"Admit/adapting":  func() { steered.Admit(queue.Normal) },
		"Meter":           func() { m.Leave(m.Enter()) },
		"Meter/Observe":   func() { m.Observe(ms, 1) },
		"Meter/State":     func() { m.State() },
		"CoDel":           func() { now += ms; codel.Drop(now, 50*ms, 5) },
		"Pause.Wait/open": func() { _ = pause.Wait(ctx) },
	}
}

func TestHotPathsAllocateNothing(t *testing.T) {
	for name, f := range hot(t) {
		require.Zero(t, testing.AllocsPerRun(1000, f), name)
	}
}

// healthy is a set of queues of every kind that are well and in use.
func healthy(n int) queue.Options {
	var o queue.Options
	for i := range n {
		c := make(chan int, 100)
		m := queue.NewMeter(queue.CoDelOptions{})
		q := queue.Channel(fmt.Sprintf("queue-%d", i), c)
		q.Meter, q.Gate, q.Pause = m, queue.NewGate(queue.GateOptions{Overloaded: m.Overloaded}), queue.NewPause(queue.PauseOptions{})
		q.Pool = queue.NewPool(queue.PoolOptions{Work: idle})
		q.Age = func(context.Context) (time.Duration, error) { return 0, nil }
		c <- 1
		m.Leave(m.Enter())
		o.Queues = append(o.Queues, q)
	}
	return o
}

func TestHealthyLooksAllocateNothing(t *testing.T) {
	ctx := context.Background()
	for _, w := range queue.Module(healthy(5)).Watches {
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			if found, err := w.Detector.Detect(ctx); len(found) > 0 || err != nil {
				t.Fatal(found, err)
			}
		}), w.Name)
	}
}

func BenchmarkHot(b *testing.B) {
	for name, f := range hot(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

// What many goroutines pay that share one gate or meter.
func BenchmarkHotParallel(b *testing.B) {
	for name, f := range hot(b) {
		if name == "CoDel" {
			continue // belongs to one goroutine
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					f()
				}
			})
		})
	}
}

// BenchmarkPackOverhead is one look at everything, and with one look a second, as
// by default, what it takes of a core.
func BenchmarkPackOverhead(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("queue/%d", n), func(b *testing.B) {
			watches := queue.Module(healthy(n)).Watches
			b.ReportAllocs()
			for b.Loop() {
				for _, w := range watches {
					if found, err := w.Detector.Detect(ctx); len(found) > 0 || err != nil {
						b.Fatal(found, err)
					}
				}
			}
			b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(time.Second), "%core")
		})
	}
}
