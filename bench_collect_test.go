//go:build unix

package selfheal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

// BenchmarkCollect is what a scrape costs the supervisor, without the encoding: one
// watch in a hundred is sick.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[int]string{100: "100", 10_000: "10k"}[n], func(b *testing.B) {
			s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
			for i := range n {
				s.Watch(selfheal.Watch{Name: fmt.Sprintf("module/watch-%05d", i), Every: time.Hour, Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
					if i%100 == 0 {
						return []detect.Finding{{Summary: "sick"}}, nil
					}
					return nil, nil
				})})
			}
			running(b, s)
			for s.Status().Counts.Opened < uint64(n/100) {
				time.Sleep(50 * time.Millisecond)
			}
			c, ch := s.Collector(), make(chan prometheus.Metric, 1000)
			go func() {
				for range ch {
				}
			}()
			defer close(ch)
			b.ReportAllocs()
			for b.Loop() {
				c.Collect(ch)
			}
		})
	}
}
