package journal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// Snapshot replaces everything before it: recs, in order, are the whole state
// after all that was appended. They are written and synced in a spare segment,
// which then gets its name; what came before becomes history, and its oldest
// segments are reused.
//
// It ends a degradation when it succeeds, since it leaves no gap. When it fails,
// a log that was not degraded still is not.
func (l *Log) Snapshot(recs []Record) error {
	if l.closed {
		return ErrClosed
	}
	total := 0
	for i := range recs {
		if n := len(recs[i].Payload); n > l.MaxPayload() {
			return tooLarge(n, l.MaxPayload())
		}
		total += padded(len(recs[i].Payload))
	}
	if total > maxSegmentBytes/4 {
		return fmt.Errorf("%w: a snapshot of %d bytes, at most %d: keep less in it", ErrTooLarge, total, maxSegmentBytes/4)
	}
	h := header{snapshot: true, first: l.next, records: uint64(len(recs)), bytes: uint64(total)}
	body := func(id uint64, _ int) {
		var f frame
		for i := range recs {
			recs[i].Seq, recs[i].Snapshot = h.first-1, true
			f = frame{Record: recs[i], flags: flagSnapshot, mark: uint64(i)}
			l.buf = appendFrame(l.buf, id, &f)
		}
	}
	need, size := segmentHeader+total, l.opt.SegmentBytes
	if need > size-size/4 {
		size = (2*need + size + 4095) &^ 4095
	}
	ok := l.begin(h, size, body)
	if !ok && size > l.opt.SegmentBytes && need <= l.opt.SegmentBytes {
		ok = l.begin(h, l.opt.SegmentBytes, body) // tight, but its space is taken already
	}
	if !ok {
		if l.failed != nil {
			l.failed = l.trouble.Last
			return l.refusal()
		}
		return advised("take a snapshot", l.trouble.Last)
	}
	l.failed, l.wants, l.replay = nil, false, nil
	l.base = len(l.segs) - 1
	l.durable, l.marked = l.next-1, l.next-1
	for l.base > l.opt.History && !mutant(mutKeepsAll) {
		l.scrap()
	}
	l.supply()
	return nil
}

// take returns a file of at least size bytes, all zeros: a spare; or, once for
// each fresh, a new file; or where space is short the oldest history.
func (l *Log) take(size int64, fresh *bool) *writing {
	for i, w := range l.spares {
		if w.size >= size {
			l.spares = slices.Delete(l.spares, i, i+1)
			return w
		}
	}
	if !*fresh {
		*fresh = true
		if w := l.create(size); w != nil {
			return w
		}
	}
	return l.recycle(size)
}

// supply makes segments ready until there are enough, if it can.
func (l *Log) supply() {
	for l.Short() {
		w := l.create(int64(l.opt.SegmentBytes))
		if w == nil {
			w = l.recycle(int64(l.opt.SegmentBytes))
		}
		if w == nil {
			return
		}
		l.spares = append(l.spares, w)
	}
}

// adopt makes what an earlier life had in preparation ready, for its space.
func (l *Log) adopt(names []string) {
	for _, name := range names {
		if l.Short() {
			f, err := l.fs.Open(name, true)
			if err == nil {
				var size int64
				size, err = f.Size()
				if err == nil && size >= int64(l.opt.SegmentBytes) && size <= maxSegmentBytes {
					w := &writing{File: f, name: name, size: size}
					if err = prepare(w, false); err == nil {
						l.spares = append(l.spares, w)
						continue
					}
				}
				f.Close()
			}
			if err != nil {
				l.fault("prepare "+name, err)
			}
		}
		_ = l.fs.Remove(name)
	}
}

// create makes a new spare; nil if it cannot.
func (l *Log) create(size int64) *writing {
	l.top++
	name := segmentName(l.top, spareSuffix)
	f, err := l.fs.Create(name)
	if err != nil {
		l.fault("create "+name, err)
		return nil
	}
	w := &writing{File: f, name: name, size: size}
	if err = prepare(w, true); err == nil {
		err = l.fs.SyncDir()
	}
	if err != nil {
		l.fault("prepare "+name, err)
		f.Close()
		_ = l.fs.Remove(name)
		return nil
	}
	return w
}

// recycle makes the oldest history a spare where space is short; nil if it
// cannot. Where something else is wrong with the disk, history is not risked.
func (l *Log) recycle(size int64) *writing {
	for l.base > 0 && (errors.Is(l.trouble.Last, syscall.ENOSPC) || errors.Is(l.trouble.Last, syscall.EDQUOT)) {
		if w := l.reuse(); w != nil {
			if w.size >= size {
				return w
			}
			l.spares = append(l.spares, w)
		}
	}
	return nil
}

// scrap ends the oldest history: it becomes a spare where one is missing, or goes.
func (l *Log) scrap() {
	if l.Short() {
		if w := l.reuse(); w != nil {
			l.spares = append(l.spares, w)
		}
		return
	}
	_ = l.fs.Remove(l.segs[0].name)
	l.forget()
}

// reuse makes the oldest history a spare. It is nil, and the file removed, if that
// is not to be trusted, or too small, or cannot be.
func (l *Log) reuse() *writing {
	s := l.segs[0]
	l.forget()
	if !s.dead && s.sound && s.size >= uint64(l.opt.SegmentBytes) {
		w, err := l.wipe(s)
		if err == nil {
			return w
		}
		l.fault("prepare "+s.name, err)
	}
	_ = l.fs.Remove(s.name)
	return nil
}

func (l *Log) forget() {
	l.segs = slices.Delete(l.segs, 0, 1)
	l.base--
}

// wipe renames a segment of the history first: one that is being wiped would look
// damaged.
func (l *Log) wipe(s segment) (*writing, error) {
	f, err := l.fs.Open(s.name, true)
	if err != nil {
		return nil, err
	}
	l.top++
	w := &writing{File: f, name: segmentName(l.top, spareSuffix), size: int64(s.size)}
	if err = l.fs.Rename(s.name, w.name); err == nil {
		if err = l.fs.SyncDir(); err == nil {
			if err = prepare(w, false); err == nil {
				return w, nil
			}
		}
		_ = l.fs.Remove(w.name)
	}
	f.Close()
	return nil, err
}

// prepare fills w with zeros, so that its space is taken and a later sync has no
// metadata to write, and makes that durable.
func prepare(w *writing, fresh bool) error {
	if err := w.Allocate(w.size); err != nil {
		return err
	}
	const piece = 64 << 10
	none, b := make([]byte, piece), make([]byte, piece)
	for off := int64(0); off < w.size; off += piece {
		n := min(piece, w.size-off)
		if !fresh {
			if got, err := w.ReadAt(b[:n], off); err == nil && int64(got) == n && blank(b[:n]) {
				continue
			}
		}
		if _, err := w.WriteAt(none[:n], off); err != nil {
			return err
		}
	}
	return w.Sync()
}
