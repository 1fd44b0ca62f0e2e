package journal_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// One life of 60 acts is cut at each of its effects in turn.
func TestNothingAcknowledgedIsLostWhereverThePowerGoes(t *testing.T) {
	seeds := often(6, 200)
	cuts := 0
	for seed := range uint64(seeds) {
		for at := 1; ; at++ {
			fs, o := simfs.New(seed), newOwner(seed)
			fs.SetHook(func(op simfs.Op) simfs.Fault {
				if op.N != at {
					return simfs.Fault{}
				}
				f := simfs.Fault{Cut: true}
				if op.Kind == simfs.Write && seed%2 == 0 {
					f.Err, f.Bytes = simfs.ErrDown, op.Len/2
				}
				return f
			})
			err := o.open(fs)
			for i := 0; i < 60 && err == nil; i++ {
				err = o.act()
				if errors.Is(err, journal.ErrDegraded) { // by what the power cut left of this life
					err = nil
				}
			}
			over := fs.Ops() < at
			if seed%3 == 2 {
				fs.Kill()
			} else {
				fs.PowerCut()
			}
			fs.SetHook(nil)
			require.NoErrorf(t, o.open(fs), "seed %d, cut at effect %d", seed, at)
			for range 2 {
				for _, d := range verify(t, fs).Damage { // not of the history either
					require.Equalf(t, journal.Torn, d.Kind, "seed %d, cut at effect %d: %v", seed, at, d)
				}
				for range 10 { // and it goes on
					require.NoError(t, o.act())
				}
			}
			if over {
				break
			}
			cuts++
		}
	}
	t.Logf("%d cuts", cuts)
}

// Life after life on one disk that now and then fails, fills up, or loses power.
func TestNothingAcknowledgedIsLostInManyLivesOnABadDisk(t *testing.T) {
	seeds := often(60, 3000)
	var degraded, recovered, crashes int
	for seed := range uint64(seeds) {
		fs, o := simfs.New(seed), newOwner(seed)
		rng := rand.New(rand.NewPCG(seed, 2))
		for life := range 12 {
			chance, bad := rng.Float64()*0.05, 0
			crash := fs.Ops() + 1 + rng.IntN(300)
			fs.SetCapacity(1 << 40)
			if rng.IntN(3) == 0 {
				fs.SetCapacity(fs.Used() + int64(rng.IntN(10_000)))
			}
			fs.SetHook(func(op simfs.Op) (f simfs.Fault) {
				f.Cut = op.N >= crash
				if bad == 0 && rng.Float64() < chance {
					bad = 1 + rng.IntN(8) // faults come in rows
				}
				if bad > 0 {
					bad--
					f.Err, f.Bytes = []error{syscall.EIO, syscall.ENOSPC}[rng.IntN(2)], rng.IntN(op.Len+1)
				}
				return f
			})
			err := o.open(fs)
			was := false
			for i := 0; i < 60 && err == nil; i++ {
				err = o.act()
				is := o.log.Failed() != nil
				if is && !was {
					degraded++
				}
				if was && !is {
					recovered++
				}
				was = is
				var damage *journal.Damage
				require.False(t, errors.As(err, &damage))
				if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) {
					err = nil
				}
			}
			crashes++
			if rng.IntN(3) == 0 {
				fs.Kill()
			} else {
				fs.PowerCut()
			}
			fs.SetHook(nil)
			fs.SetCapacity(1 << 40)
			require.NoErrorf(t, o.open(fs), "seed %d, life %d", seed, life)
			require.NoError(t, o.log.Close())
		}
	}
	t.Logf("%d crashes, degraded %d times, recovered %d times", crashes, degraded, recovered)
	require.NotZero(t, degraded)
	require.NotZero(t, recovered)
}

// What is found after a crash may lie in the page cache only, where the sync that
// failed has left it, marked clean. Once it was replayed it must stay.
func TestWhatWasReplayedStays(t *testing.T) {
	kept := 0
	for seed := range uint64(40) {
		fs, o := simfs.New(seed), newOwner(seed)
		require.NoError(t, o.open(fs))
		require.NoError(t, o.log.Append(o.records(3)))
		o.acked = o.said
		fs.SetHook(func(op simfs.Op) (f simfs.Fault) {
			if op.Kind == simfs.Sync {
				f.Err = syscall.EIO
			}
			return f
		})
		require.ErrorIs(t, o.log.Append(o.records(3)), journal.ErrDegraded)
		fs.Kill()
		fs.SetHook(nil)
		require.NoError(t, o.open(fs))
		if o.acked == 6 {
			kept++
		}
		fs.PowerCut()
		require.NoErrorf(t, o.open(fs), "seed %d", seed)
	}
	require.NotZero(t, kept)
}

// A file that failed once is removed when its time comes, and never reused.
func TestAFileThatFailedIsNeverReused(t *testing.T) {
	fs, o := simfs.New(1), newOwner(1)
	require.NoError(t, o.open(fs))
	require.NoError(t, o.log.Append(o.records(1)))
	bad := segments(t, fs)[0]
	var after []simfs.Kind
	failed := false
	fs.SetHook(func(op simfs.Op) (f simfs.Fault) {
		if failed && op.Name == bad {
			after = append(after, op.Kind)
		}
		if !failed && op.Kind == simfs.Sync {
			failed, f.Err = true, syscall.EIO
		}
		return f
	})
	require.NoError(t, o.log.Append(o.records(1)))
	for range 10 {
		require.NoError(t, o.log.Snapshot([]journal.Record{{Entry: journal.Entry{Type: typeState, Payload: number(o.said, 0)}}}))
	}
	require.Equal(t, []simfs.Kind{simfs.Remove}, after)
}

// What was refused while degraded is only in the snapshot that ended it. Where
// that is spoilt, the records from before must not pass for the whole state.
func TestWhatWasRefusedLeavesAGap(t *testing.T) {
	fs, o := simfs.New(1), newOwner(1)
	require.NoError(t, o.open(fs))
	require.NoError(t, o.log.Append(o.records(1)))
	fs.SetHook(func(op simfs.Op) (f simfs.Fault) {
		if op.Kind == simfs.Sync {
			f.Err = syscall.EIO
		}
		return f
	})
	require.ErrorIs(t, o.log.Append(o.records(2)), journal.ErrDegraded) // and yet its bytes are there
	require.ErrorIs(t, o.log.Append(o.records(1)), journal.ErrDegraded)
	fs.SetHook(nil)
	require.NoError(t, o.log.Snapshot([]journal.Record{{Entry: journal.Entry{Type: typeState, Payload: number(o.said, 0)}}}))
	require.NoError(t, o.log.Append(o.records(1)))
	require.NoError(t, o.log.Close())
	require.Equal(t, "4x1 5-5", story(t, fs.Clone(1)))

	names := segments(t, fs)
	require.NoError(t, fs.Flip(names[len(names)-1], (64+64)*8))
	story, report, err := tell(fs)
	require.NoError(t, err)
	require.Equal(t, "1-3 5-5", story)
	require.NotZero(t, report.Lost())
	require.False(t, report.Sound())
}
