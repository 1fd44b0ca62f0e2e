package journal_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

func TestASyncThatFailsCostsTheFileAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{Notify: said.notify})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		synctest.Wait() // its mark is written
		names := segments(t, disk.FS)
		writes := map[string]int{}
		failed := false
		disk.SetHook(func(op simfs.Op) simfs.Fault {
			if op.Kind == simfs.Write {
				writes[op.Name]++
			}
			if op.Kind == simfs.Sync && !failed {
				failed = true
				return simfs.Fault{Err: syscall.EIO}
			}
			return simfs.Fault{}
		})
		require.NoError(t, j.AppendSync(t.Context(), entries(2, 4)...))
		require.NoError(t, j.AppendSync(t.Context(), entries(5, 6)...))
		synctest.Wait()
		require.Equal(t, 1, writes[names[0]], "it was written after its sync had failed")
		require.Equal(t, []string{"0s file failed", "0s snapshot wanted"}, said.take())
		require.Nil(t, j.Status().Degraded)
		disk.PowerCut()
		require.Equal(t, "1-6", story(t, disk))
	})
}

func TestADiskThatTakesNothingDegradesAndASnapshotRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{Notify: said.notify})
		said.then = func(e journal.Event) {
			if e.Kind == journal.SnapshotWanted {
				require.NoError(t, j.Snapshot(inState(9), func(err error) { said.add("snapshot taken: %v", err == nil) }))
			}
		}
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		synctest.Wait()
		disk.set(-1, syscall.EIO)
		err := j.AppendSync(t.Context(), entries(2, 3)...)
		require.ErrorIs(t, err, journal.ErrDegraded)
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorContains(t, err, "look at the disk")
		called := false
		require.ErrorIs(t, j.Append(entries(4, 4), func(error) { called = true }), journal.ErrDegraded)
		require.ErrorIs(t, j.Status().Degraded, syscall.EIO)
		require.Equal(t, []string{"0s file failed", "0s degraded"}, said.take())

		time.Sleep(25 * time.Second)
		require.Equal(t, []string{
			"10s snapshot wanted", "10s file failed", "10s snapshot taken: false",
			"20s snapshot wanted", "20s file failed", "20s snapshot taken: false",
		}, said.take())
		disk.set(-1, nil)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"30s snapshot wanted", "30s recovered", "30s snapshot taken: true"}, said.take())
		require.False(t, called)
		require.NoError(t, j.AppendSync(t.Context(), entry(10)))
		time.Sleep(time.Hour)
		require.Empty(t, said.take())
		disk.PowerCut()
		require.Equal(t, "9x1 10-10", story(t, disk))
	})
}

func TestAStalledDiskIsReportedAndNobodyWaitsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{Notify: said.notify})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		thaw := disk.freeze(simfs.Sync)

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := j.AppendSync(ctx, entry(2))
		require.ErrorIs(t, err, journal.ErrNotDurable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(said.began))
		require.Zero(t, j.Status().Stalled)

		require.ErrorIs(t, j.AppendSync(context.Background(), entry(3)), journal.ErrNotDurable) // no deadline: the stall ends it
		require.Equal(t, 5*time.Second, time.Since(said.began))
		require.ErrorIs(t, j.AppendSync(context.Background(), entry(4)), journal.ErrNotDurable) // and at once from now on
		require.Equal(t, 5*time.Second, time.Since(said.began))
		require.NoError(t, j.Append(entries(5, 5), func(err error) { said.add("5: %v", err) }))
		time.Sleep(time.Minute)
		require.Equal(t, 65*time.Second, j.Status().Stalled)
		require.Equal(t, 4, j.Status().Queued)
		require.Equal(t, []string{"5s stalled 5s"}, said.take())
		thaw()
		require.Equal(t, []string{"1m5s resumed 1m5s", "1m5s 5: <nil>"}, said.take())
		require.Zero(t, j.Status().Stalled)
		require.Zero(t, j.Status().Queued)
		require.NoError(t, j.AppendSync(t.Context(), entry(6)))
		disk.PowerCut()
		require.Equal(t, "1-6", story(t, disk))
	})
}

// A disk that panics is a sick one.
func TestAPanicOfTheFileSystemDegrades(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		disk.SetHook(func(simfs.Op) simfs.Fault { panic("a bug") })
		err := j.AppendSync(t.Context(), entry(2))
		require.ErrorIs(t, err, journal.ErrDegraded)
		require.ErrorContains(t, err, "a bug")
		disk.SetHook(nil)
		taken := make(chan error, 1)
		require.NoError(t, j.Snapshot(inState(2), func(err error) { taken <- err }))
		require.NoError(t, <-taken)
		require.NoError(t, j.AppendSync(t.Context(), entry(3)))
		require.NoError(t, j.Close())
		require.Equal(t, "2x1 3-3", story(t, disk))
	})
}

func TestCloseDoesNotWaitForADeadDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		thaw := disk.freeze(simfs.Sync)
		require.NoError(t, j.Append(entries(1, 1), nil))
		began := time.Now()
		err := j.Close()
		require.ErrorIs(t, err, journal.ErrNotDurable)
		require.Equal(t, 10*time.Second, time.Since(began))
		thaw()
		require.NoError(t, j.Close(), "the disk has answered")
	})
}

// A snapshot that was queued before the disk failed ends the degradation. What is
// appended in between must not be refused, because it is not in that snapshot.
func TestNothingIsRefusedBehindASnapshotThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, failing := simfs.New(1), true
		thaw, hold := make(chan struct{}), make(chan struct{})
		j := open(t, disk, journal.Options{})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		synctest.Wait()
		removed := 0
		disk.SetHook(func(op simfs.Op) simfs.Fault {
			switch {
			case op.Kind == simfs.Remove:
				removed++
				failing = removed < 3 // two spares and a new file
			case op.Kind == simfs.Create && !failing: // of the snapshot
				<-hold
			case op.Kind == simfs.Sync && failing:
				<-thaw
				return simfs.Fault{Err: syscall.EIO}
			}
			return simfs.Fault{}
		})
		refused := make(chan error, 1)
		require.NoError(t, j.Append(entries(2, 2), func(err error) { refused <- err }))
		synctest.Wait()
		require.NoError(t, j.Snapshot(inState(2), nil))
		close(thaw)
		require.ErrorIs(t, <-refused, journal.ErrDegraded)
		synctest.Wait()
		require.NotNil(t, j.Status().Degraded)
		require.NoError(t, j.Append(entries(3, 3), nil))
		close(hold)
		require.NoError(t, j.Close())
		require.Equal(t, "2x1 3-3", story(t, disk))
	})
}
