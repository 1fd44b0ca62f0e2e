package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
)

// A Reader reads a journal without its lock, also while a writer is at work. Its
// methods are safe for concurrent use.
type Reader struct{ fs FS }

// NewReader is for the journal in a directory, which it does not make.
func NewReader(dir string) (*Reader, error) {
	d, err := openDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("journal: there is none in %s: give the directory that the service was given: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	d.close() // reading goes by path
	return &Reader{d}, nil
}

// NewReaderFS is for a journal in a file system of its own.
func NewReaderFS(fsys FS) *Reader { return &Reader{fsys} }

// All yields everything that can be read, in order: the history from before the
// last snapshot, each snapshot, marked as such, at its place, and all records. At
// a place of damage it yields a [*Damage] as the error and goes on; any other
// error ends it. A payload is valid until the next record. Memory is bounded by
// the largest segment.
//
// With a writer at work it ends with what is there when it comes to the end. The
// last records may then be not yet durable, and [Torn] may be a write under way.
// History that is reused meanwhile is left out.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := r.pass(yield, func(*segment) {}); err != nil {
			yield(Record{}, err)
		}
	}
}

// Verify reads everything and says how it is.
func (r *Reader) Verify() (Report, error) {
	var report Report
	next := uint64(1)
	err := r.pass(func(rec Record, err error) bool {
		next = max(next, rec.Seq+1)
		return report.count(rec, err)
	}, func(s *segment) {
		report.Segments++
		if s.snapshot {
			report.Snapshot = 0 // another one begins
		}
		next = max(next, s.first)
	})
	report.Next = next
	return report, err
}

func (r *Reader) pass(yield func(Record, error) bool, each func(*segment)) error {
	var done uint64 // id of the last segment that was read
	var buf []byte
	for tries := 0; ; {
		dir, err := survey(r.fs)
		if err != nil {
			return err
		}
		v, err := newView(r.fs, dir.segments, buf)
		if err != nil {
			return err
		}
		from := 0
		for from < len(v.segs) && v.segs[from].id <= done {
			from++
		}
		_, err = v.run(pass{from: from, all: true, calm: true, yield: yield, each: func(s *segment) {
			done, tries = s.id, 0
			each(s)
		}})
		buf = v.buf
		if tries++; !errors.Is(err, errRecycled) || tries > 100 {
			return err
		}
	}
}
