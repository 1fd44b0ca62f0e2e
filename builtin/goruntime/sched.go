package goruntime

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/metrics"
	"time"
)

// scheduler reads how long goroutines wait for a processor.
type scheduler struct {
	samples []metrics.Sample
	length  time.Duration
	begun   bool
	from    time.Duration
	before  []uint64
	p99     float64
	looked  uint64
}

func newScheduler(length time.Duration) *scheduler {
	return &scheduler{length: length, samples: []metrics.Sample{
		{Name: "/sched/latencies:seconds"},
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/gomaxprocs:threads"},
	}}
}

// watch is the reading of starvation: the 99th percentile of the time from
// runnable to running over the last window, in seconds.
func (s *scheduler) watch(o Options) func(now time.Duration) (reading, error) {
	text := func(value, limit float64) string {
		return fmt.Sprintf("goroutines wait %v for a processor (99th percentile; limit %v)", spanText(value), spanText(limit))
	}
	evidence := func() []slog.Attr {
		return []slog.Attr{
			slog.Float64("runnable", number(s.samples[1])), slog.Float64("gomaxprocs", number(s.samples[2])),
			slog.Uint64("scheduled", s.looked),
		}
	}
	return func(now time.Duration) (reading, error) {
		metrics.Read(s.samples)
		if s.samples[0].Value.Kind() != metrics.KindFloat64Histogram {
			return reading{silent: true}, errNoLatencies
		}
		s.add(now, s.samples[0].Value.Float64Histogram())
		return reading{
			value: s.p99, unit: "s", text: text, evidence: evidence,
			t1: o.LatencyEarly.Seconds(), t2: o.LatencyAct.Seconds(), clear: o.LatencyClear.Seconds(),
		}, nil
	}
}

// add closes the window when it is over.
func (s *scheduler) add(now time.Duration, h *metrics.Float64Histogram) {
	if s.begun && now < s.from+s.length {
		return
	}
	if s.begun && len(s.before) == len(h.Counts) {
		s.p99, s.looked = slow(h, s.before)
	}
	s.before = append(s.before[:0], h.Counts...)
	s.begun, s.from = true, now
}

// slow is the 99th percentile of what came since before (the upper bound of its
// bucket), and how many readings that were; the runtime takes one of eight. Where
// they are few it is the third longest, so that one late goroutine in a process
// that does little is no starvation, and of less than six it is 0. A starved
// process schedules little, so few readings alone are no excuse.
func slow(h *metrics.Float64Histogram, before []uint64) (bound float64, n uint64) {
	since := func(i int) uint64 { return h.Counts[i] - min(before[i], h.Counts[i]) }
	for i := range h.Counts {
		n += since(i)
	}
	if n < 6 {
		return 0, n
	}
	above := max(3, n/100)
	for i := len(h.Counts) - 1; i >= 0; i-- {
		d := since(i)
		if d < above {
			above -= d
			continue
		}
		bound = h.Buckets[i+1]
		if math.IsInf(bound, 1) {
			bound = h.Buckets[i]
		}
		return max(bound, 0), n
	}
	return 0, n
}

func spanText(s float64) time.Duration {
	d := seconds(s)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d
}
