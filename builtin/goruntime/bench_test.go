package goruntime

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// waiting starts goroutines that wait until the test ends.
func waiting(tb testing.TB, n int) {
	hold := make(chan struct{})
	for range n {
		go func() { <-hold }()
	}
	tb.Cleanup(func() {
		close(hold)
		for runtime.NumGoroutine() > n/2+50 {
			runtime.Gosched()
		}
	})
}

func detectors(root string) map[string]detect.Detector {
	o := Options{Root: root}
	all := map[string]detect.Detector{}
	for _, w := range Module(o).Watches {
		all[w.Name] = w.Detector
	}
	return all
}

// BenchmarkPackOverhead is what the pack costs at its default interval with 10,000
// goroutines: a look of each watch, as a share of one core, and what looking at all
// goroutines stops the world for, beside the histograms of /sched/pauses that say so.
func BenchmarkPackOverhead(b *testing.B) {
	const goroutines = 10_000
	waiting(b, goroutines)
	all := detectors("/")
	look := func(b *testing.B, ds ...detect.Detector) {
		b.ReportAllocs()
		for b.Loop() {
			for _, d := range ds {
				if _, err := d.Detect(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		}
		const every = time.Second // Options.Every of the supervisor
		b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/every.Seconds(), "%core")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run("goruntime/"+name, func(b *testing.B) { look(b, all[name]) })
	}
	b.Run("goruntime/all", func(b *testing.B) { look(b, slices.Collect(maps.Values(all))...) })
	b.Run("goruntime/stopped-by-grouping", func(b *testing.B) {
		film, names := &camera{}, newSites(nil)
		stops(b, func() { film.take(goroutines, names) })
	})
	b.Run("goruntime/stopped-by-proof", func(b *testing.B) {
		if !provable() {
			b.Skip("this program has no leak profile: set GOEXPERIMENT=goroutineleakprofile")
		}
		var text bytes.Buffer
		stops(b, func() {
			if _, err := prove(&text); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// mostStopped is how long one stop may take at 10,000 goroutines.
const mostStopped = 5 * time.Millisecond

// stops reports how long looks stop the world, and fails when the best of ten does
// so for too long: the machine may take a processor away during the others.
func stops(b *testing.B, look func()) {
	b.ReportAllocs()
	pauses := newPauses()
	meter, best, worst, sum, n := newMeter(), time.Hour, time.Duration(0), time.Duration(0), 0
	one := func() {
		before := pauses.counts()
		stop := meter.of(look).stop
		longest := pauses.since(before)
		best, worst = min(best, longest), max(worst, longest)
		sum, n = sum+stop, n+1
	}
	for b.Loop() {
		one()
	}
	for n < 10 {
		one()
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(n), "us-stopped/look")
	b.ReportMetric(float64(best.Microseconds()), "us-longest-stop-best")
	b.ReportMetric(float64(worst.Microseconds()), "us-longest-stop-worst")
	b.Logf("/sched/pauses since the process began, upper bounds of what was seen:\n%s", pauses)
	if best > mostStopped {
		b.Errorf("the longest stop of a look took %v in the best of %d, more than %v", best, n, mostStopped)
	}
}

// pauses reads the runtime's histograms of stops.
type pauses struct{ samples []metrics.Sample }

func newPauses() *pauses {
	return &pauses{samples: []metrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"},
		{Name: "/sched/pauses/stopping/gc:seconds"}, {Name: "/sched/pauses/stopping/other:seconds"},
	}}
}

// counts is those of the two histograms of totals, as they are now.
func (p *pauses) counts() (counts [2][]uint64) {
	metrics.Read(p.samples)
	for i := range counts {
		counts[i] = slices.Clone(p.samples[i].Value.Float64Histogram().Counts)
	}
	return counts
}

// since is the upper bound of the longest stop since then.
func (p *pauses) since(before [2][]uint64) (longest time.Duration) {
	now := p.counts()
	for i := range now {
		buckets := p.samples[i].Value.Float64Histogram().Buckets
		for j, n := range now[i] {
			if n > before[i][j] {
				longest = max(longest, seconds(min(buckets[j+1], 3600)))
			}
		}
	}
	return longest
}

// String prints of each histogram how many stops there were, the median and the
// longest.
func (p *pauses) String() string {
	metrics.Read(p.samples)
	var text strings.Builder
	for _, s := range p.samples {
		h := s.Value.Float64Histogram()
		var all, seen uint64
		for _, n := range h.Counts {
			all += n
		}
		var median, longest float64
		for i, n := range h.Counts {
			if n == 0 {
				continue
			}
			if longest = h.Buckets[i+1]; 2*seen < all {
				median = longest
			}
			seen += n
		}
		fmt.Fprintf(&text, "%-36s %6d stops, median %v, longest %v\n", s.Name, all, seconds(median), seconds(min(longest, 3600)))
	}
	return text.String()
}

// BenchmarkLooks is how the cost of looking at goroutines grows with their number.
func BenchmarkLooks(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		waiting(b, n)
		b.Run(fmt.Sprintf("group/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			film, names := &camera{}, newSites(nil)
			for b.Loop() {
				film.take(n, names)
			}
		})
		b.Run(fmt.Sprintf("prove/%d", n), func(b *testing.B) {
			if !provable() {
				b.Skip("this program has no leak profile: set GOEXPERIMENT=goroutineleakprofile")
			}
			b.ReportAllocs()
			var text bytes.Buffer
			for b.Loop() {
				if _, err := prove(&text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestAHealthyLookAllocatesNothing(t *testing.T) {
	root := tree(t, v2("100000000000", "301000000"))
	for name, d := range detectors(root) {
		look := func() {
			found, err := d.Detect(context.Background())
			if len(found) > 0 || err != nil {
				t.Fatal(name, found, err)
			}
		}
		look()
		require.Zero(t, testing.AllocsPerRun(100, look), name)
	}
}
