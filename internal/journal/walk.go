package journal

import "bytes"

// A walk reads the records of one segment, and tells a torn write from damage.
//
// Bytes that are no record may be the remains of a write that nobody was told
// had succeeded, which a power cut leaves and which are cut, or acknowledged
// records that the disk has spoilt, which is a loss. The marks tell: each record
// carries the highest sequence that was durable when it was written, so if
// anything behind the hole was written when the record in the hole was durable,
// that record was acknowledged. So was all that came before the next segment.
type walk struct {
	seg   *segment
	b     []byte // the whole segment
	want  uint64 // sequence of the next record; 0: not known
	bound uint64 // what the next segment begins with; 0: there is no next
	until uint64 // stop before this sequence; 0: at the end
	yield func(Record, error) bool

	off    int    // where the records end
	clean  bool   // nothing but zeros, and maybe a mark, lies behind them
	sure   uint64 // highest sequence that was durable for certain
	unsure int    // offset of the first record that may not be
	ended  bool   // there is no more, or yield wants none
	acked  uint64 // what proof found, once
	proved bool
	f      frame
}

// run yields records, and a *Damage where there is one. Its error is a
// *NewerError.
func (w *walk) run() error {
	if w.off = segmentHeader; !w.seg.sound {
		w.damage(&Damage{Kind: BadHeader, Bytes: segmentHeader})
	} else {
		w.sure = w.seg.first - 1
		if w.seg.snapshot {
			w.snapshot()
			w.off += int(w.seg.bytes)
		}
	}
	for w.unsure = w.off; !w.ended; {
		if w.until != 0 && w.want >= w.until {
			return nil
		}
		if w.off >= len(w.b) || blank(w.b[w.off:]) {
			w.finish(true)
			return nil
		}
		n, err := decodeFrame(w.b[w.off:], w.seg.id, &w.f)
		if err != nil {
			if err := keepNewer(err, w.seg.name); err != nil {
				return err
			}
			n = 0
		}
		switch {
		case n == 0 || !w.take(n):
			if !w.trouble() {
				return nil
			}
		case w.clean:
			return nil
		}
	}
	return nil
}

// take accepts the record in w.f if it is the one to come.
func (w *walk) take(n int) bool {
	switch {
	case w.f.flags == flagMark && blank(w.b[w.off+n:]):
		w.sure = max(w.sure, w.f.mark)
		w.finish(true)
	case w.f.flags == flagSnapshot && !w.seg.sound: // the header said where they end
		if !w.yield(w.f.Record, nil) {
			w.ended = true
		}
		w.off += n
		w.unsure = w.off
	case w.f.flags == 0 && (w.want == 0 || w.f.Seq == w.want):
		if w.bound != 0 && w.f.Seq >= w.bound { // written again in the next segment
			w.finish(true)
			return true
		}
		if w.f.mark == w.f.Seq-1 { // the first of its batch
			w.unsure = w.off
		}
		w.sure = max(w.sure, w.f.mark)
		w.want = w.f.Seq + 1
		w.off += n
		if !w.yield(w.f.Record, nil) {
			w.ended = true
		}
	default:
		return false
	}
	return true
}

// trouble judges what lies at w.off, which is not the record to come. It is false
// when the records end here.
func (w *walk) trouble() bool {
	acked := w.proof()
	at, seq := w.find()
	switch {
	case w.want == 0 && at > 0: // after a bad header: begin with what there is
		w.want, w.off = seq, at
		return true
	case w.want == 0 || acked < w.want:
		w.damage(&Damage{Kind: Torn, Offset: int64(w.off), Bytes: int64(w.extent())})
		w.finish(false)
		return false
	case at > 0 && seq <= acked+1:
		w.damage(&Damage{Kind: Corrupt, Offset: int64(w.off), Bytes: int64(at - w.off), Lost: seq - w.want})
		w.want, w.off = seq, at
		return true
	}
	w.damage(&Damage{Kind: Corrupt, Offset: int64(w.off), Bytes: int64(w.extent()), Lost: acked + 1 - w.want})
	w.want = acked + 1
	w.finish(false)
	return false
}

// proof is the highest sequence of which anything behind w.off, or the next
// segment, says that it was durable. What it says once holds for all that follows.
func (w *walk) proof() uint64 {
	if w.bound != 0 {
		return w.bound - 1
	}
	for off := w.off; !w.proved && off+recordHeader <= len(w.b); {
		n, err := decodeFrame(w.b[off:], w.seg.id, &w.f)
		if err != nil {
			off += 8
			continue
		}
		if w.f.flags != flagSnapshot {
			w.acked = max(w.acked, w.f.mark)
		}
		off += n
	}
	w.proved = true
	return w.acked
}

// find looks from w.off on for the first whole record that is to come: where it
// is and its sequence; 0 if there is none.
func (w *walk) find() (at int, seq uint64) {
	for off := w.off; off+recordHeader <= len(w.b); {
		n, err := decodeFrame(w.b[off:], w.seg.id, &w.f)
		if err != nil {
			off += 8
			continue
		}
		if w.f.flags == 0 && w.f.Seq >= max(w.want, 1) && (w.bound == 0 || w.f.Seq < w.bound) {
			return off, w.f.Seq
		}
		off += n
	}
	return 0, 0
}

// extent is how far there is anything behind w.off.
func (w *walk) extent() int {
	return len(bytes.TrimRight(w.b[w.off:], "\x00"))
}

// finish ends the walk where nothing more comes.
func (w *walk) finish(clean bool) {
	w.clean, w.ended = clean, true
	if w.sure+1 >= w.want {
		w.unsure = w.off
	}
	d := &Damage{Kind: Missing, Offset: int64(w.off)}
	if w.seg.sound && uint64(len(w.b)) < w.seg.size {
		d.Kind, d.Offset = Truncated, int64(len(w.b))
		d.Bytes = int64(w.seg.size) - d.Offset
		w.clean = false
	}
	if w.bound != 0 && w.want != 0 && w.want < w.bound {
		d.Lost = w.bound - w.want
		w.want = w.bound
	}
	if d.Lost > 0 || d.Kind == Truncated {
		w.damage(d)
	}
}

// snapshot yields what there is of the snapshot.
func (w *walk) snapshot() {
	end := min(segmentHeader+int(w.seg.bytes), len(w.b))
	off, index := segmentHeader, uint64(0)
	bad := -1 // where the hole began
	hole := func(to int, next uint64) {
		if bad >= 0 || next > index {
			if bad < 0 {
				bad = off
			}
			w.damage(&Damage{Kind: Corrupt, Offset: int64(bad), Bytes: int64(to - bad), Lost: next - index})
			bad = -1
		}
	}
	for off < end && !w.ended {
		n, err := decodeFrame(w.b[off:end], w.seg.id, &w.f)
		if err != nil || !w.f.isSnapshot(w.seg.first, w.f.mark) || w.f.mark < index {
			if bad < 0 {
				bad = off
			}
			off += 8
			continue
		}
		hole(off, w.f.mark)
		index = w.f.mark + 1
		off += n
		if !w.ended && !w.yield(w.f.Record, nil) {
			w.ended = true
		}
	}
	if !w.ended {
		hole(end, max(w.seg.records, index))
	}
}

func (w *walk) damage(d *Damage) {
	d.File = w.seg.name
	if !w.yield(Record{}, d) {
		w.ended = true
	}
}
