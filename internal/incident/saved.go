package incident

import (
	"maps"
	"slices"
	"time"
)

// A Moment is when a record was written, on the one clock that goes on while a
// process is dead and that nobody can set: that of the machine since its boot.
type Moment struct {
	Boot string        // which boot
	Up   time.Duration // since then
}

// Since is how long after m other is; 0 where that cannot be told, so that every
// wait that was under way is served in full.
func (m Moment) Since(other Moment) time.Duration {
	if !m.tells(other) {
		return 0
	}
	return max(m.Up-other.Up, 0)
}

// tells says whether the time since other can be told.
func (m Moment) tells(other Moment) bool { return m.Boot != "" && m.Boot == other.Boot }

type written[R any] struct {
	Record R
	At     Moment
}

type keyName struct{ watch, key string }

// Saved is what earlier lives left, gathered from their records in order.
type Saved struct {
	keys     map[keyName]written[*IncidentRecord]
	watches  map[string]written[*WatchRecord]
	silences map[string]written[*SilenceRecord]
	strays   map[string]*StrayRecord
	budget   written[*BudgetRecord]
	halt     written[*HaltRecord]
	storm    written[*StormRecord]
	lives    []life // the latest last
}

// NewSaved returns what nothing has left.
func NewSaved() *Saved {
	return &Saved{
		keys: map[keyName]written[*IncidentRecord]{}, watches: map[string]written[*WatchRecord]{},
		silences: map[string]written[*SilenceRecord]{}, strays: map[string]*StrayRecord{},
	}
}

// Apply takes in the next record.
func (s *Saved) Apply(r Record, at Moment) {
	switch {
	case r.Incident != nil:
		in := &r.Incident.Snapshot
		s.keys[keyName{in.Watch, in.Finding.Key}] = written[*IncidentRecord]{r.Incident, at}
	case r.Watch != nil:
		s.watches[r.Watch.Watch] = written[*WatchRecord]{r.Watch, at}
	case r.Budget != nil:
		s.budget = written[*BudgetRecord]{r.Budget, at}
	case r.Halt != nil:
		s.halt = written[*HaltRecord]{r.Halt, at}
	case r.Silence != nil && r.Silence.In > 0:
		s.silences[r.Silence.ID] = written[*SilenceRecord]{r.Silence, at}
	case r.Silence != nil:
		delete(s.silences, r.Silence.ID)
	case r.Storm != nil:
		s.storm = written[*StormRecord]{r.Storm, at}
	case r.Life != nil:
		s.live(r.Life, at)
	case r.Stray != nil && r.Stray.Over:
		delete(s.strays, r.Stray.Of)
	case r.Stray != nil:
		s.strays[r.Stray.Of] = r.Stray
	}
}

// Watches names the watches of which something is left, sorted.
func (s *Saved) Watches() []string {
	names := map[string]bool{}
	for k := range s.keys {
		names[k.watch] = true
	}
	for name := range s.watches {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
