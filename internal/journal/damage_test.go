package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// sound is a journal with history, a snapshot, and records in two segments after
// it, closed or as a crash leaves it.
func sound(t testing.TB, closed bool) *simfs.FS {
	t.Helper()
	fs := simfs.New(1)
	log, err := journal.OpenLog(fs, small)
	require.NoError(t, err)
	o := newOwner(5)
	o.log = log
	snapshot := func() {
		recs := make([]journal.Record, 3)
		for i := range recs {
			recs[i].Entry = journal.Entry{Type: typeState, Payload: number(o.said, 100)}
		}
		require.NoError(t, log.Snapshot(recs))
	}
	for range 15 {
		require.NoError(t, log.Append(o.records(2)))
	}
	snapshot()
	for range 7 {
		require.NoError(t, log.Append(o.records(2)))
	}
	snapshot()
	for range 18 {
		require.NoError(t, log.Append(o.records(2)))
		log.Mark()
	}
	if closed {
		require.NoError(t, log.Close())
	}
	return fs
}

// tell is what a replay yields, in short: "44x3 45-80" is a snapshot of three
// records that says 44, then the numbers from 45 to 80.
func tell(fs journal.FS) (story string, report journal.Report, err error) {
	log, err := journal.OpenLog(fs, small)
	if err != nil {
		return "", report, err
	}
	story, err = short(log.Replay())
	return story, log.Report(), err
}

func short(records iter.Seq2[journal.Record, error]) (story string, err error) {
	var first, last, snap, many uint64
	flush := func() {
		if many > 0 {
			story += fmt.Sprintf(" %dx%d", snap, many)
		}
		if first > 0 {
			story += fmt.Sprintf(" %d-%d", first, last)
		}
		first, many = 0, 0
	}
	for r, err := range records {
		var d *journal.Damage
		switch {
		case errors.As(err, &d):
			continue
		case err != nil:
			return story, err
		}
		n := binary.LittleEndian.Uint64(r.Payload)
		if string(r.Payload) != string(number(n, len(r.Payload)-8)) {
			return story, fmt.Errorf("nobody wrote record %d", r.Seq)
		}
		switch {
		case r.Type == typeState && many > 0 && n == snap && first == 0:
			many++
		case r.Type == typeState:
			flush()
			snap, many = n, 1
		case first > 0 && n == last+1:
			last = n
		default:
			if first > 0 {
				flush()
			}
			first, last = n, n
		}
	}
	flush()
	return strings.TrimSpace(story), nil
}

// whole are the stories in which nothing is missing: from the last snapshot, from
// the one before, from the beginning.
var whole = []string{"44x3 45-80", "30x3 31-80", "1-80"}

func segments(t testing.TB, fs *simfs.FS) (names []string) {
	t.Helper()
	all, err := fs.List()
	require.NoError(t, err)
	for _, name := range all {
		if strings.HasSuffix(name, ".log") {
			names = append(names, name)
		}
	}
	return names
}

func TestTheSoundJournalIsSound(t *testing.T) {
	for _, closed := range []bool{false, true} {
		fs := sound(t, closed)
		require.Len(t, segments(t, fs), 5)
		r := verify(t, fs)
		require.Empty(t, r.Damage)
		require.Equal(t, journal.Report{Segments: 5, Records: 80, Snapshot: 3, First: 1, Next: 81}, r)
		all, err := short(journal.NewReaderFS(fs).All())
		require.NoError(t, err)
		require.Equal(t, "1-30 30x3 31-44 44x3 45-80", all)
		story, r, err := tell(fs)
		require.NoError(t, err)
		require.Equal(t, journal.Report{Segments: 2, Records: 36, Snapshot: 3, First: 45, Next: 81}, r)
		require.Equal(t, whole[0], story)
	}
}

// A flipped bit is always seen, and where it changes the state the report says
// that the state is not whole.
func TestAnyFlippedBitIsSeen(t *testing.T) {
	fs := sound(t, true)
	rng := rand.New(rand.NewPCG(1, 1))
	each := often(600, 4096*8)
	spared, lost := 0, 0
	for _, name := range segments(t, fs) {
		size := len(fs.Bytes(name)) * 8
		for i := range each {
			bit := rng.IntN(size)
			if i < 64*8 || each == size {
				bit = i // all of the header, at least
			}
			hurt := fs.Clone(1)
			require.NoError(t, hurt.Flip(name, bit))
			where := fmt.Sprintf("%s bit %d", name, bit)
			require.NotEmpty(t, verify(t, hurt).Damage, where)
			if wholeOrTold(t, hurt, where) {
				spared++
			} else {
				lost++
			}
		}
	}
	t.Logf("%d without effect on the state, %d with", spared, lost)
	require.NotZero(t, lost)
}

// wholeOrTold says whether the state is whole; if not, the report must say so.
func wholeOrTold(t *testing.T, hurt *simfs.FS, where string) bool {
	t.Helper()
	story, report, err := tell(hurt)
	require.NoError(t, err, where)
	if slices.Contains(whole, story) {
		require.Zero(t, report.Lost(), where)
		return true
	}
	require.Falsef(t, report.Sound(), "%s: the state is %s and the report is sound: %+v", where, story, report)
	return false
}

func TestAnyPrefixIsSeen(t *testing.T) {
	fs := sound(t, true)
	step := 1 + 16/often(2, 100)
	for _, name := range segments(t, fs) {
		all := fs.Bytes(name)
		for n := 0; n < len(all); n += step {
			hurt := fs.Clone(1)
			hurt.Put(name, all[:n])
			where := fmt.Sprintf("%s cut to %d", name, n)
			require.NotEmpty(t, verify(t, hurt).Damage, where)
			wholeOrTold(t, hurt, where)
		}
	}
}

// After damage the journal goes on in a fresh segment, and the loss stays visible
// until a snapshot.
func TestAJournalGoesOnAfterDamage(t *testing.T) {
	fs := sound(t, true)
	names := segments(t, fs)
	last := names[len(names)-1]
	require.NoError(t, fs.Flip(last, (64+64+20)*8)) // its first record
	before := fs.Bytes(last)

	log, err := journal.OpenLog(fs, small)
	require.NoError(t, err)
	require.EqualValues(t, 1, log.Report().Lost())
	require.True(t, log.Wants())
	require.NoError(t, log.Append([]journal.Record{{Entry: journal.Entry{Type: typeNumber, Payload: number(81, 0)}}}))
	require.NoError(t, log.Close())
	require.True(t, bytes.Equal(before, fs.Bytes(last)), "evidence was changed")

	log, err = journal.OpenLog(fs, small)
	require.NoError(t, err)
	require.EqualValues(t, 1, log.Report().Lost())
	require.EqualValues(t, 82, log.Report().Next)
	require.NoError(t, log.Snapshot([]journal.Record{{Entry: journal.Entry{Type: typeState, Payload: number(81, 0)}}}))
	require.NoError(t, log.Close())

	log, err = journal.OpenLog(fs, small)
	require.NoError(t, err)
	require.Empty(t, log.Report().Damage)
	n, damage, err := state(log.Replay())
	require.NoError(t, err)
	require.Empty(t, damage)
	require.EqualValues(t, 81, n)
	r := verify(t, fs) // the history keeps the gap
	require.NotEmpty(t, r.Damage)
	require.True(t, r.Sound())
	require.Zero(t, r.Lost())
}

func TestAMissingSegmentIsSeen(t *testing.T) {
	for i := range 4 { // the fifth is the last: without it the journal is a sound, shorter one
		fs := sound(t, true)
		require.NoError(t, fs.Remove(segments(t, fs)[i]))
		require.Equal(t, i < 3, wholeOrTold(t, fs, segments(t, sound(t, true))[i]))
	}
}

// A snapshot that is spoilt is replaced by what led to it, while that is there.
func TestASpoiltSnapshotIsRebuiltFromHistory(t *testing.T) {
	fs := sound(t, true)
	names := segments(t, fs)
	require.NoError(t, fs.Flip(names[3], (64+64+3)*8))
	story, report, err := tell(fs)
	require.NoError(t, err)
	require.Equal(t, whole[1], story)
	require.Len(t, report.Damage, 1)
	require.True(t, report.Damage[0].Superseded)
	require.True(t, report.Sound())
}

func TestANewerJournalIsLeftAsItIs(t *testing.T) {
	for _, record := range []bool{false, true} {
		fs := sound(t, true)
		names := segments(t, fs)
		name := names[len(names)-1]
		if !record {
			name = names[0] // even in history
		}
		b := fs.Bytes(name)
		if record {
			journal.SetVersion(b[64:], 2, 4)
		} else {
			journal.SetVersion(b[:64], 2, 12)
		}
		fs.Put(name, b)
		before, ops := fs.Clone(1), fs.Ops()
		_, err := journal.OpenLog(fs, small)
		var newer *journal.NewerError
		require.ErrorAs(t, err, &newer)
		require.Equal(t, name, newer.File)
		require.ErrorContains(t, err, "written by a newer version of selfheal (format 2, this one reads up to 1)")
		require.Equal(t, ops, fs.Ops(), "it was changed")
		require.Equal(t, segments(t, before), segments(t, fs))
		_, err = journal.NewReaderFS(fs).Verify()
		require.ErrorAs(t, err, &newer)
	}
}

// Whatever happens to the bytes, nothing is invented and nothing panics.
func FuzzReplay(f *testing.F) {
	fs := sound(f, true)
	names := segments(f, fs)
	f.Add([]byte{})
	f.Add([]byte{3, 0, 70, 1})
	f.Add([]byte{4, 0, 8, 255, 4, 0, 9, 255})
	f.Add([]byte{4, 0, 68, 1, 4, 1, 200, 9, 4, 2, 7, 3})
	f.Add([]byte{129, 4, 0, 0})
	f.Fuzz(func(t *testing.T, patches []byte) {
		hurt := fs.Clone(1)
		for ; len(patches) >= 4; patches = patches[4:] {
			name := names[int(patches[0])%len(names)]
			b, at := hurt.Bytes(name), int(patches[1])<<8+int(patches[2])
			if patches[0] >= 128 {
				b = b[:min(at, len(b))]
			} else if len(b) > 0 {
				b[at%len(b)] ^= patches[3]
			}
			hurt.Put(name, b)
		}
		if _, err := journal.NewReaderFS(hurt).Verify(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tell(hurt); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSegment replays files of any content at all.
func FuzzSegment(f *testing.F) {
	fs := sound(f, true)
	for _, name := range segments(f, fs) {
		f.Add(fs.Bytes(name)[:1024])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := simfs.New(1)
		fs.Put("0000000000000001.log", b)
		fs.Put("0000000000000002.log", b)
		var newer *journal.NewerError
		if _, err := journal.OpenLog(fs, small); err != nil && !errors.As(err, &newer) {
			t.Fatal(err)
		}
		if _, err := journal.NewReaderFS(fs).Verify(); err != nil && !errors.As(err, &newer) {
			t.Fatal(err)
		}
	})
}
