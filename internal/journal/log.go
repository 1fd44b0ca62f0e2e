package journal

import (
	"fmt"
	"iter"
	"slices"
)

// LogOptions of a [Log]. The zero value is useful.
type LogOptions struct {
	// SegmentBytes is the size of a segment in bytes. 0 means 1 MiB; at least
	// 4 KiB, at most 16 MiB. A payload may have a quarter of it, less 64 bytes.
	SegmentBytes int
	// Segments is how many segments are ready at any time: the one that is written
	// and those whose space is taken in advance, so that a full disk or a failed
	// sync does not stop the journal. 0 means 3; at least 2.
	Segments int
	// MaxSegments bounds what is written without a snapshot. A journal that has
	// filled so many segments is degraded until it gets one. 0 means 64.
	MaxSegments int
	// History is how many segments from before the last snapshot are kept for
	// audits. They are the first to be reused where space is short. 0 means 4, -1
	// none.
	History int
}

func (o LogOptions) withDefaults() (LogOptions, error) {
	set := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&o.SegmentBytes, 1<<20)
	set(&o.Segments, 3)
	set(&o.MaxSegments, 64)
	set(&o.History, 4)
	if o.History == -1 {
		o.History = 0
	}
	switch {
	case o.SegmentBytes < 4<<10 || o.SegmentBytes > 16<<20:
		return o, fmt.Errorf("journal: SegmentBytes is %d: give 4 KiB to 16 MiB, or 0 for 1 MiB", o.SegmentBytes)
	case o.Segments < 2:
		return o, fmt.Errorf("journal: Segments is %d: one is written and one stands ready, so give 2 or more, or 0 for 3", o.Segments)
	case o.MaxSegments < o.Segments:
		return o, fmt.Errorf("journal: MaxSegments is %d: give at least Segments (%d), or 0 for 64", o.MaxSegments, o.Segments)
	case o.History < 0:
		return o, fmt.Errorf("journal: History is %d: give -1 for none, or 0 for 4", o.History)
	}
	o.SegmentBytes = (o.SegmentBytes + 7) &^ 7
	return o, nil
}

// A Log is the commit state of a journal: what is durable, where the next record
// goes, which files are not to be trusted. It has no goroutine, lock or clock, so
// a simulator can run it over an [FS] of its own. It is for one goroutine at a
// time.
type Log struct {
	fs  FS
	opt LogOptions

	report Report
	replay *view  // as found; nil once a snapshot may have taken its place
	until  uint64 // what replay ends before

	segs   []segment // in use and history, by id; the last one is written
	base   int       // index of the segment with the newest snapshot
	active *writing  // nil: the next record begins a segment
	spares []*writing
	top    uint64 // highest id ever used

	next    uint64 // sequence of the next record
	durable uint64 // highest sequence that is durable
	marked  uint64 // what the last mark says
	failed  error  // why it is degraded; nil if it is not
	wants   bool   // something happened after which a snapshot is due
	trouble Trouble
	buf     []byte
	closed  bool
}

// writing is an open file that takes records, or stands ready to.
type writing struct {
	File
	name string
	size int64 // of the file
	off  int64 // where the next record goes
	from int64 // where its records began: after header and snapshot
}

// Trouble is what went wrong with files so far.
type Trouble struct {
	Failures uint64 // writes, syncs and preparations of segments that failed
	Last     error  // the last of them
}

// OpenLog reads the journal in fsys and makes it ready to be written. What was
// written last, and may not be durable, is written again and synced first, so
// that nothing is replayed which a power cut could still take back. Damage is not
// an error but in [Log.Report]; a journal of a newer version is a [*NewerError]
// and left as it is.
func OpenLog(fsys FS, opt LogOptions) (*Log, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := survey(fsys)
	if err != nil {
		return nil, err
	}
	l := &Log{fs: fsys, opt: opt, segs: dir.segments, top: dir.top, next: 1}
	tail, err := l.read()
	if err != nil {
		return nil, err
	}
	if err := l.resume(tail); err != nil {
		l.release()
		return nil, err
	}
	l.adopt(dir.spares)
	l.supply()
	if l.active == nil && len(l.spares) == 0 {
		err := l.trouble.Last
		l.release()
		return nil, advised("prepare a segment", err)
	}
	return l, nil
}

// read finds out what the journal holds and where it ends.
func (l *Log) read() (tail *walk, err error) {
	for i := range l.segs { // all of them: a newer one anywhere means hands off
		if s := &l.segs[i]; s.sound && s.first > l.next {
			l.next = s.first
		}
	}
	v, err := newView(l.fs, l.segs, nil)
	if err != nil {
		return nil, err
	}
	l.base = v.start
	tail, err = v.run(pass{from: v.start, yield: l.report.count, each: func(*segment) { l.report.Segments++ }})
	if err != nil {
		return nil, err
	}
	if tail != nil && tail.want != 0 {
		l.next = max(l.next, tail.want)
	}
	l.report.Next = l.next
	l.replay = &view{fs: l.fs, segs: append([]segment(nil), l.segs...), start: v.start}
	l.until = l.next
	return tail, nil
}

// count takes in what an iterator yields.
func (r *Report) count(rec Record, err error) bool {
	switch d, ok := err.(*Damage); {
	case ok:
		r.Damage = append(r.Damage, d)
	case rec.Snapshot:
		r.Snapshot++
	default:
		if r.First == 0 {
			r.First = rec.Seq
		}
		r.Records++
	}
	return true
}

// resume makes durable what was found, and goes on in the last segment if that
// is sound to its end.
func (l *Log) resume(tail *walk) error {
	if tail == nil {
		return nil
	}
	s := tail.seg
	f, err := l.fs.Open(s.name, true)
	if err != nil {
		return advised("open "+s.name, err)
	}
	w := &writing{File: f, name: s.name, size: int64(len(tail.b)), off: int64(tail.off), from: segmentHeader + int64(s.bytes)}
	// A sync of pages that an earlier, failed sync has marked clean proves nothing:
	// only a new write makes the next sync carry them to the disk.
	if tail.unsure < tail.off {
		_, err = f.WriteAt(tail.b[tail.unsure:tail.off], int64(tail.unsure))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir()
	}
	if err != nil {
		f.Close()
		return advised("make durable what "+s.name+" holds", err)
	}
	l.durable = l.next - 1
	l.wants = len(l.report.Damage) > 0
	spoilt := slices.ContainsFunc(l.report.Damage, func(d *Damage) bool { return d.File == s.name })
	if spoilt || !tail.clean || len(tail.b) != int(s.size) { // evidence stays as it is
		f.Close()
		l.wants = true
		return nil
	}
	l.marked = tail.sure
	l.active = w
	return nil
}

// Report says how the journal was found.
func (l *Log) Report() Report { return l.report }

// Replay yields the state as it was found: the newest whole snapshot, then
// all records after it, in order, and a [*Damage] as the error where something
// is missing; any other error ends it. A payload is valid until the next record.
// Memory is bounded by the largest segment. After the first snapshot of this life
// it yields [ErrReplayed].
func (l *Log) Replay() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if l.replay == nil {
			yield(Record{}, ErrReplayed)
			return
		}
		l.replay.state(l.until)(yield)
	}
}

// Failed is why the log is degraded; nil if it is not.
func (l *Log) Failed() error { return l.failed }

// Trouble is what went wrong with files, also where it could be mended.
func (l *Log) Trouble() Trouble { return l.trouble }

// Durable is the sequence up to which everything is durable.
func (l *Log) Durable() uint64 { return l.durable }

// Wants says that a snapshot is due: the log is degraded, or has grown by half of
// a segment since the last one, or damage or a failed file lies behind it.
func (l *Log) Wants() bool {
	if l.failed != nil || l.wants || len(l.segs)-l.base > 1 {
		return true
	}
	return l.active != nil && l.active.off-l.active.from > (l.active.size-l.active.from)/2
}

// Short says that fewer segments stand ready than there should be. [Log.Tend]
// tries to make them.
func (l *Log) Short() bool { return len(l.spares) < l.opt.Segments-1 }

// Tend makes segments ready where some are missing.
func (l *Log) Tend() {
	if !l.closed {
		l.supply()
	}
}

// MaxPayload is how many bytes an entry may have.
func (l *Log) MaxPayload() int { return l.opt.SegmentBytes/4 - recordHeader }

// Break degrades the log for a reason that it cannot know itself, or gives a
// degraded one that reason.
func (l *Log) Break(why error) {
	if l.failed != nil {
		l.failed = why
		return
	}
	l.degrade(why)
}

func (l *Log) degrade(why error) {
	l.abandon()
	l.failed = why
	l.next++ // what is refused from now on leaves a gap that can be seen
}

// abandon lets go of the active segment, which is not written again.
func (l *Log) abandon() {
	l.wants = true
	if l.active != nil {
		l.active.Close()
		l.active = nil
		l.segs[len(l.segs)-1].dead = true
	}
}

func (l *Log) fault(doing string, err error) {
	if mutant(mutPanics) {
		panic("planted")
	}
	l.trouble.Failures++
	l.trouble.Last = fmt.Errorf("%s: %w", doing, err)
}

func (l *Log) release() {
	if l.active != nil {
		l.active.Close()
		l.active = nil
	}
	for _, s := range l.spares {
		s.Close()
	}
	l.spares = nil
}

// Close marks the end and closes all files. Everything that was acknowledged is
// durable without it.
func (l *Log) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	l.Mark()
	var err error
	if l.active != nil && l.marked == l.durable {
		err = l.active.Sync()
	}
	l.release()
	if err != nil {
		return advised("sync at the end", err)
	}
	return nil
}
