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
	return s
}
