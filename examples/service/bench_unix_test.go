//go:build unix

package main

import (
	"context"
	"io"
	"log/slog"
	"math"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"
)

func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// longest is the longest stop of the world so far, by the upper bound of its
// bucket.
func longest() time.Duration {
	s := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	for n := len(h.Counts) - 1; n >= 0; n-- {
		if h.Counts[n] > 0 {
			if up := h.Buckets[n+1]; !math.IsInf(up, 1) {
				return time.Duration(up * 1e9)
			}
			return time.Duration(h.Buckets[n] * 1e9)
		}
	}
	return 0
}

// BenchmarkPackOverhead is what all packs together cost at their default
// intervals in a process with 10,000 goroutines: the share of one core, after the
// first looks, and the longest stop of the world that is not the collector's.
func BenchmarkPackOverhead(b *testing.B) {
	b.Run("all", func(b *testing.B) {
		slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
		stop := make(chan struct{})
		defer close(stop)
		for range 10_000 {
			go func() { <-stop }()
		}
		for b.Loop() {
			s, end, err := build()
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Heal(ctx) }()
			time.Sleep(3 * time.Second)
			used, start := cpu(), time.Now()
			time.Sleep(30 * time.Second)
			spent, wall := cpu()-used, time.Since(start)
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			end()
			b.ReportMetric(100*spent.Seconds()/wall.Seconds(), "%core")
			b.ReportMetric(longest().Seconds()*1e3, "stop-ms-max")
			b.ReportMetric(0, "ns/op")
		}
	})
}
