package selfheal

import (
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/remediate"
)

// Status is how everything stands at one moment. It is a snapshot, safe to keep.
type Status struct {
	At        time.Time `json:"at"`
	Service   string    `json:"service,omitempty"`
	State     string    `json:"state"` // idle (Run has not begun), running, stopping, stopped
	Mode      Mode      `json:"mode"`
	Since     time.Time `json:"since,omitzero"` // Run began
	Halted    *Halt     `json:"halted,omitempty"`
	Tilt      string    `json:"tilt,omitempty"` // why the supervisor doubts itself; "" when it does not
	Storm     bool      `json:"storm,omitempty"`
	StormStay bool      `json:"storm_stays,omitempty"` // until Resume
	SafeMode  bool      `json:"safe_mode,omitempty"`

	Watches   []WatchStatus  `json:"watches"`
	Modules   []ModuleStatus `json:"modules,omitempty"`
	Silences  []Silence      `json:"silences,omitempty"`
	Proposals []Proposal     `json:"proposals,omitempty"`
	Owed      []OwedNotice   `json:"owed,omitempty"` // notices not delivered yet
	Wiring    []Problem      `json:"wiring,omitempty"`
	Stuck     []string       `json:"stuck,omitempty"` // observers and loggers that do not return

	// Targets are the notifiers that are owed something, or do not answer.
	Targets []TargetStatus `json:"targets,omitempty"`
	// Undeliverable counts open incidents, and the supervisor's own notices, of
	// which nobody could be reached.
	Undeliverable int            `json:"undeliverable,omitempty"`
	DeadMan       *DeadManStatus `json:"dead_man,omitempty"` // nil without Options.DeadMan

	StepsRunning int    `json:"steps_running"` // that hold a permit
	BudgetUsed   int    `json:"budget_used"`   // steps above Safe in the window
	OwedUndos    int    `json:"owed_undos"`
	Abandoned    int    `json:"abandoned"` // calls that ignored their context and still run
	Counts       Counts `json:"counts"`
	// Late is how late the supervisor has woken up at worst.
	Late time.Duration `json:"late_ns"`
}

// Halt says who stopped all healing, and why.
type Halt struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
}

// ModuleStatus is a module that is installed.
type ModuleStatus struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Watches int    `json:"watches"`
}

// WatchStatus is how one watch stands.
type WatchStatus struct {
	Name   string        `json:"name"`
	Module string        `json:"module,omitempty"`
	Site   string        `json:"site"` // where it was registered
	Mode   Mode          `json:"mode"`
	Every  time.Duration `json:"every_ns"`
	// State is healthy, sick, blind, unknown (not looked at yet), off, invalid
	// or removing.
	State    string    `json:"state"`
	Problems []Problem `json:"problems,omitempty"` // why it is invalid
	// Looked is when its detector was last asked, Seen when it could last tell
	// and Age how old that is.
	Looked time.Time     `json:"looked,omitzero"`
	Seen   time.Time     `json:"seen,omitzero"`
	Age    time.Duration `json:"age_ns,omitempty"`
	// Blind is why it cannot see; "" when it does.
	Blind string `json:"blind,omitempty"`
	// Hung is since when the look under way is overdue.
	Hung time.Time `json:"hung,omitzero"`
	// Hangs and Panics count its detector's.
	Hangs  uint64 `json:"hangs,omitempty"`
	Panics uint64 `json:"panics,omitempty"`
	Panic  string `json:"panic,omitempty"` // the last one
	// Next is the step that it would run first.
	Next        string           `json:"next,omitempty"`
	BreakerOpen time.Time        `json:"breaker_open_until,omitzero"`
	HalfOpen    bool             `json:"breaker_half_open,omitempty"`
	Incidents   []IncidentStatus `json:"incidents,omitempty"`
}

// IncidentStatus is how one incident stands, those that are still pending
// included.
type IncidentStatus struct {
	ID       string          `json:"id"`
	Watch    string          `json:"watch"`
	Key      string          `json:"key,omitempty"`
	State    escalate.State  `json:"state"`
	Severity detect.Severity `json:"severity"`
	Summary  string          `json:"summary"`
	Finding  detect.Finding  `json:"-"`
	Found    time.Time       `json:"found"`
	Opened   time.Time       `json:"opened,omitzero"`
	Attempts []AttemptStatus `json:"attempts,omitempty"`
	Next     string          `json:"next,omitempty"`    // the rung that comes next
	HeldBy   remediate.Rail  `json:"held_by,omitempty"` // the rail that forbids it now
	Why      string          `json:"why,omitempty"`
	Held     time.Time       `json:"held,omitzero"`  // since when
	Until    time.Time       `json:"until,omitzero"` // what it waits for happens then at the latest
	Reason   escalate.Reason `json:"reason,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Told     bool            `json:"told"`
	// Undeliverable: nobody who was to be told could be reached, and nobody is
	// left to try.
	Undeliverable bool              `json:"undeliverable,omitempty"`
	AckedBy       string            `json:"acked_by,omitempty"`
	AckedUntil    time.Time         `json:"acked_until,omitzero"` // zero: until it closes
	SnoozedBy     string            `json:"snoozed_by,omitempty"`
	SnoozedUntil  time.Time         `json:"snoozed_until,omitzero"`
	QuietUntil    time.Time         `json:"quiet_until,omitzero"` // quiet hours hold its notices
	Symptoms      []string          `json:"symptoms,omitempty"`
	Incident      escalate.Incident `json:"-"`
}

// AttemptStatus is one climb of one rung.
type AttemptStatus struct {
	Step    string            `json:"step"`
	Outcome remediate.Outcome `json:"outcome"`
	Error   string            `json:"error,omitempty"`
	Started time.Time         `json:"started"`
	Ended   time.Time         `json:"ended,omitzero"`
	Owed    bool              `json:"undo_owed,omitempty"`
	Undone  bool              `json:"undone,omitempty"`
}

// TargetStatus is how one notifier stands.
type TargetStatus struct {
	Name  string    `json:"name"`
	Owed  int       `json:"owed"`            // notices
	Down  bool      `json:"down,omitempty"`  // it does not answer: others are told in its place
	Since time.Time `json:"since,omitzero"`  // it is down
	Stuck bool      `json:"stuck,omitempty"` // a call that ignored its context still runs
	Next  time.Time `json:"next,omitzero"`   // it is not called before
	Error string    `json:"error,omitempty"` // of the last call, unless that succeeded
}

// DeadManStatus is how the dead man's switch stands.
type DeadManStatus struct {
	Last  time.Time `json:"last,omitzero"`   // sign of life that arrived
	Error string    `json:"error,omitempty"` // of the last one, unless it arrived
}

// OwedNotice is a notification that is not delivered yet.
type OwedNotice struct {
	Target   string        `json:"target"`
	Incident string        `json:"incident"`
	Kind     escalate.Kind `json:"kind"`
	Age      time.Duration `json:"age_ns"`
	Tries    int           `json:"tries"`
	Error    string        `json:"error,omitempty"` // of the last try
}

// Status returns how everything stands now. It may be called at any time and
// from anywhere.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	whole := s.engine.Whole()
	now := s.now()
	st := Status{
		At: time.Now(), Service: s.o.Service, State: "idle", Mode: s.o.Mode,
		Tilt: whole.TiltWhy, Storm: whole.Storm, StormStay: whole.StormSticky, SafeMode: whole.SafeMode,
		Wiring: append([]Problem(nil), s.wiring...), StepsRunning: whole.Running, BudgetUsed: whole.BudgetUsed,
		OwedUndos: whole.OwedUndos, Counts: s.counts.snapshot(), Watches: []WatchStatus{},
	}
	wall := func(at incident.At) time.Time { return s.born.Add(at) }
	switch {
	case s.ended:
		st.State = "stopped"
	case s.stop:
		st.State = "stopping"
	case s.alive.Load():
		st.State = "running"
	}
	if s.alive.Load() {
		st.Since = s.born
	}
	if h := whole.Halted; h != nil {
		st.Halted = &Halt{By: h.By, Reason: h.Reason, Since: wall(h.At)}
	}
	for _, x := range whole.Silences {
		st.Silences = append(st.Silences, Silence{ID: x.ID, Watch: x.Watch, Key: x.Key, Labels: x.Labels, By: x.By, Reason: x.Reason, Until: wall(x.Until)})
	}
	modules := map[string]*ModuleStatus{}
	entries := s.registered()
	slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.watch.Name, b.watch.Name) })
	for _, e := range entries {
		o, known := s.engine.Overview(e.watch.Name)
		w := e.status(now, wall, o, known)
		for n := range o.Incidents {
			if p := o.Incidents[n].Proposal; p != nil {
				st.Proposals = append(st.Proposals, e.proposal(p, &o.Incidents[n], wall))
			}
		}
		st.Watches = append(st.Watches, w)
		if e.module != nil {
			m := modules[e.module.Name]
			if m == nil {
				st.Modules = append(st.Modules, ModuleStatus{Name: e.module.Name, Version: e.module.Version})
				m = &st.Modules[len(st.Modules)-1]
				modules[e.module.Name] = m
			}
			m.Watches++
		}
	}
	box, sched, pump, beats := s.outbox, s.sched, s.pump, s.heart
	s.mu.Unlock()

	st.Abandoned = int(s.calls.abandoned.Load())
	if box != nil {
		for _, o := range box.Snapshot() {
			st.Owed = append(st.Owed, owed(o))
		}
		x := box.Stats()
		st.Abandoned += x.Abandoned
		st.Undeliverable = x.Lost
		st.people(box)
	}
	st.DeadMan = beats.status()
	if sched != nil {
		x := sched.Stats()
		st.Late = x.LateMax
		st.Abandoned += x.Hung
	}
	if pump != nil {
		st.Counts.Dropped, st.Stuck = pump.standing()
	}
	s.cleanStatus(&st)
	return st
}

func (e *entry) status(now incident.At, wall func(incident.At) time.Time, o incident.Overview, known bool) WatchStatus {
	w := WatchStatus{
		Name: e.watch.Name, Site: place(e.site), Mode: max(e.watch.Mode, e.s.o.Mode), Every: e.watch.every(&e.s.o),
		Next: e.firstStep(), HalfOpen: o.HalfOpen,
	}
	if c := e.culprit.Load(); c != nil {
		w.Hangs, w.Panics = c.hangs.Load(), c.panics.Load()
		if at := c.hung.Load(); at > 0 {
			w.Hung = wall(incident.At(at - 1))
		}
		if p := c.panicked.Load(); p != nil {
			w.Panic = e.s.errorText(p)
		}
	}
	if e.module != nil {
		w.Module = e.module.Name
	}
	if at := e.lastLook.Load(); at > 0 {
		w.Looked = wall(incident.At(at - 1))
	}
	seen := e.lastSeen.Load()
	if seen > 0 {
		w.Seen, w.Age = wall(incident.At(seen-1)), now-incident.At(seen-1)
	}
	if o.BreakerTo > 0 {
		w.BreakerOpen = wall(o.BreakerTo)
	}
	for n := range o.Incidents {
		o.Incidents[n].Incident = e.s.clean(o.Incidents[n].Incident)
		o.Incidents[n].Why = e.s.redact.String(o.Incidents[n].Why)
		w.Incidents = append(w.Incidents, incidentStatus(&o.Incidents[n], wall))
	}
	if o.BlindErr != nil {
		w.Blind = e.s.errorText(o.BlindErr)
	}
	w.State = e.state(&o, known)
	switch {
	case e.problems != nil:
		w.Problems = *e.problems
	case e.off:
		w.Mode = Off
	}
	return w
}

// state is how it stands, in a word. s.mu is held.
func (e *entry) state(o *incident.Overview, known bool) string {
	switch {
	case e.problems != nil:
		return "invalid"
	case e.off:
		return "off"
	case e.removing:
		return "removing"
	case known && o.BlindErr != nil:
		return "blind"
	case len(o.Incidents) > 0:
		return "sick"
	case e.lastSeen.Load() == 0:
		return "unknown"
	}
	return "healthy"
}

// firstStep is what it would run first.
func (e *entry) firstStep() string {
	for _, st := range e.watch.Playbook.Steps {
		if !e.s.o.disabled(e.watch.Name, st.Name) {
			return st.Name
		}
	}
	return ""
}

func incidentStatus(x *incident.Standing, wall func(incident.At) time.Time) IncidentStatus {
	in := &x.Incident
	st := IncidentStatus{
		ID: in.ID, Watch: in.Watch, Key: in.Finding.Key, State: in.State, Severity: in.Finding.Severity,
		Summary: in.Finding.Summary, Finding: in.Finding, Found: wall(x.Since), Opened: in.Opened,
		Next: x.Next, HeldBy: x.Rail, Why: x.Why, Reason: in.Reason, Detail: in.Detail, Told: x.Told,
		Symptoms: in.Symptoms, Incident: *in,
	}
	if x.HeldSince >= 0 {
		st.Held = wall(x.HeldSince)
	}
	if x.Until >= 0 {
		st.Until = wall(x.Until)
	}
	for _, a := range in.Attempts {
		t := AttemptStatus{Step: a.Step, Outcome: a.Outcome, Started: a.Started, Ended: a.Ended, Owed: a.Owed, Undone: a.Undone}
		if a.Err != nil {
			t.Error = a.Err.Error()
		}
		st.Attempts = append(st.Attempts, t)
	}
	return st
}

func (e *entry) proposal(p *incident.Proposal, x *incident.Standing, wall func(incident.At) time.Time) Proposal {
	out := Proposal{
		ID: p.ID, Incident: p.Incident, Watch: p.Watch, Key: p.Key, Step: p.Step,
		Attempt: len(x.Incident.Attempts) + 1, Finding: x.Incident.Finding,
		Fingerprint: p.Fingerprint, Expires: wall(p.Expires),
	}
	for _, s := range e.watch.Playbook.Steps {
		if s.Name == p.Step {
			out.Risk, out.Scope = s.Risk.Level(), s.Scope
		}
	}
	return out
}

// people adds how they stand to the incidents.
func (st *Status) people(box *outbox.Driver) {
	for _, t := range box.Targets() {
		x := TargetStatus{Name: t.Name, Owed: t.Owed, Down: t.Down, Since: t.Since, Stuck: t.Stuck, Next: t.Next}
		if t.Err != nil {
			x.Error = t.Err.Error()
		}
		st.Targets = append(st.Targets, x)
	}
	for i := range st.Watches {
		for n := range st.Watches[i].Incidents {
			in := &st.Watches[i].Incidents[n]
			x, ok := box.Standing(in.ID)
			if !ok {
				continue
			}
			in.Undeliverable, in.QuietUntil = x.Undeliverable, x.QuietUntil
			in.AckedBy, in.AckedUntil = x.AckedBy, x.AckedUntil
			in.SnoozedBy, in.SnoozedUntil = x.SnoozedBy, x.SnoozedUntil
		}
	}
}

func owed(o outbox.Owed) OwedNotice {
	n := OwedNotice{Target: o.Target, Incident: o.DedupKey, Kind: o.Kind, Age: o.Age, Tries: o.Tries}
	if o.Err != nil {
		n.Error = o.Err.Error()
	}
	return n
}
