package journal

import (
	"errors"
	"fmt"
	"iter"
)

// A view is the segments of a journal and where its state begins.
type view struct {
	fs    FS
	segs  []segment
	start int // the state begins with this one
	buf   []byte
}

var errRecycled = errors.New("journal: the segment was recycled while it was read")

// newView finds the newest snapshot that is whole. Without one, the state is all
// that there is.
func newView(fsys FS, segs []segment, buf []byte) (*view, error) {
	v := &view{fs: fsys, segs: segs, buf: buf}
	for i := len(segs) - 1; i > 0; i-- {
		if !segs[i].sound || !segs[i].snapshot {
			continue
		}
		var err error
		if v.buf, _, err = segs[i].load(fsys, v.buf); err != nil {
			return nil, err
		}
		whole, err := segs[i].wholeSnapshot(v.buf)
		if err != nil {
			return nil, err
		}
		if whole {
			v.start = i
			break
		}
	}
	return v, nil
}

// bound is the sequence with which the segments after i begin; 0 if there is none.
func (v *view) bound(i int) (uint64, error) {
	for _, s := range v.segs[i+1:] {
		if s.sound {
			return s.first, nil
		}
		b, _, err := s.load(v.fs, nil)
		if err != nil {
			return 0, err
		}
		w := walk{seg: &s, b: b, off: segmentHeader}
		if at, seq := w.find(); at > 0 {
			return seq, nil
		}
	}
	return 0, nil
}

// pass is one way through the segments of a view.
type pass struct {
	from  int
	until uint64 // stop before this sequence; 0: at the end
	all   bool   // every snapshot, not only that with which the state begins
	calm  bool   // a writer may be at work: look again before calling it damage
	yield func(Record, error) bool
	each  func(*segment) // before its records; may be nil
}

// run yields records and each *Damage in order. It returns the walk through the
// last segment; nil where there is none, or where yield wanted no more.
func (v *view) run(p pass) (last *walk, err error) {
	stopped := false
	var want uint64
	for i := p.from; i < len(v.segs); i++ {
		s := &v.segs[i]
		bound, err := v.bound(i)
		if err != nil {
			return nil, err
		}
		if want == 0 && s.sound {
			want = s.first
		}
		w := &walk{seg: s, want: want, bound: bound, until: p.until}
		if err := v.read(w, p.calm); err != nil {
			return nil, err
		}
		if p.each != nil {
			p.each(s)
		}
		if i == p.from && want > 1 && !s.snapshot && s.sound && !p.all {
			d := &Damage{Kind: Missing, File: s.name, Lost: want - 1}
			stopped = !p.yield(Record{}, d)
		}
		superseded := p.all && i < v.start
		w.yield = func(r Record, err error) bool {
			if stopped {
				return false
			}
			if d, ok := err.(*Damage); ok {
				d.Superseded = superseded || v.spare(w, i, d)
			} else if r.Snapshot && !p.all && i > p.from {
				return true
			}
			stopped = !p.yield(r, err)
			return !stopped
		}
		if err := w.run(); err != nil {
			return nil, err
		}
		if stopped {
			return nil, nil
		}
		want, last = w.want, w
	}
	return last, nil
}

// state yields the records before a sequence, from where the state begins. Its
// passes are independent of each other.
func (v *view) state(until uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		own := &view{fs: v.fs, segs: v.segs, start: v.start}
		if _, err := own.run(pass{from: own.start, until: until, yield: yield}); err != nil {
			yield(Record{}, err)
		}
	}
}

// spare says whether the state is whole without what d is about: a snapshot that
// comes after the state began, so that its records can be read one by one.
func (v *view) spare(w *walk, i int, d *Damage) bool {
	return d.Kind == Corrupt && i > v.start && w.seg.sound && w.seg.snapshot && d.Offset < int64(segmentHeader+w.seg.bytes)
}

// read loads the segment. With a writer at work a record may be read while it is
// written: what looks like damage is read again, and was none if it has gone.
func (v *view) read(w *walk, calm bool) error {
	const looks = 4
	for range looks {
		b, current, err := w.seg.load(v.fs, v.buf)
		v.buf = b
		if err != nil {
			return err
		}
		if !current {
			return fmt.Errorf("%w: %s", errRecycled, w.seg.name)
		}
		w.b = b
		if !calm {
			return nil
		}
		dry, found := *w, false
		dry.yield = func(_ Record, err error) bool {
			found = found || err != nil
			return true
		}
		if err := dry.run(); err != nil || !found {
			return err
		}
	}
	return nil
}
