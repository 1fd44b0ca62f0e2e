package breakers

import (
	"context"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/selfheal-go/selfheal/builtin/dependency"
	"github.com/sony/gobreaker/v2"
)

// All of them trip at half of the calls of a sliding window of 10 s, of at least
// 20. Ours judges slow calls and calls under way besides.
const (
	window = 10 * time.Second
	least  = 20
	rate   = 0.5
)

func ours() func() error {
	c := dependency.NewClient(dependency.ClientOptions{Window: window, MinCalls: least, FailureRate: rate})
	ctx, call := context.Background(), func(context.Context) error { return nil }
	return func() error { return c.Do(ctx, call) }
}

func gobreakers() func() error {
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: window, BucketPeriod: window / 10,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.Requests >= least && float64(n.TotalFailures) >= rate*float64(n.Requests)
		},
	})
	call := func() (struct{}, error) { return struct{}{}, nil }
	return func() error { _, err := cb.Execute(call); return err }
}

func failsafes() func() error {
	cb := circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(rate, least, window).Build()
	e := failsafe.With[any](cb)
	call := func() error { return nil }
	return func() error { return e.Run(call) }
}

func failsafesPermit() func() error {
	cb := circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(rate, least, window).Build()
	return func() error {
		if !cb.TryAcquirePermit() {
			return circuitbreaker.ErrOpen
		}
		cb.RecordSuccess()
		return nil
	}
}

var contestants = []struct {
	name string
	make func() func() error
}{
	{"selfheal", ours},
	{"gobreaker", gobreakers},
	{"failsafe-go", failsafes},
	{"failsafe-go-permit", failsafesPermit}, // without its executor
	{"bare", func() func() error { return func() error { return nil } }},
}

func BenchmarkClosed(b *testing.B) {
	for _, c := range contestants {
		b.Run(c.name, func(b *testing.B) {
			call := c.make()
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	for _, c := range contestants {
		b.Run(c.name, func(b *testing.B) {
			call := c.make()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// What is compared works: each lets calls through that succeed.
func TestContestantsCall(t *testing.T) {
	for _, c := range contestants {
		if err := c.make()(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
