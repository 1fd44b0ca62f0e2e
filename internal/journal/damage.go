package journal

import "fmt"

// Kind says what is wrong with a piece of a journal.
type Kind int

const (
	// Torn is the remains of a write that was never acknowledged, as a power cut
	// leaves it. It was cut. Where a writer is at work it may be a write under way.
	Torn Kind = iota
	// Corrupt are bytes that are not what was written: records are lost, or space
	// is damaged where there were none.
	Corrupt
	// Truncated is a file that is shorter than it was made. What the missing part
	// held is unknown.
	Truncated
	// BadHeader is a file whose first 64 bytes are damaged. Its records were read
	// all the same.
	BadHeader
	// Missing are records, or a whole segment, that no file has.
	Missing
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case Torn:
		return "torn write"
	case Corrupt:
		return "corrupt"
	case Truncated:
		return "truncated"
	case BadHeader:
		return "bad header"
	}
	return "missing"
}

// A Damage is a place where the journal does not hold what was written, and an
// error that iterators yield there before they go on.
type Damage struct {
	Kind   Kind
	File   string // in the directory of the journal
	Offset int64  // in bytes, where it begins
	Bytes  int64  // how many are damaged or missing
	// Lost is how many acknowledged records are not there. Where Kind is Truncated
	// there may be more of them; a Torn one could be the last write of a life that
	// ended with a power cut, but only if the disk damaged it later.
	Lost uint64
	// Superseded says that the state does not need what was there: a later snapshot
	// contains it, or it is a snapshot whose records can be read one by one.
	Superseded bool
}

// Error says where, what, and what is lost.
func (d *Damage) Error() string {
	s := fmt.Sprintf("journal: %s: %s at byte %d (%d bytes)", d.File, d.Kind, d.Offset, d.Bytes)
	switch {
	case d.Kind == Torn:
		s += ", cut: it was never acknowledged"
	case d.Lost == 1:
		s += ", 1 record lost"
	case d.Lost > 0:
		s += fmt.Sprintf(", %d records lost", d.Lost)
	case d.Kind == Truncated:
		s += ", unknown what it held"
	default:
		s += ", no record lost"
	}
	if d.Superseded {
		s += " (of the history: the state is whole)"
	}
	return s
}

// A Report says how a journal was found.
type Report struct {
	Segments int       // files that were read
	Records  uint64    // that can be read, without those of snapshots
	Snapshot uint64    // records of the snapshot that the state begins with
	First    uint64    // sequence of the first record that can be read; 0 if there is none
	Next     uint64    // sequence of the record to come
	Damage   []*Damage // in order; empty is sound
}

// Lost is how many acknowledged records are missing from the state. Where it is 0
// and Sound is false, look at each Damage.
func (r Report) Lost() (n uint64) {
	for _, d := range r.Damage {
		if !d.Superseded {
			n += d.Lost
		}
	}
	return n
}

// Sound says that nothing that the state needs can be missing: there is no damage
// but torn writes, and damage to the history.
func (r Report) Sound() bool {
	for _, d := range r.Damage {
		if d.Kind != Torn && !d.Superseded {
			return false
		}
	}
	return true
}
