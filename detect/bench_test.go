package detect_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

func BenchmarkHealthy(b *testing.B) {
	ctx := context.Background()
	all := healthyDetectors()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			d := all[name]
			b.ReportAllocs()
			for b.Loop() {
				if found, err := d.Detect(ctx); len(found) > 0 || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkSick(b *testing.B) {
	ctx := context.Background()
	v := 9.0
	read := func(context.Context) (float64, error) { return v, nil }
	b.Run("unchanged", func(b *testing.B) {
		d := detect.Above(read, 5)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = d.Detect(ctx)
		}
	})
	b.Run("changing", func(b *testing.B) {
		d := detect.Above(read, 5)
		b.ReportAllocs()
		for b.Loop() {
			v++
			_, _ = d.Detect(ctx)
		}
	})
}

func BenchmarkBeat(b *testing.B) {
	b.Run("heartbeat", func(b *testing.B) {
		beat := detect.Heartbeat(time.Minute)
		b.ReportAllocs()
		for b.Loop() {
			beat.Beat()
		}
	})
	b.Run("phi", func(b *testing.B) {
		phi := detect.PhiAccrual(detect.PhiOptions{})
		b.ReportAllocs()
		for b.Loop() {
			phi.Beat()
		}
	})
	b.Run("record", func(b *testing.B) {
		burn := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999})
		b.ReportAllocs()
		for b.Loop() {
			burn.Record(true)
		}
	})
}

// BenchmarkExhaustionFull is a look with a full window behind it and the line
// drawn: the worst case.
func BenchmarkExhaustionFull(b *testing.B) {
	v := 50.0
	d := detect.Exhaustion(detect.ExhaustionOptions{
		Read:  func(context.Context) (float64, error) { v += 1e-9; return v, nil },
		Limit: 1e12, Level: 40, Window: time.Second,
	})
	ctx := context.Background()
	for began := time.Now(); time.Since(began) < time.Second; {
		_, _ = d.Detect(ctx)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, err := d.Detect(ctx); len(found) > 0 || err != nil {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkMailbox(b *testing.B) {
	b.Run("restate", func(b *testing.B) {
		m := detect.NewMailbox()
		f := detect.Finding{Key: "a", Summary: "down", Labels: map[string]string{"team": "x"}}
		b.ReportAllocs()
		for b.Loop() {
			m.Report(f)
		}
	})
	b.Run("change", func(b *testing.B) {
		m := detect.NewMailbox()
		f := detect.Finding{Key: "a", Summary: "down"}
		b.ReportAllocs()
		for b.Loop() {
			f.Value++
			m.Report(f)
		}
	})
}

// BenchmarkMailboxStorm pushes a million findings on 100,000 keys while
// somebody looks, and prints what is left of the heap afterwards.
func BenchmarkMailboxStorm(b *testing.B) {
	const keys, reports = 100_000, 1_000_000
	names := make([]string, keys)
	for i := range names {
		names[i] = "queue-" + strconv.Itoa(i)
	}
	for b.Loop() {
		m := detect.NewMailbox()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		stop := make(chan struct{})
		var looks, reporters sync.WaitGroup
		var slowest time.Duration
		looks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				at := time.Now()
				_, _ = m.Detect(context.Background())
				slowest = max(slowest, time.Since(at))
				runtime.Gosched()
			}
		})
		for w := range 2 {
			reporters.Go(func() {
				for i := w; i < reports; i += 2 {
					m.Report(detect.Finding{Key: names[i%keys], Summary: "down", Value: float64(i)})
				}
			})
		}
		reporters.Wait()
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/reports, "ns/report")
		close(stop)
		looks.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024, "KiB-kept")
		b.ReportMetric(float64(slowest.Microseconds()), "µs-slowest-look")
		found, err := m.Detect(context.Background())
		if len(found) != 1000 || err == nil || m.Dropped() == 0 {
			b.Fatal(len(found), err, fmt.Sprint(m.Dropped()))
		}
	}
}
