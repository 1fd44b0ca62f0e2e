package dependency

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// One look of each watch, with everything well: divide by the interval for the
// share of a core.
func BenchmarkPackOverhead(b *testing.B) {
	for _, n := range []int{1, 10} {
		var probed, called []Target
		for i := range n {
			c := NewClient(ClientOptions{})
			for range 1000 {
				_ = c.Do(context.Background(), works)
			}
			probed = append(probed, Target{Name: fmt.Sprint("t", i), Check: works})
			called = append(called, Target{Name: fmt.Sprint("t", i), Client: c})
		}
		for _, w := range []struct {
			name    string
			targets []Target
		}{{"probes", probed}, {"clients", called}} {
			for _, watch := range Module(Options{Targets: w.targets}).Watches {
				if w.name == "probes" && watch.Name != "down" {
					continue
				}
				b.Run(fmt.Sprintf("dependency/%s-%s-%d", watch.Name, w.name, n), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if found, err := watch.Detector.Detect(context.Background()); len(found) > 0 || err != nil {
							b.Fatal(found, err)
						}
					}
				})
			}
		}
	}
}

// What a call costs: closed, failing (which judges), refused, and in a ramp.
func BenchmarkCall(b *testing.B) {
	ctx := context.Background()
	run := func(name string, o ClientOptions, call func(context.Context) error, prepare func(c *Client)) {
		b.Run(name, func(b *testing.B) {
			c := NewClient(o)
			if prepare != nil {
				prepare(c)
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = c.Do(ctx, call)
			}
		})
	}
	run("closed", ClientOptions{}, works, nil)
	run("closed-precise", ClientOptions{Slow: time.Second / 2}, works, nil)
	run("failing", ClientOptions{MinCalls: 1 << 30, InARow: -1}, fails, nil)
	run("refused", ClientOptions{OpenFor: 1 << 60, MaxOpen: 1 << 60}, works, func(c *Client) {
		for c.Status().State != Open {
			_ = c.Do(ctx, fails)
		}
	})
	run("returning", ClientOptions{Ramp: 1 << 60}, works, func(c *Client) {
		c.mu.Lock()
		c.breaker.back(0, &c.o)
		c.mu.Unlock()
	})
	b.Run("closed-parallel", func(b *testing.B) {
		c := NewClient(ClientOptions{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = c.Do(ctx, works)
			}
		})
	})
}
