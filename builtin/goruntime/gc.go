package goruntime

import (
	"fmt"
	"log/slog"
	"runtime/metrics"
	"time"
)

// collector reads what the garbage collector costs.
type collector struct {
	samples []metrics.Sample
	window  window

	begun   bool
	limiter float64 // the cycle in which the limiter was last on
	moves   [3]time.Duration
	moved   int
}

func newCollector(length time.Duration) *collector {
	return &collector{window: newWindow(length), samples: []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/gc/limiter/last-enabled:gc-cycle"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"},
	}}
}

// watch is the reading of the death spiral: the collector's share of the CPU time
// that the process may use. The runtime's limiter, which lets the heap outgrow its
// limit rather than collect more than half of the time, counts as early by itself
// and as acute where it was on in two looks of the window beside a large share.
func (c *collector) watch(o Options) func(now time.Duration) (reading, error) {
	var share, cycles, assist float64
	var on bool
	text := func(_, limit float64) string {
		s := fmt.Sprintf("garbage collection takes %.0f %% of the CPU (limit %.0f %%)", 100*share, 100*limit)
		if on {
			s += ", and its limiter is on"
		}
		return s
	}
	evidence := func() []slog.Attr {
		return []slog.Attr{
			slog.Float64("gc_share", share), slog.Bool("limiter_on", on), slog.Float64("gc_cycles", cycles),
			slog.Float64("assist_cpu_seconds", assist),
		}
	}
	return func(now time.Duration) (reading, error) {
		metrics.Read(c.samples)
		gc, total := number(c.samples[0]), number(c.samples[1])
		cycles, assist = number(c.samples[3]), number(c.samples[4])
		c.note(now, number(c.samples[2]))
		spent, all, _ := c.window.increase(now, gc, total)
		share = 0
		// The runtime brings these up to date when a collection ends: without one
		// there is nothing to divide by, and nothing wrong either. A second of CPU
		// keeps one collection at start from being a share.
		if all >= 1 {
			share = spent / all
		}
		n := c.recent(now)
		on = n > 0
		r := reading{value: share, t1: o.GCEarly, t2: o.GCAct, clear: o.GCClear, text: text, evidence: evidence}
		if n >= 2 && share > o.GCEarly {
			// It takes half of what it may: more is not to come.
			r.t2 = o.GCEarly
		}
		return r, nil
	}
}

// note remembers when the limiter was seen to have been on.
func (c *collector) note(now time.Duration, cycle float64) {
	if c.begun && cycle > c.limiter {
		copy(c.moves[1:], c.moves[:])
		c.moves[0] = now
		c.moved = min(c.moved+1, len(c.moves))
	}
	c.begun, c.limiter = true, cycle
}

// recent is in how many looks of the window that was so.
func (c *collector) recent(now time.Duration) (n int) {
	for _, at := range c.moves[:c.moved] {
		if now-at <= 6*c.window.step {
			n++
		}
	}
	return n
}
