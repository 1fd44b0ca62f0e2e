package evidence

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"testing"
	"time"
)

// BenchmarkCapture is a whole capture, into memory, of a program with so many
// goroutines. The pauses are those that this package asks for, not those of the
// garbage collection.
func BenchmarkCapture(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			end := crowd(n)
			defer end()
			ring := NewLogRing(nil, LogRingOptions{})
			for range 2000 {
				slog.New(ring).Info("a request was served", "path", "/orders", "status", 200, "took", time.Second)
			}
			s := newStore(b, StoreOptions{})
			g := Default(Options{Store: s, Logs: ring, Time: time.Minute})
			done := pauses(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Gather(context.Background(), patient()); err != nil {
					b.Fatal(err)
				}
			}
			done()
		})
	}
}

// BenchmarkGoroutines is the dump of the stacks alone.
func BenchmarkGoroutines(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for name, p := range map[string]Part{"text": Goroutines(), "profile": GoroutineProfile()} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", name, n), func(b *testing.B) {
				end := crowd(n)
				defer end()
				done := pauses(b)
				b.ReportAllocs()
				for b.Loop() {
					if err := p.Write(context.Background(), patient(), io.Discard); err != nil {
						b.Fatal(err)
					}
				}
				done()
			})
		}
	}
}

// BenchmarkRuntimeStack is what is avoided: the dump that stops the world.
func BenchmarkRuntimeStack(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			end := crowd(n)
			defer end()
			buf := make([]byte, 64<<20)
			done := pauses(b)
			for b.Loop() {
				runtime.Stack(buf, true)
			}
			done()
		})
	}
}

// pauses reports for how long the world was stopped, as upper bounds. The scheduler
// of the system counts too: on a machine with more to do than processors the worst
// is that of its time slices.
func pauses(b *testing.B) (report func()) {
	read := func() *metrics.Float64Histogram {
		s := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
		metrics.Read(s)
		return s[0].Value.Float64Histogram()
	}
	before := slices.Clone(read().Counts)
	return func() {
		h := read()
		for i := range h.Counts {
			h.Counts[i] -= before[i]
		}
		all := uint64(0)
		for _, n := range h.Counts {
			all += n
		}
		b.ReportMetric(quantile(h, (all+1)/2)*1e6, "µs-pause-p50")
		b.ReportMetric(quantile(h, all)*1e6, "µs-pause-max")
	}
}

func BenchmarkLogRing(b *testing.B) {
	plain := slog.New(slog.NewJSONHandler(io.Discard, nil))
	ring := slog.New(NewLogRing(slog.NewJSONHandler(io.Discard, nil), LogRingOptions{}))
	only := slog.New(NewLogRing(nil, LogRingOptions{}))
	for name, log := range map[string]*slog.Logger{"without": plain, "before-json": ring, "alone": only} {
		b.Run(name, func(b *testing.B) {
			log := log.With("service", "orders")
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(context.Background(), slog.LevelInfo, "a request was served", slog.String("path", "/orders"), slog.Int("status", 200), slog.Duration("took", time.Second))
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for name, dir := range map[string]string{"memory": "", "directory": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			o := StoreOptions{}
			if dir != "" {
				o.Dir = dir + "/evidence"
			}
			s := newStore(b, o)
			data := bundleOf(256 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Put(context.Background(), data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRedact is what redacting a goroutine profile and a trace costs.
func BenchmarkRedact(b *testing.B) {
	c := newCleaner(NewRedactor(secret))
	var profile buffer
	profile.most = 1 << 20
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 0); err != nil {
		b.Fatal(err)
	}
	trace := recorded(b)
	b.Run("profile", func(b *testing.B) {
		b.SetBytes(int64(len(profile.data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.profile(profile.data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("trace", func(b *testing.B) {
		b.SetBytes(int64(len(trace)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.trace(trace); err != nil {
				b.Fatal(err)
			}
		}
	})
}
