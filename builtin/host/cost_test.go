package host

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
)

// kernelWatches are those that look every few seconds for ever.
func kernelWatches(o Options) []selfheal.Watch {
	return []selfheal.Watch{Clock(o), Descriptors(o), MemoryPressure(o), OOM(o), MemoryHigh(o), CPUThrottling(o), Stalls(o)}
}

func TestAHealthyLookAllocatesNothing(t *testing.T) {
	tr := recorded(t, "v2")
	for _, w := range kernelWatches(Options{Root: tr.root}) {
		look(t, w.Detector)
		least := 1.0
		for range 20 {
			least = min(least, testing.AllocsPerRun(100, func() { _, _ = w.Detector.Detect(context.Background()) }))
		}
		require.Zero(t, least, w.Name)
	}
}

// BenchmarkPackOverhead says what a look of each watch costs, and what share of one
// core that is at its default interval: of this host, of a recorded one where this one
// lacks something, and of all watches of the kernel together.
func BenchmarkPackOverhead(b *testing.B) {
	run := func(name string, ws ...selfheal.Watch) {
		b.Run("host/"+name, func(b *testing.B) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			for _, w := range ws {
				if _, err := w.Detector.Detect(ctx); err != nil {
					b.Skip(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, w := range ws {
					_, _ = w.Detector.Detect(ctx)
				}
			}
			b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/ws[0].Every.Seconds(), "%core")
		})
	}
	for _, w := range Module(Options{}).Watches {
		run(w.Name, w)
	}
	all := kernelWatches(Options{Root: recorded(b, "v2").root})
	for _, w := range all {
		run("recorded-v2/"+w.Name, w)
	}
	run("recorded-v2/all", all...)
	ca, f := newAuthority(b, "ca"), newFiles(b)
	f.write(b, ca, life{until: 80 * day})
	pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
	require.NoError(b, err)
	o := Options{Certificates: []Certificate{{Name: "web", Pair: pair}}, DNS: DNSOptions{Names: []string{dbName}, Lookup: (&flaky{well: true}).lookup}}
	run("certificate-stale", CertificateStale(o))
	run("certificate-expiry", CertificateExpiry(o))
	run("dns-without-network", DNS(o))
}
