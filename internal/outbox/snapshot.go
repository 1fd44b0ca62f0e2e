package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Owed is a notification that waits to be delivered.
type Owed struct {
	ID, DedupKey, Target string
	Kind                 escalate.Kind
	Watch, Key           string        // of its incident
	Age                  time.Duration // since it was owed
	Tries                int
	Err                  error // of the last try; nil without one
	InFlight             bool  // a call is under way
	Informs              bool  // it pages nobody
}

// Stats counts. Entries, Owed and Stuck are how it stands; the others only grow.
type Stats struct {
	Entries       int      // keys that are remembered
	Owed          int      // notifications that wait to be delivered
	Stuck         []string // targets whose call was given up and still runs, sorted
	Told          uint64   // Told effects
	Tries         uint64   // calls
	Failures      uint64   // calls that failed
	Delivered     uint64   // notifications
	Undeliverable uint64   // notifications
	Superseded    uint64   // notifications
	Full          uint64   // keys for which there was no room
	Grouped       uint64   // notifications that became part of a grouped notice
	Lost          int      // keys of which nobody could be reached, and nobody is left
	Kept          int      // notifications that were owed at Stop and are in the store
}

// A Standing is how people stand to a key.
type Standing struct {
	Acked        bool
	AckedBy      string
	AckedUntil   time.Time // zero: until it is resolved
	Snoozed      bool
	SnoozedBy    string
	SnoozedUntil time.Time
	QuietUntil   time.Time // zero: it is not quiet
	// Undeliverable: nobody could be reached, and nobody is left.
	Undeliverable bool
}

// A TargetState is how a target stands.
type TargetState struct {
	Name  string
	Owed  int       // notifications
	Down  bool      // its breaker is open
	Since time.Time // when that opened
	Stuck bool      // a call that was given up still runs
	Next  time.Time // it is not called before; zero: it may be called now
	Err   error     // of the last call, unless that succeeded
}

// Snapshot lists what is owed, oldest first.
func (m *Machine) Snapshot(now time.Duration) []Owed {
	type owed struct {
		seq uint64
		Owed
	}
	var all []owed
	for _, e := range m.entries {
		for _, l := range e.lanes {
			for i, it := range l.queue {
				all = append(all, owed{it.seq, Owed{
					ID: it.n.ID, DedupKey: e.key, Target: l.target.name, Kind: it.n.Kind,
					Watch: it.n.Incident.Watch, Key: it.n.Incident.Finding.Key,
					Age: max(now, m.now) - it.owed, Tries: it.tries, Err: it.last,
					InFlight: i == 0 && l.target.flight == l, Informs: it.inform,
				}})
			}
		}
	}
	slices.SortFunc(all, func(a, b owed) int { return cmp.Compare(a.seq, b.seq) })
	list := make([]Owed, len(all))
	for i, o := range all {
		list[i] = o.Owed
	}
	return list
}

// Stats counts what was done.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.Entries = len(m.entries)
	for _, t := range m.targets {
		if t.stuck {
			s.Stuck = append(s.Stuck, t.name)
		}
	}
	slices.Sort(s.Stuck)
	for _, e := range m.entries {
		if e.lost {
			s.Lost++
		}
	}
	return s
}

// Standing returns how people stand to a key; not ok when it is not open.
func (m *Machine) Standing(key string) (s Standing, ok bool) {
	e := m.entries[key]
	if e == nil || e.closed {
		return s, false
	}
	s.Undeliverable = e.lost
	if s.Acked = e.acked; e.acked {
		s.AckedBy = e.ackBy
		if e.ackEnds {
			s.AckedUntil = m.at(e.ackUntil)
		}
	}
	if s.Snoozed = e.snoozed; e.snoozed {
		s.SnoozedBy, s.SnoozedUntil = e.snoozeBy, m.at(e.snoozeUntil)
	}
	if e.quiet {
		s.QuietUntil = m.at(e.quietUntil)
	}
	return s, true
}

// Members are the keys of which a grouped notice tells and that are open; nil
// for any other key.
func (m *Machine) Members(key string) []string {
	e := m.entries[key]
	if e == nil || e.group == nil || e.closed {
		return nil
	}
	var keys []string
	for _, l := range e.group.sorted() {
		keys = append(keys, l.entry.key)
	}
	return keys
}

// Targets returns those that are owed something, or about which there is
// something to say, by name.
func (m *Machine) Targets() []TargetState {
	owed := map[string]int{}
	for _, e := range m.entries {
		for _, l := range e.lanes {
			owed[l.target.name] += len(l.queue)
		}
	}
	var all []TargetState
	for _, t := range m.sortedTargets() {
		s := TargetState{Name: t.name, Owed: owed[t.name], Down: t.open, Stuck: t.stuck, Err: t.last}
		if t.open {
			s.Since = m.at(t.openAt)
		}
		if at := t.ready(); at > m.now {
			s.Next = m.at(at)
		}
		if s.Owed > 0 || s.Down || s.Stuck || s.Err != nil || !s.Next.IsZero() {
			all = append(all, s)
		}
	}
	return all
}
