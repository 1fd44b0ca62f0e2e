package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

func TestDoneIsCalledInOrderWhenItIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{})
		for n := range uint64(100) {
			require.NoError(t, j.Append(entries(n+1, n+1), func(err error) { said.add("%d %v", n+1, err) }))
		}
		lines := said.take()
		require.Len(t, lines, 100)
		for i, line := range lines {
			require.Equal(t, fmt.Sprintf("0s %d <nil>", i+1), line)
		}
		require.NoError(t, j.AppendSync(t.Context(), entry(101)))
		require.EqualValues(t, 101, j.Status().Durable)
		disk.PowerCut()
		require.Equal(t, "1-101", story(t, disk))
	})
}

// What is appended while the disk is busy becomes durable with one sync.
func TestAppendsWhileTheDiskIsBusyShareASync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{Log: journal.LogOptions{SegmentBytes: 1 << 20}})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
		thaw := disk.freeze(simfs.Sync)
		require.NoError(t, j.Append(entries(2, 2), nil))
		synctest.Wait()
		before := disk.count(simfs.Sync)
		var done sync.WaitGroup
		for n := range uint64(500) {
			done.Add(1)
			require.NoError(t, j.Append(entries(3+n, 3+n), func(err error) {
				if err != nil {
					t.Error(err)
				}
				done.Done()
			}))
		}
		thaw()
		done.Wait()
		require.Equal(t, before+1, disk.count(simfs.Sync))
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{Queue: 10, QueueBytes: 1000})
		thaw := disk.freeze(simfs.Sync)
		require.NoError(t, j.Append(entries(1, 1), nil))
		synctest.Wait()
		for n := range uint64(9) {
			require.NoError(t, j.Append(entries(n+2, n+2), nil))
		}
		require.ErrorIs(t, j.Append(entries(11, 11), nil), journal.ErrFull)
		thaw()
		synctest.Wait()
		require.NoError(t, j.Append(entries(11, 11), nil))
		require.ErrorIs(t, j.Append([]journal.Entry{{Payload: make([]byte, 600)}, {Payload: make([]byte, 600)}}, nil), journal.ErrFull)
		require.ErrorIs(t, j.Append([]journal.Entry{{Payload: make([]byte, 961)}}, nil), journal.ErrTooLarge)

		// a done that does not return holds its place
		synctest.Wait()
		hold := make(chan struct{})
		require.NoError(t, j.Append(entries(12, 21), func(error) { <-hold }))
		synctest.Wait()
		require.ErrorIs(t, j.Append(entries(22, 22), nil), journal.ErrFull)
		close(hold)
		synctest.Wait()
		require.NoError(t, j.AppendSync(t.Context(), entry(22)))
	})
}

func TestASlowCallbackDelaysNoWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		hold := make(chan struct{})
		require.NoError(t, j.Append(entries(1, 1), func(error) { <-hold }))
		require.NoError(t, j.AppendSync(t.Context(), entry(2)))
		close(hold)
	})
}

func TestAPanicOfACallbackIsKeptFromTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, told := newPatient(), make(chan journal.Event, 10)
		j := open(t, disk, journal.Options{Notify: func(e journal.Event) { told <- e; panic("in Notify too") }})
		require.NoError(t, j.Append(entries(1, 1), func(error) { panic("boom") }))
		e := <-told
		require.Equal(t, journal.Panicked, e.Kind)
		require.ErrorContains(t, e.Err, "boom")
		require.ErrorContains(t, e.Err, "journal_test.go", "no stack")
		synctest.Wait()
		require.EqualValues(t, 2, j.Status().Panics)
		require.NoError(t, j.AppendSync(t.Context(), entry(2)))
	})
}

func TestASnapshotTakesItsPlaceInTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		thaw := disk.freeze(simfs.Sync)
		require.NoError(t, j.Append(entries(1, 1), nil))
		synctest.Wait()
		require.NoError(t, j.Append(entries(2, 5), nil))
		require.NoError(t, j.Snapshot(inState(5), nil))
		require.Error(t, j.Snapshot(inState(5), nil), "two at a time")
		require.NoError(t, j.Append(entries(6, 9), nil))
		thaw()
		require.NoError(t, j.Close())
		require.Equal(t, "5x1 6-9", story(t, disk))
	})
}

func TestASnapshotIsAskedForUntilItSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{Notify: said.notify})
		for n := uint64(1); len(said.take()) == 0; n++ {
			require.Less(t, n, uint64(100))
			require.NoError(t, j.AppendSync(t.Context(), entry(n)))
		}
		time.Sleep(15 * time.Second) // ignored
		require.Equal(t, []string{"10s snapshot wanted"}, said.take())
		require.NoError(t, j.Snapshot(inState(99), nil))
		time.Sleep(time.Minute)
		require.Empty(t, said.take())
		require.False(t, j.Status().Wants)
	})
}

func TestWithoutASnapshotTheJournalIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		var err error
		for n := uint64(1); err == nil; n++ {
			require.Less(t, n, uint64(1000))
			err = j.AppendSync(t.Context(), entry(n))
		}
		require.ErrorIs(t, err, journal.ErrDegraded)
		require.ErrorContains(t, err, "16 segments were filled without a snapshot")
		require.LessOrEqual(t, disk.Used(), int64(19*4096))
	})
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{})
		for n := range uint64(50) {
			require.NoError(t, j.Append(entries(n+1, n+1), func(err error) { said.add("%v", err) }))
		}
		require.NoError(t, j.Close())
		require.Len(t, said.take(), 50)
		require.NoError(t, j.Close())
		require.ErrorIs(t, j.Append(entries(51, 51), nil), journal.ErrClosed)
		require.ErrorIs(t, j.AppendSync(t.Context(), entry(51)), journal.ErrClosed)
		require.ErrorIs(t, j.Snapshot(nil, nil), journal.ErrClosed)
		disk.PowerCut()
		require.Equal(t, "1-50", story(t, disk))
	})
}

func TestReplayComesBeforeTheFirstSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		j := open(t, disk, journal.Options{})
		require.NoError(t, j.AppendSync(t.Context(), entries(1, 5)...))
		require.NoError(t, j.Close())
		j = open(t, disk, journal.Options{})
		require.NoError(t, j.AppendSync(t.Context(), entries(6, 9)...))
		got, err := short(j.Replay())
		require.NoError(t, err)
		require.Equal(t, "1-5", got, "what was found, and not what came since")
		require.EqualValues(t, 6, j.Report().Next)
		require.NoError(t, j.Snapshot(inState(9), nil))
		_, err = short(j.Replay())
		require.ErrorIs(t, err, journal.ErrReplayed)
	})
}

// Every record has the moment of its Append, on the clocks of the owner.
func TestARecordHasTheMomentOfItsAppend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newPatient()
		boot, born := journal.BootID{1, 2, 3}, time.Now()
		now := func() journal.Stamp {
			return journal.Stamp{Wall: time.Now(), Boot: time.Since(born), BootID: boot}
		}
		j := open(t, disk, journal.Options{Now: now})
		time.Sleep(90 * time.Second)
		thaw := disk.freeze(simfs.Sync)
		require.NoError(t, j.Append(entries(1, 1), nil))
		time.Sleep(time.Second)
		require.NoError(t, j.Append([]journal.Entry{{Type: 3}}, nil))
		thaw()
		require.NoError(t, j.Close())
		var got []journal.Record
		for r, err := range journal.NewReaderFS(disk).All() {
			require.NoError(t, err)
			r.Payload = nil
			got = append(got, r)
		}
		require.Equal(t, []journal.Record{
			{Seq: 1, Entry: journal.Entry{Type: typeNumber}, Stamp: journal.Stamp{Wall: born.Add(90 * time.Second).UTC(), Boot: 90 * time.Second, BootID: boot}},
			{Seq: 2, Entry: journal.Entry{Type: 3}, Stamp: journal.Stamp{Wall: born.Add(91 * time.Second).UTC(), Boot: 91 * time.Second, BootID: boot}},
		}, got)
	})
}

func TestManyAppendAtOnce(t *testing.T) {
	disk := simfs.New(1)
	var j *journal.Journal
	o := journal.Options{Log: journal.LogOptions{SegmentBytes: 64 << 10, MaxSegments: 1000}, Queue: 100}
	j = open(t, disk, o)
	var all sync.WaitGroup
	for g := range uint16(8) {
		all.Go(func() {
			for n := range uint64(200) {
				var err error
				for err = journal.ErrFull; errors.Is(err, journal.ErrFull); {
					err = j.AppendSync(context.Background(), journal.Entry{Type: g, Payload: number(n, 9)})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, j.Close())
	next := map[uint16]uint64{}
	seq := uint64(1)
	for r, err := range journal.NewReaderFS(disk).All() {
		require.NoError(t, err)
		require.Equal(t, seq, r.Seq)
		require.Equal(t, string(number(next[r.Type], 9)), string(r.Payload))
		next[r.Type]++
		seq++
	}
	require.EqualValues(t, 1601, seq)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for want, o := range map[string]journal.Options{
		"SegmentBytes": {Log: journal.LogOptions{SegmentBytes: 100}},
		"Segments":     {Log: journal.LogOptions{Segments: 1}},
		"MaxSegments":  {Log: journal.LogOptions{MaxSegments: 1}},
		"History":      {Log: journal.LogOptions{History: -2}},
		"Queue":        {Queue: -1},
		"StallAfter":   {StallAfter: -1},
	} {
		_, err := journal.OpenFS(simfs.New(1), o)
		require.ErrorContains(t, err, want)
	}
}
