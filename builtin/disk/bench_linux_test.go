package disk

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A healthy look costs its statfs and the hand-over to a goroutine of its own.
func TestAHealthyLookAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	o := Options{Paths: []string{"/", dir}, Space: Levels{Warn: 0.2, Act: 0.1}, Inodes: Levels{Warn: 0.2, Act: 0.1}}
	p := newPack(o)
	d := p.low("space-low", bytesKind(), p.o.Space).Detector
	for range 100 {
		_, err := d.Detect(context.Background())
		require.NoError(t, err)
	}
	// The runtime makes a goroutine anew where it has none to spare on this P.
	least := 1.0
	for range 20 {
		least = min(least, testing.AllocsPerRun(100, func() { _, _ = d.Detect(context.Background()) }))
	}
	require.Zero(t, least)
}

// BenchmarkPackOverhead says what a look of each watch costs, and what share of
// one core that is at its interval.
func BenchmarkPackOverhead(b *testing.B) {
	m := Module(Options{})
	for _, w := range m.Watches {
		b.Run("disk/"+w.Name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			for b.Loop() {
				if _, err := w.Detector.Detect(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/w.Every.Seconds(), "%core")
		})
	}
	b.Run("disk/deleted/1000-descriptors", func(b *testing.B) {
		var open []*os.File
		for range 1000 {
			f, err := os.Open("/dev/null")
			if err != nil {
				b.Fatal(err)
			}
			open = append(open, f)
		}
		defer func() {
			for _, f := range open {
				f.Close()
			}
		}()
		w := Deleted(Options{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Detector.Detect(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/w.Every.Seconds(), "%core")
	})
}
