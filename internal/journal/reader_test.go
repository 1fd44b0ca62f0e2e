//go:build unix

package journal_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// While a writer appends, compacts and reuses segments, a reader sees what is
// there, in order, and takes none of it for damage.
func TestAReaderBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	wanted := make(chan struct{}, 1)
	j := openAt(t, dir, journal.Options{
		Log: journal.LogOptions{SegmentBytes: 8 << 10, History: 2},
		Notify: func(e journal.Event) {
			if e.Kind == journal.SnapshotWanted {
				wanted <- struct{}{}
			}
		},
	})
	stop, ended := make(chan struct{}), make(chan uint64)
	go func() {
		n := uint64(0)
		for {
			select {
			case <-stop:
				ended <- n
				return
			case <-wanted:
				if err := j.Snapshot(inState(n), nil); err != nil {
					t.Error(err)
				}
			default:
			}
			if err := j.AppendSync(context.Background(), entries(n+1, n+3)...); err != nil {
				t.Error(err)
			}
			n += 3
		}
	}()
	r, err := journal.NewReader(dir)
	require.NoError(t, err)
	last := uint64(0)
	until(t, "enough was written", func() bool {
		known := j.Status().Durable
		n := fromOutside(t, dir)
		require.GreaterOrEqual(t, n, max(last, known))
		last = n
		report, err := r.Verify()
		require.NoError(t, err)
		require.True(t, report.Sound(), "%v", report.Damage)
		return last >= uint64(often(1500, 30_000))
	})
	close(stop)
	require.GreaterOrEqual(t, <-ended, last)
	t.Logf("%d records", last)
}

// A racing disk shows, once, a read that a write overtook: a hole where records
// are, with later ones behind it.
type racing struct {
	*simfs.FS
	reads atomic.Int32
}

type racingFile struct {
	journal.File
	disk *racing
}

func (r *racing) Open(name string, write bool) (journal.File, error) {
	f, err := r.FS.Open(name, write)
	return racingFile{f, r}, err
}

func (r *racing) Check(name string, f journal.File) error {
	return r.FS.Check(name, f.(racingFile).File)
}

func (f racingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if n > 1000 && f.disk.reads.Add(1) == 1 {
		clear(b[500:800])
	}
	return n, err
}

func TestAReadThatAWriteOvertookIsNoDamage(t *testing.T) {
	disk := simfs.New(1)
	j := open(t, disk, journal.Options{})
	for n := range uint64(20) {
		require.NoError(t, j.AppendSync(t.Context(), entry(n+1)))
	}
	r := &racing{FS: disk}
	report, err := journal.NewReaderFS(r).Verify()
	require.NoError(t, err)
	require.Empty(t, report.Damage)
	require.EqualValues(t, 20, report.Records)
	require.Greater(t, r.reads.Load(), int32(1))
}
