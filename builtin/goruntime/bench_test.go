package goruntime

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
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

// BenchmarkPackOverhead is what a look costs at the default interval of 1 s: ns/op
// divided by 1e9 is the share of a core.
func BenchmarkPackOverhead(b *testing.B) {
	waiting(b, 10_000)
	for name, d := range detectors("/") {
		b.Run("goruntime/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Detect(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLooks is what looking at goroutines costs while a leak is suspected.
func BenchmarkLooks(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		waiting(b, n)
		b.Run(fmt.Sprintf("group/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			meter, film, names := newMeter(), &camera{}, newSites(nil)
			var stop time.Duration
			for b.Loop() {
				stop += meter.of(func() { film.take(n, names) }).stop
			}
			b.ReportMetric(float64(stop.Microseconds())/float64(b.N), "us-stopped/op")
		})
		b.Run(fmt.Sprintf("prove/%d", n), func(b *testing.B) {
			if !provable() {
				b.Skip("this program has no leak profile: set GOEXPERIMENT=goroutineleakprofile")
			}
			meter := newMeter()
			var stop time.Duration
			var text bytes.Buffer
			for b.Loop() {
				stop += meter.of(func() {
					if _, err := prove(&text); err != nil {
						b.Fatal(err)
					}
				}).stop
			}
			b.ReportMetric(float64(stop.Microseconds())/float64(b.N), "us-stopped/op")
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

// A look at 10,000 goroutines stops the world for less than 5 ms. The machine may
// take a processor away meanwhile, so the best of several counts.
func TestALookStopsTheWorldForLessThanFiveMilliseconds(t *testing.T) {
	waiting(t, 10_000)
	meter, film, names := newMeter(), &camera{}, newSites(nil)
	least := time.Hour
	for range 5 {
		least = min(least, meter.of(func() { film.take(10_000, names) }).stop)
	}
	require.Less(t, least, 5*time.Millisecond)
	if provable() {
		least = time.Hour
		var text bytes.Buffer
		for range 5 {
			least = min(least, meter.of(func() {
				_, err := prove(&text)
				require.NoError(t, err)
			}).stop)
		}
		require.Less(t, least, 5*time.Millisecond)
	}
}
