package detect

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MailboxOptions is for [NewMailboxWith].
type MailboxOptions struct {
	// MaxKeys is how many keys may be sick at once, and how many more may be
	// unknown. 0 means 1,000, -1 no limit.
	MaxKeys int
}

// holds is how long a report holds that does not say so.
const holds = 15 * time.Minute

// Mailbox is a [Detector] for code that already knows what is wrong: it reports
// and clears, and the mailbox answers with the level. [NewMailbox] makes it; the
// zero value is one too. All methods are safe for concurrent use and from
// anywhere, inside a Detect or a step too; none calls given code under a lock.
//
// # Levels and time
//
// A report holds until it is cleared, replaced by the next report of its key, or
// its [Finding] For has passed without either: 15 minutes unless set. Then nobody
// vouches for it any more. The key is unknown, not healed: Detect returns an
// error that names it until it is cleared or reported again. So a reporter that
// died neither keeps an incident open for ever nor heals it by dying.
//
// # Bounds
//
// A mailbox holds a limited number of keys. A report of one more key is dropped,
// counted by [Mailbox.Dropped], and answered for: for as long as it would have
// held, Detect returns an error that says so, beside the findings that are held.
// The supervisor then knows that other keys are unknown, acts on none of them,
// and tells a person if it lasts. Keys that are held can be restated, changed and
// cleared all the same. As many unknown keys again are remembered, the youngest
// ones; forgetting one counts as a drop.
type Mailbox struct {
	most int
	wake atomic.Pointer[func()]

	mu      sync.Mutex
	held    map[string]*letter
	live    int       // of held, those that are not unknown
	next    time.Time // no report expires before
	news    bool      // the watch was told since its last look
	version uint64    // of all that an answer depends on
	dropped uint64
	flood   flood
	last    answer
}

// NewMailbox returns an empty mailbox for up to 1,000 keys.
func NewMailbox() *Mailbox { return NewMailboxWith(MailboxOptions{}) }

// NewMailboxWith returns an empty mailbox.
func NewMailboxWith(o MailboxOptions) *Mailbox { return &Mailbox{most: o.MaxKeys} }

// Validate reports a negative MaxKeys other than -1.
func (m *Mailbox) Validate() error {
	if m.most < -1 {
		return fmt.Errorf("detect: MaxKeys of the mailbox is %d: use a positive number, or -1 for no limit", m.most)
	}
	return nil
}

// OnWake sets what is called when there is something new to see.
func (m *Mailbox) OnWake(wake func()) {
	if wake == nil {
		m.wake.Store(nil)
		return
	}
	m.wake.Store(&wake)
	m.mu.Lock()
	m.news = false // whoever was told before is gone
	m.mu.Unlock()
}

// Report says that f is wrong now, and wakes the watch if that is news. It
// copies what it keeps, labels and evidence included, though not what evidence
// points to. Restating an equal finding only prolongs it and allocates nothing;
// evidence that cannot be compared (groups, any) counts as different. A negative
// For is 0.
func (m *Mailbox) Report(f Finding) {
	if m.report(&f, time.Now()) {
		m.ring()
	}
}

// Clear says that key is well, and wakes the watch if it was not.
func (m *Mailbox) Clear(key string) {
	if m.clear(key) {
		m.ring()
	}
}

// Dropped is how many reports did not find room, and unknown keys that were
// forgotten, since the mailbox was made.
func (m *Mailbox) Dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

func (m *Mailbox) ring() {
	if wake := m.wake.Load(); wake != nil {
		(*wake)()
	}
}

// Detect returns what is held, sorted by key, and an error that names the
// unknown keys and counts what was dropped.
func (m *Mailbox) Detect(context.Context) ([]Finding, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	last, s := m.look()
	if s == nil {
		return last.found, last.err
	}
	next := s.answer() // sorts, which needs no lock
	m.mu.Lock()
	defer m.mu.Unlock()
	if next.version > m.last.version {
		m.last = next
	}
	return next.found, next.err
}

// same tells whether b adds nothing to a.
func same(a, b *Finding) bool {
	return a.Severity == b.Severity && a.Summary == b.Summary &&
		a.Value == b.Value && a.Limit == b.Limit && a.Unit == b.Unit && a.For == b.For &&
		maps.Equal(a.Labels, b.Labels) && sameEvidence(a.Evidence, b.Evidence)
}

func sameEvidence(a, b []slog.Attr) bool {
	return slices.EqualFunc(a, b, func(x, y slog.Attr) bool {
		switch x.Value.Kind() {
		case slog.KindAny, slog.KindGroup, slog.KindLogValuer:
			return false // comparing them may panic
		}
		return x.Equal(y)
	})
}

// keep copies what a mailbox keeps of f.
func keep(f *Finding) *Finding {
	own := *f
	own.Labels = maps.Clone(f.Labels)
	own.Evidence = slices.Clone(f.Evidence)
	return &own
}
