package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrDegraded is why a record was refused: the disk takes none, or a gap must
	// be closed by a snapshot first. It is wrapped with the cause. Detection and
	// escalation can go on; what only a journal can bound must not.
	ErrDegraded = errors.New("journal: degraded: nothing is put on record until the disk takes a snapshot")
	// ErrNotDurable is why [Journal.AppendSync] gave up waiting: its context
	// ended, or the disk stalls. The records are still queued and become durable
	// when the disk answers.
	ErrNotDurable = errors.New("journal: not durable yet")
	// ErrFull is why a record was refused: the queue is full, because records come
	// faster than the disk takes them. Append less, or wait for the disk.
	ErrFull = errors.New("journal: queue full: records come faster than the disk takes them")
	// ErrTooLarge is why a record was refused: it can never fit.
	ErrTooLarge = errors.New("journal: too large")
	// ErrSnapshotting is why a snapshot was refused: another one is under way.
	ErrSnapshotting = errors.New("journal: a snapshot is under way already: wait for its done")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("journal: closed")
	// ErrReplayed is why a replay is refused: a snapshot may have taken the place
	// of what it would read. Replay before the first snapshot.
	ErrReplayed = errors.New("journal: replay comes before the first snapshot of this life; open the journal again to replay it")
	// ErrUnsupported is why a journal cannot be opened for writing on this
	// operating system.
	ErrUnsupported = errors.New("journal: no file lock and no durable rename that were tested on this operating system: keep the state in memory (no journal)")
)

// A NewerError says that a later version of this library wrote the journal. It
// is left as it is.
type NewerError struct {
	File    string // in the directory of the journal
	Version int    // of the format in which it is written
}

// Error says which version is needed.
func (e *NewerError) Error() string {
	return fmt.Sprintf("journal: %s was written by a newer version of selfheal (format %d, this one reads up to %d): run that version again, or give this one a directory of its own", e.File, e.Version, formatVersion)
}

// A LockedError says that another journal has the directory.
type LockedError struct {
	Dir    string
	Holder Holder // as the holder introduced itself; zero where it did not
}

// Error names the holder and what to do.
func (e *LockedError) Error() string {
	who := "another process"
	if e.Holder.PID != 0 {
		who = e.Holder.String()
	}
	return fmt.Sprintf("journal: %s is in use by %s: stop it, or give each process a directory of its own", e.Dir, who)
}

// advice says what a person can do about an error of the file system.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space for it"
	case errors.Is(err, syscall.EROFS):
		return "mount the file system writable, or give another directory"
	case errors.Is(err, fs.ErrPermission):
		return "let the user of this process write there, or give another directory"
	case errors.Is(err, syscall.EIO):
		return "look at the disk: the kernel log says more"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files, or find what leaks them"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errGone):
		return "put the directory back; it is made anew where its parent exists"
	}
	return "look at the file system it is on"
}

// advised adds advice to an error of the file system.
func advised(doing string, err error) error {
	return fmt.Errorf("journal: %s: %w: %s", doing, err, advice(err))
}

// errGone is what FS.Check wraps.
var errGone = errors.New("the file was removed, or another lies in its place")
