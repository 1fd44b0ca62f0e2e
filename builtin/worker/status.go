package worker

import (
	"cmp"
	"slices"
	"time"
)

// Status is how a group stands.
type Status struct {
	Group     string
	Running   bool // Run is under way
	Workers   []WorkerStatus
	Abandoned []Abandoned // runs that were given up and still go on, the oldest first
	Given     uint64      // how many ever were
	// HookBusy is how long OnEvent has been at the event under way, Dropped how
	// many events found no room because it was slow.
	HookBusy time.Duration
	Dropped  uint64
}

// WorkerStatus is how a worker stands.
type WorkerStatus struct {
	Name string
	// State is "running", "stopping" (its context ended, it has not returned),
	// "pausing" (until it is restarted), "held" (it waits for one that it depends
	// on), "given up" (quarantine), "done" or "resting" (Run is not under way).
	State string
	For   time.Duration // how long its run goes on; 0 when none does
	// Deaths counts its failures since Run began, Recent those within its Period.
	Deaths uint64
	Recent int
	Err    string        // of the last one, on one line
	Stack  string        // of the last one, if it was a panic
	Next   time.Duration // until it is started, while pausing or in quarantine
	// Silence is the time since its last beat, as looks have seen it, and Late
	// says that this is longer than its budget.
	Silence time.Duration
	Late    bool
	Why     string // of a quarantine on demand
}

// Abandoned is a run that was given up and still goes on.
type Abandoned struct {
	Worker string
	Since  time.Time // when it was given up
	Asked  time.Time // when its context ended
	Stack  string    // where it was then: function and file:line, the innermost first
}

// Status returns a snapshot, safe to keep.
func (g *Group) Status() Status {
	s := Status{Group: g.o.Name}
	s.HookBusy, s.Dropped = g.events.stuck()
	g.mu.Lock()
	var deaths []error
	now := g.now()
	s.Running, s.Given = g.phase == running, g.given
	s.Workers = make([]WorkerStatus, 0, len(g.members))
	for _, m := range g.members {
		w, err := m.status(now)
		s.Workers = append(s.Workers, w)
		deaths = append(deaths, err)
	}
	for _, a := range g.abandoned {
		s.Abandoned = append(s.Abandoned, *a)
	}
	g.mu.Unlock()
	for i, err := range deaths { // the user's Error methods: no lock
		if err != nil {
			s.Workers[i].Err, s.Workers[i].Stack = oneLine(err.Error()), stackOf(err)
		}
	}
	slices.SortFunc(s.Abandoned, func(a, b Abandoned) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Worker, b.Worker))
	})
	return s
}

// status is how m stands, and what it last died of. g.mu is held.
func (m *member) status(now time.Duration) (WorkerStatus, error) {
	w := WorkerStatus{Name: m.name, State: stateNames[m.state]}
	if r := m.run; r != nil {
		w.For = now - r.began
		if r.seen != nil {
			w.Silence = r.seen.for_
			w.Late = w.Silence > m.p.budget
		}
	}
	f := m.fails
	if f == nil {
		return w, nil
	}
	w.Deaths, w.Recent, w.Why = f.deaths, f.within(m.p, now), f.why
	if m.run == nil && f.why == "" && (m.state == pausing || m.state == gaveUp) {
		w.Next = max(f.due-now, 0)
	}
	return w, f.err
}
