package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// A patient is a disk that fails or hangs when the test says so.
type patient struct {
	*simfs.FS
	mu    sync.Mutex
	fail  error
	only  simfs.Kind // -1: every kind
	hang  chan struct{}
	calls map[simfs.Kind]int
}

func newPatient() *patient {
	p := &patient{FS: simfs.New(1), only: -1, calls: map[simfs.Kind]int{}}
	p.SetHook(func(op simfs.Op) simfs.Fault {
		p.mu.Lock()
		p.calls[op.Kind]++
		fail, hang := p.fail, p.hang
		if p.only >= 0 && op.Kind != p.only {
			fail, hang = nil, nil
		}
		p.mu.Unlock()
		if hang != nil {
			<-hang
		}
		return simfs.Fault{Err: fail}
	})
	return p
}

func (p *patient) set(kind simfs.Kind, fail error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only, p.fail = kind, fail
}

// freeze lets everything of a kind hang until thaw is called.
func (p *patient) freeze(kind simfs.Kind) (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hang := make(chan struct{})
	p.only, p.hang = kind, hang
	return func() {
		p.mu.Lock()
		p.hang = nil
		p.mu.Unlock()
		close(hang)
	}
}

func (p *patient) count(kind simfs.Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[kind]
}

// A diary keeps what the journal tells its owner.
type diary struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	then  func(journal.Event)
}

func newDiary() *diary { return &diary{began: time.Now()} }

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, time.Since(d.began).String()+" "+fmt.Sprintf(format, args...))
}

func (d *diary) notify(e journal.Event) {
	if e.After > 0 {
		d.add("%v %v", e.Kind, e.After)
	} else {
		d.add("%v", e.Kind)
	}
	if d.then != nil {
		d.then(e)
	}
}

func (d *diary) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func open(t testing.TB, fs journal.FS, o journal.Options) *journal.Journal {
	t.Helper()
	if o.Log == (journal.LogOptions{}) {
		o.Log = small
	}
	j, err := journal.OpenFS(fs, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func entry(n uint64) journal.Entry {
	return journal.Entry{Type: typeNumber, Payload: number(n, 20)}
}

func entries(from, to uint64) (es []journal.Entry) {
	for n := from; n <= to; n++ {
		es = append(es, entry(n))
	}
	return es
}

func inState(n uint64) []journal.Entry {
	return []journal.Entry{{Type: typeState, Payload: number(n, 0)}}
}

func story(t testing.TB, fs journal.FS) string {
	t.Helper()
	s, _, err := tell(fs)
	require.NoError(t, err)
	return s
}

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

func TestASyncThatFailsCostsTheFileAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk, said := newPatient(), newDiary()
		j := open(t, disk, journal.Options{Notify: said.notify})
		require.NoError(t, j.AppendSync(t.Context(), entry(1)))
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
		disk.PowerCut()
		require.Equal(t, "9x1 10-10", story(t, disk))
		time.Sleep(time.Hour)
		require.Empty(t, said.take())
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
