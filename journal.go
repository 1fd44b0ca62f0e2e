package selfheal

import "errors"

// Journal keeps what must survive a crash. See [OpenJournal].
type Journal struct{}

// ErrNoJournal is why nothing that only a journal can bound is done.
var ErrNoJournal = errors.New("selfheal: a process that replaces itself must remember that it did, and there is no journal")

// OpenJournal is not available in this version: it returns an error, and a nil
// Options.Journal keeps everything in memory. Steps whose bounds must survive
// the process, such as remediate.Recycle, are refused and escalated.
func OpenJournal(dir string) (*Journal, error) {
	return nil, errors.New("selfheal: open journal " + dir + ": this version keeps its state in memory only: leave Options.Journal nil")
}

// Close does nothing for a journal that was never opened.
func (j *Journal) Close() error { return nil }

// mayRecycle says why the process may not be replaced now; nil if it may.
func (s *Supervisor) mayRecycle() error { return ErrNoJournal }
