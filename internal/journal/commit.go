package journal

import "fmt"

// Append makes records durable, in order, and gives each its sequence. When it
// returns nil they are. After an error some of them may be, in order and without
// a gap: each record must make sense alone.
//
// A file on which a write or a sync failed is not written again: Append goes on
// in the next segment. When none is left it returns [ErrDegraded], and so does
// every later Append until a [Log.Snapshot] succeeds.
func (l *Log) Append(recs []Record) error {
	if l.closed {
		return ErrClosed
	}
	for i := range recs {
		if n := len(recs[i].Payload); n > l.MaxPayload() {
			return tooLarge(n, l.MaxPayload())
		}
	}
	for len(recs) > 0 {
		if l.failed != nil {
			return l.refusal()
		}
		n := l.commit(recs)
		recs = recs[n:]
	}
	return nil
}

func tooLarge(payload, limit int) error {
	return fmt.Errorf("%w: a payload of %d bytes, at most %d: keep large things elsewhere and put a reference on record", ErrTooLarge, payload, limit)
}

func (l *Log) refusal() error {
	return fmt.Errorf("%w: %w: %s", ErrDegraded, l.failed, advice(l.failed))
}

// commit makes the first records durable and says how many; 0 when the log is
// degraded now.
func (l *Log) commit(recs []Record) int {
	if l.active != nil {
		l.buf = l.buf[:0]
		if n := l.encode(recs, l.segs[len(l.segs)-1].id, int(l.active.size-l.active.off)); n > 0 {
			if l.write() {
				l.done(n)
				return n
			}
		}
	}
	return l.advance(recs)
}

// encode appends records to l.buf, as many as room has space for.
func (l *Log) encode(recs []Record, segment uint64, room int) int {
	var f frame
	for i := range recs {
		if len(l.buf)+padded(len(recs[i].Payload)) > room {
			return i
		}
		recs[i].Seq, recs[i].Snapshot = l.next+uint64(i), false
		f = frame{Record: recs[i], mark: l.durable}
		l.buf = appendFrame(l.buf, segment, &f)
	}
	return len(recs)
}

// write makes l.buf durable at the end of the active segment, or gives that up.
func (l *Log) write() bool {
	w := l.active
	doing := "write " + w.name
	_, err := w.WriteAt(l.buf, w.off)
	if err == nil && !mutant(mutNoSync) {
		doing = "sync " + w.name
		if err = w.Sync(); err != nil && mutant(mutTrustsFailed) {
			err = w.Sync()
		}
	}
	if err == nil {
		doing = "look after " + w.name
		err = l.fs.Check(w.name, w.File)
	}
	if err != nil {
		l.fault(doing, err)
		l.abandon()
		return false
	}
	w.off += int64(len(l.buf))
	return true
}

func (l *Log) done(n int) {
	l.next += uint64(n)
	l.durable = l.next - 1
}

// advance makes the first records durable in a new segment.
func (l *Log) advance(recs []Record) int {
	if l.active != nil { // full
		l.active.Close()
		l.active = nil
	}
	if len(l.segs)-l.base >= l.opt.MaxSegments {
		l.degrade(fmt.Errorf("%d segments were filled without a snapshot", l.opt.MaxSegments))
		return 0
	}
	n := 0
	ok := l.begin(header{first: l.next}, l.opt.SegmentBytes, func(id uint64, size int) {
		n = l.encode(recs, id, size)
	})
	if !ok {
		l.next += uint64(len(recs)) // they may be on some disk: never these numbers again
		l.degrade(l.trouble.Last)
		return 0
	}
	l.done(n)
	l.supply()
	return n
}

// begin makes a spare the active segment: header and body are durable in it
// before it gets its name. It tries one spare after the other, then a new file.
func (l *Log) begin(h header, size int, body func(id uint64, size int)) bool {
	for fresh := false; ; {
		w := l.take(int64(size), &fresh)
		if w == nil {
			return false
		}
		l.top++
		h.id, h.size = l.top, uint64(w.size)
		l.buf = appendHeader(l.buf[:0], h)
		body(h.id, int(w.size))
		if err := l.install(w, h); err != nil {
			l.fault("begin a segment in "+w.name, err)
			w.Close()
			_ = l.fs.Remove(w.name)
			if _, named := parseName(w.name, segmentSuffix); named {
				// It may be there after a power cut, and what precedes it would then not
				// be read beyond its beginning: nothing more may go there.
				l.abandon()
			}
			continue
		}
		if l.active != nil {
			l.active.Close()
		}
		w.off, w.from = int64(len(l.buf)), segmentHeader+int64(h.bytes)
		l.active = w
		l.segs = append(l.segs, segment{header: h, id: h.id, name: w.name, sound: true})
		return true
	}
}

func (l *Log) install(w *writing, h header) error {
	if _, err := w.WriteAt(l.buf, 0); err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	name := segmentName(h.id, segmentSuffix)
	if err := l.fs.Rename(w.name, name); err != nil {
		return err
	}
	w.name = name
	if err := l.fs.SyncDir(); err != nil {
		return err
	}
	return l.fs.Check(name, w.File)
}

// Mark notes down that what was appended is durable, so that damage to the very
// last records can be told from a write that was never acknowledged. Call it when
// there is nothing else to do; it waits for no disk, and the next append
// overwrites it.
func (l *Log) Mark() {
	w := l.active
	if w == nil || l.marked == l.durable || w.size-w.off < recordHeader {
		return
	}
	l.buf = appendFrame(l.buf[:0], l.segs[len(l.segs)-1].id, &frame{Record: Record{Seq: l.durable}, flags: flagMark, mark: l.durable})
	if _, err := w.WriteAt(l.buf, w.off); err != nil {
		l.fault("write "+w.name, err)
		l.abandon()
		return
	}
	l.marked = l.durable
}
