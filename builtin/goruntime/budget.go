package goruntime

import (
	"math"
	"runtime/metrics"
	"time"
)

// cost is what a look at all goroutines takes.
type cost struct {
	stop time.Duration // the world stood still
	cpu  time.Duration
}

// budget spaces looks so that stops and CPU stay below their shares of the time
// since the detector began, whatever they turn out to cost: each look uses up the
// time of which its cost is that share, one begins only when what it is expected to
// use up has passed, and one that cost more is waited for. Of time that nobody used
// a little is kept, so that one surprise in a long life costs no wait.
type budget struct {
	stopShare, cpuShare float64
	used                time.Duration // the time that is used up
}

// saved is how much unused time is kept.
const saved = 2 * time.Minute

// worth is the time that a cost uses up.
func (b *budget) worth(c cost) time.Duration {
	worth := max(float64(c.stop)/b.stopShare, float64(c.cpu)/b.cpuShare)
	return time.Duration(min(worth, math.MaxInt64/4))
}

// affords says whether a look of that expected cost may begin at now.
func (b *budget) affords(now time.Duration, c cost) bool {
	return now >= b.used+b.worth(c)
}

func (b *budget) spend(end time.Duration, c cost) {
	b.used = max(b.used, end-saved) + b.worth(c)
}

// meter measures looks with the runtime's own counters.
type meter struct{ samples []metrics.Sample }

func newMeter() *meter {
	return &meter{samples: []metrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/sched/pauses/total/other:seconds"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}}
}

// read returns what stopped the world and what the collector used so far. The
// runtime keeps pauses as a histogram, of which the upper bounds are summed: the
// truth is never more.
func (m *meter) read() (stop, gc float64) {
	metrics.Read(m.samples)
	for _, s := range m.samples[:2] {
		if s.Value.Kind() == metrics.KindFloat64Histogram {
			stop += upper(s.Value.Float64Histogram())
		}
	}
	if s := m.samples[2]; s.Value.Kind() == metrics.KindFloat64 {
		gc = s.Value.Float64()
	}
	return stop, gc
}

func upper(h *metrics.Float64Histogram) (sum float64) {
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		top := h.Buckets[i+1]
		if math.IsInf(top, 1) {
			top = h.Buckets[i]
		}
		sum += float64(n) * top
	}
	return sum
}

// of measures one look. Pauses of others that fall into it count too; that errs
// on the side of looking less.
func (m *meter) of(look func()) cost {
	stop, gc := m.read()
	began := time.Now()
	look()
	wall := time.Since(began)
	stopAfter, gcAfter := m.read()
	return cost{
		stop: seconds(stopAfter - stop),
		cpu:  max(wall, seconds(gcAfter-gc)),
	}
}

func seconds(s float64) time.Duration { return time.Duration(max(s, 0) * float64(time.Second)) }
