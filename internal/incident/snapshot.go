package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// snapshot is i as people see it. Nothing changes it later.
func (e *Engine) snapshot(i *inc) *escalate.Incident {
	in := &escalate.Incident{
		ID: i.id, Watch: i.w.Name, Service: e.o.Service,
		Finding: i.finding, Attempts: slices.Clone(i.record),
		State: i.state(), Reason: i.reason, Detail: i.detail, HeldBy: i.rail,
		Runbook: i.w.Runbook, Evidence: slices.Clone(i.evidence),
	}
	if i.opened != unset {
		in.Opened = e.wall(i.opened)
	}
	if i.proposal != nil {
		in.Proposal, in.HeldBy = i.proposal.ID, i.proposal.Rail
	}
	in.Symptoms = e.symptoms(i.w)
	return in
}

// symptoms names what waits for the incidents of w to end.
func (e *Engine) symptoms(w *watch) []string {
	var names []string
	for _, j := range e.waiting {
		if j.waitsFor(w) {
			names = append(names, name(j.w.Name, j.key))
		}
	}
	slices.Sort(names)
	return names
}

// waitsFor says whether i is held until the incidents of w are over.
func (i *inc) waitsFor(w *watch) bool {
	return i.rail == remediate.RailCause && slices.Contains(i.w.After, w.Name)
}

func (i *inc) state() escalate.State {
	switch i.phase {
	case pending:
		return escalate.Pending
	case waiting:
		if i.rail != "" {
			return escalate.Held
		}
		return escalate.Open
	case gating:
		return escalate.Open
	case asking:
		return escalate.Asking
	case acting, retrying:
		return escalate.Acting
	case settling:
		return escalate.Settling
	case verifying:
		return escalate.Verifying
	case watching:
		return escalate.Watching
	case clearing:
		return escalate.Clearing
	}
	return escalate.Undoing
}

// Standing is how one incident stands now.
type Standing struct {
	Incident  escalate.Incident
	Known     bool // the last look could tell
	Present   bool
	Next      string // the next rung; "" when none is left
	Rail      remediate.Rail
	Why       string
	HeldSince At // -1: not held
	Until     At // of what it waits for; -1: not known
	Since     At // when it was first found
	Told      bool
	AckedTill At
	Proposal  *Proposal
}

// Overview is how one watch stands now.
type Overview struct {
	Name       string
	Incidents  []Standing
	BlindSince At // -1: it sees
	BlindErr   error
	BreakerTo  At // 0: closed
	HalfOpen   bool
	Cause      string // that holds it
	Keys       int    // that it remembers
	Folded     int
	Removing   bool
	Next       string // what it would do first
}

// Overview returns how the named watch stands.
func (e *Engine) Overview(name string) (Overview, bool) {
	w := e.watches[name]
	if w == nil {
		return Overview{}, false
	}
	o := Overview{
		Name: name, BlindSince: w.blindSince, BlindErr: w.blindErr, Cause: e.causeOpen(w),
		Keys: len(w.keys), Folded: w.folded, Removing: w.removing,
		HalfOpen: w.breaker.half && e.now >= w.breaker.until,
	}
	if e.now < w.breaker.until {
		o.BreakerTo = w.breaker.until
	}
	for n := range w.Playbook.Steps {
		if s := &w.Playbook.Steps[n]; !w.Disabled[s.Name] {
			o.Next = s.Name
			break
		}
	}
	for _, i := range w.live {
		st := Standing{
			Incident: *e.snapshot(i), Known: i.known, Present: i.present, Rail: i.rail, Why: i.why,
			HeldSince: -1, Until: -1, Since: i.found, Told: i.told, AckedTill: i.acked,
		}
		if i.rail != "" {
			st.HeldSince = i.heldSince
		}
		if !i.over {
			st.Next = i.stepName()
		}
		if at := i.phaseMoment(e); at != never {
			st.Until = at
		}
		if i.proposal != nil {
			p := *i.proposal
			st.Proposal = &p
			st.Rail = p.Rail
		}
		o.Incidents = append(o.Incidents, st)
	}
	return o, true
}

// Whole is how the supervisor itself stands.
type Whole struct {
	Now         At
	Halted      *Halted
	Silences    []Silence
	TiltSince   At // -1: calm
	TiltWhy     string
	Storm       bool
	StormSticky bool
	SafeMode    bool
	Degraded    bool // the journal takes no records
	Stopping    bool
	Running     int // steps that hold a permit
	BudgetUsed  int
	Abandoned   int // calls that still run
	OwedUndos   int
}

// Whole returns how the supervisor stands.
func (e *Engine) Whole() Whole {
	e.trimBudget()
	e.trimSilences()
	s := Whole{
		Now: e.now, TiltSince: -1, Storm: e.storm.on, StormSticky: e.storm.sticky, SafeMode: e.safeMode.on, Degraded: e.degraded.on,
		Stopping: e.stopping, Running: len(e.running), BudgetUsed: len(e.budget),
	}
	if e.halt != nil {
		h := *e.halt
		s.Halted = &h
	}
	for _, x := range e.silences {
		if x.Until > e.now {
			s.Silences = append(s.Silences, *x)
		}
	}
	if e.tilt.until > 0 {
		s.TiltSince, s.TiltWhy = e.tilt.since, e.tilt.why
	}
	for _, left := range e.left {
		for _, m := range left {
			s.Abandoned += len(m.abandoned)
		}
	}
	for _, w := range e.watches {
		for _, m := range w.keys {
			s.Abandoned += len(m.abandoned)
		}
		for _, i := range w.live {
			s.OwedUndos += len(i.owed)
		}
	}
	return s
}

// Watches returns the names of all watches, sorted.
func (e *Engine) Watches() []string {
	names := make([]string, 0, len(e.watches))
	for _, w := range e.sorted() {
		names = append(names, w.Name)
	}
	return names
}
