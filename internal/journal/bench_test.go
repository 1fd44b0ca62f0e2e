//go:build unix

package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// BenchmarkJournalAppend makes one record of 200 bytes durable, and after each one
// does the same with nothing but a pwrite and a sync of as many bytes to a file of
// the same kind, so that both see the same disk. bare-p50 is that; ratio is what
// the journal adds.
func BenchmarkJournalAppend(b *testing.B) {
	dir := b.TempDir()
	j := openAt(b, dir, journal.Options{})
	payload := make([]byte, 200)
	const size = 264
	bare := bareFile(b, filepath.Join(b.TempDir(), "bare"))
	at, block := int64(0), make([]byte, size)
	var ours, theirs []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if err := j.AppendSync(b.Context(), journal.Entry{Payload: payload}); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(began))
		if j.Status().Wants {
			taken := make(chan error, 1)
			require.NoError(b, j.Snapshot(nil, func(err error) { taken <- err }))
			require.NoError(b, <-taken)
		}
		if at+size > 1<<20 {
			at = 0
		}
		block[0]++
		began = time.Now()
		if err := bare(block, at); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, time.Since(began))
		at += size
	}
	p50, floor := middle(ours), middle(theirs)
	b.ReportMetric(float64(p50.Nanoseconds())/1e3, "us-p50")
	b.ReportMetric(float64(floor.Nanoseconds())/1e3, "us-bare-p50")
	b.ReportMetric(float64(p50)/float64(floor), "ratio-p50")
}

func middle(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// bareFile writes and syncs a preallocated file.
func bareFile(b *testing.B, path string) func(block []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(b, err)
	b.Cleanup(func() { f.Close() })
	_, err = f.WriteAt(make([]byte, 1<<20), 0)
	require.NoError(b, err)
	require.NoError(b, f.Sync())
	return func(block []byte, at int64) error {
		if _, err := f.WriteAt(block, at); err != nil {
			return err
		}
		return datasync(f)
	}
}

// BenchmarkJournalBurst appends 1000 records at once: they share syncs.
func BenchmarkJournalBurst(b *testing.B) {
	j := openAt(b, b.TempDir(), journal.Options{Log: journal.LogOptions{SegmentBytes: 16 << 20}})
	payload := make([]byte, 200)
	done := make(chan struct{}, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for range 1000 {
			if err := j.Append([]journal.Entry{{Payload: payload}}, func(error) { done <- struct{}{} }); err != nil {
				b.Fatal(err)
			}
		}
		for range 1000 {
			<-done
		}
		if j.Status().Wants {
			taken := make(chan error, 1)
			require.NoError(b, j.Snapshot(nil, func(err error) { taken <- err }))
			require.NoError(b, <-taken)
		}
	}
}

// BenchmarkReplay opens and replays a journal of 1,000,000 records of 200 bytes in
// segments of 1 MiB. MB-heap is how much the heap grew at most.
func BenchmarkReplay(b *testing.B) {
	const records = 1_000_000
	dir := b.TempDir()
	o := journal.Options{Log: journal.LogOptions{MaxSegments: 1000}}
	j := openAt(b, dir, o)
	batch := make([]journal.Entry, 1000)
	for i := range batch {
		batch[i].Payload = make([]byte, 200)
	}
	for range records / len(batch) {
		require.NoError(b, j.AppendSync(b.Context(), batch...))
	}
	require.NoError(b, j.Close())
	var most uint64
	b.ReportAllocs()
	for b.Loop() {
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		j, err := journal.Open(dir, o)
		require.NoError(b, err)
		n := 0
		for r, err := range j.Replay() {
			if err != nil || len(r.Payload) != 200 {
				b.Fatal(r, err)
			}
			if n++; n%200_000 == 0 {
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
			}
		}
		if n != records {
			b.Fatal(fmt.Sprint(n, " records"))
		}
		require.NoError(b, j.Close())
	}
	b.ReportMetric(float64(most)/(1<<20), "MB-heap")
	b.ReportMetric(records/(b.Elapsed().Seconds()/float64(b.N))/1e6, "Mrecords/s")
}
