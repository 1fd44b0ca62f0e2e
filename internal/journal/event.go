package journal

import (
	"fmt"
	"time"
)

// EventKind is what an [Event] is about.
type EventKind int

const (
	// SnapshotWanted asks the owner for [Journal.Snapshot]: the log has grown, or a
	// degradation can end. It is repeated until one succeeds, and not sent before
	// the owner has appended something, so that it comes after replay.
	SnapshotWanted EventKind = iota
	// Degraded says that records are refused from now on, and why.
	Degraded
	// Recovered says that they are taken again: a snapshot closed the gap.
	Recovered
	// Stalled says that the disk has not answered for Options.StallAfter. Records
	// still queue up.
	Stalled
	// Resumed says that it answers again.
	Resumed
	// FileFailed says that a write or a sync of a file failed, or that none could be
	// made ready. A file that failed is not written again; alone this loses nothing.
	FileFailed
	// Panicked says that a callback of the owner panicked. Err has its stack.
	Panicked
)

// String is the kind in words.
func (k EventKind) String() string {
	switch k {
	case SnapshotWanted:
		return "snapshot wanted"
	case Degraded:
		return "degraded"
	case Recovered:
		return "recovered"
	case Stalled:
		return "stalled"
	case Resumed:
		return "resumed"
	case FileFailed:
		return "file failed"
	case Panicked:
		return "panicked"
	}
	return fmt.Sprintf("EventKind(%d)", int(k))
}

// An Event tells the owner of a journal what it must know.
type Event struct {
	Kind  EventKind
	Err   error         // of Degraded, FileFailed and Panicked
	After time.Duration // of Stalled and Resumed: how long it has not answered
}

// Status is how a journal is now.
type Status struct {
	Degraded  error         // why records are refused; nil if they are taken
	Stalled   time.Duration // for how long the disk has not answered, once beyond StallAfter
	Durable   uint64        // sequence up to which everything is durable
	Queued    int           // records that are not durable, or whose done has not returned
	Short     bool          // fewer segments stand ready than there should be: the disk may be full
	Wants     bool          // a snapshot is due
	Failures  uint64        // of files, so far
	LastError error         // the last of them
	Dropped   uint64        // events that were dropped, because Notify is too slow
	Panics    uint64        // of callbacks
}
