package selfheal

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/remediate"
)

// consoleState is how everything stands, as the page shows it.
func (s *Supervisor) consoleState() *console.State {
	st := s.Status()
	out := &console.State{
		At: st.At, Service: st.Service, Run: st.State, Mode: st.Mode.String(), Since: st.Since,
		Alerts: s.alerts(&st), Facts: facts(&st),
		Watches: make([]console.Watch, 0, len(st.Watches)),
	}
	if h := st.Halted; h != nil {
		out.Halt = &console.Halt{By: h.By, Reason: h.Reason, Since: h.Since}
	}
	for _, x := range st.Silences {
		out.Silences = append(out.Silences, console.Silence(x))
	}
	for _, m := range st.Modules {
		out.Modules = append(out.Modules, console.Module(m))
	}
	proposals := map[string]*Proposal{}
	for n := range st.Proposals {
		proposals[st.Proposals[n].Incident] = &st.Proposals[n]
	}
	sick := make([]string, 0, 16)
	for n := range st.Watches {
		w := &st.Watches[n]
		out.Watches = append(out.Watches, consoleWatch(w))
		if len(w.Incidents) > 0 {
			sick = append(sick, w.Name)
		}
	}
	steps, versions := s.stepsOf(sick), s.history.Versions()
	for n := range st.Watches {
		w := &st.Watches[n]
		for i := range w.Incidents {
			in := s.consoleIncident(&w.Incidents[i], steps[w.Name], proposals[w.Incidents[i].ID])
			in.Version = versions[in.ID]
			out.Open = append(out.Open, in)
		}
	}
	out.Closed, out.Week = s.history.Past(st.At)
	return out
}

// stepsOf returns the ladders of watches.
func (s *Supervisor) stepsOf(watches []string) map[string][]remediate.Step {
	steps := make(map[string][]remediate.Step, len(watches))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range watches {
		if e := s.entries[name]; e != nil {
			steps[name] = e.watch.Playbook.Steps // which nothing changes
		}
	}
	return steps
}

func consoleWatch(w *WatchStatus) console.Watch {
	c := console.Watch{
		Name: w.Name, Module: w.Module, Site: w.Site, Mode: w.Mode.String(), State: w.State, Why: w.Blind,
		Every: w.Every, Next: w.Next, Open: len(w.Incidents), BreakerOpen: w.BreakerOpen,
	}
	for n := range w.Problems {
		if n > 0 {
			c.Why += "; "
		}
		c.Why += w.Problems[n].What
	}
	if !w.Hung.IsZero() {
		c.Why = "its check has not answered since " + w.Hung.UTC().Format(time.RFC3339)
	}
	return c
}

func (s *Supervisor) consoleIncident(in *IncidentStatus, steps []remediate.Step, p *Proposal) console.Incident {
	f := &in.Finding
	out := console.Incident{
		ID: in.ID, Watch: in.Watch, Key: in.Key, State: string(in.State), Severity: in.Severity.String(),
		Summary: in.Summary, Value: finite(f.Value), Limit: finite(f.Limit), Unit: f.Unit,
		Found: in.Found, Opened: in.Opened, HeldBy: string(in.HeldBy), Why: in.Why, Held: in.Held, Until: in.Until,
		Reason: string(in.Reason), Detail: in.Detail, Told: in.Told, Lost: in.Undeliverable,
		AckedBy: in.AckedBy, Snoozed: in.SnoozedUntil, Symptoms: in.Symptoms, Runbook: in.Incident.Runbook,
		Ladder: s.ladder(in, steps), Evidence: consoleEvidence(in.Incident.Evidence),
	}
	if in.State == escalate.Acting && out.Until.IsZero() {
		out.Until = over(in, steps)
	}
	if p != nil {
		out.Proposal = &console.Proposal{
			ID: p.ID, Step: p.Step, Risk: p.Risk.String(), Scope: p.Scope.String(),
			Target: About{Watch: p.Watch, Key: p.Key}.Name(), Fingerprint: p.Fingerprint, Expires: p.Expires,
		}
		if n := slices.IndexFunc(steps, func(x remediate.Step) bool { return x.Name == p.Step }); n >= 0 {
			out.Proposal.Text = steps[n].String()
		}
	}
	return out
}

// over is when the step that runs is over at the latest; zero where that depends on
// how often it is tried.
func over(in *IncidentStatus, steps []remediate.Step) time.Time {
	if len(in.Attempts) == 0 {
		return time.Time{}
	}
	a := &in.Attempts[len(in.Attempts)-1]
	n := slices.IndexFunc(steps, func(x remediate.Step) bool { return x.Name == a.Step })
	if n < 0 || a.Outcome != remediate.Running || steps[n].Retry.Tries > 1 {
		return time.Time{}
	}
	return a.Started.Add(steps[n].Effective(0).Timeout)
}

// ladder is the playbook of an incident with how far it was climbed.
func (s *Supervisor) ladder(in *IncidentStatus, steps []remediate.Step) []console.Rung {
	latest := map[string]*AttemptStatus{}
	for n := range in.Attempts {
		latest[in.Attempts[n].Step] = &in.Attempts[n]
	}
	rungs := make([]console.Rung, 0, len(steps))
	for n := range steps {
		st := &steps[n]
		r := console.Rung{Step: st.Name, Risk: st.Risk.Level().String(), Scope: st.Scope.String(), State: "later"}
		switch a := latest[st.Name]; {
		case a != nil:
			climbed(&r, a)
		case s.o.disabled(in.Watch, st.Name):
			r.State = "vetoed"
		case in.Next == st.Name && in.HeldBy != "":
			r.State = "held"
		case in.Next == st.Name:
			r.State = "next"
		}
		rungs = append(rungs, r)
	}
	return rungs
}

// climbed notes how a rung went.
func climbed(r *console.Rung, a *AttemptStatus) {
	r.State, r.Outcome, r.Error, r.Started, r.Ended = "done", a.Outcome.String(), a.Error, a.Started, a.Ended
	if a.Outcome == remediate.Running {
		r.State, r.Outcome = "current", ""
	}
	switch {
	case a.Undone:
		r.Undo = "undone"
	case a.Owed:
		r.Undo = "owed"
	}
}

func consoleEvidence(es []escalate.Evidence) []console.Evidence {
	var out []console.Evidence
	for _, e := range es {
		out = append(out, console.Evidence(e))
	}
	return out
}

// finite is a number that JSON has.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// alerts is what keeps the healer from its work.
func (s *Supervisor) alerts(st *Status) []console.Alert {
	var as []console.Alert
	add := func(on, bad bool, what, format string, args ...any) {
		if on {
			as = append(as, console.Alert{Bad: bad, What: what, Why: fmt.Sprintf(format, args...)})
		}
	}
	add(st.SafeMode, true, "safe mode", "the process ended again and again: it observes and calls people")
	add(st.Storm, true, "storm", "many are sick at once, which has one cause: steps above safe wait")
	if n := len(as); n > 0 && st.StormStay {
		as[n-1].Why, as[n-1].Resume = "a second one within an hour: steps above safe wait until somebody resumes", true
	}
	add(st.Tilt != "", true, "tilt", "%s: it observes and calls people", st.Tilt)
	if j := s.o.Journal; j != nil {
		why := j.trouble()
		add(why != "", true, "journal", "it takes no records: %s", why)
	}
	for _, p := range st.Wiring {
		add(true, false, "wiring", "%s", p.Error())
	}
	add(st.Undeliverable > 0, false, "nobody reached", "of %d incidents nobody could be told", st.Undeliverable)
	for _, t := range st.Targets {
		add(t.Down, false, "notifier", "%s does not answer: %s", t.Name, t.Error)
	}
	if d := st.DeadMan; d != nil {
		add(d.Error != "", false, "dead man's switch", "the last sign of life did not arrive: %s", d.Error)
	}
	for _, x := range st.Stuck {
		add(true, false, "stuck", "%s", x)
	}
	add(st.Abandoned > 0, false, "abandoned", "%d calls ignored their context and still run", st.Abandoned)
	return as
}

// facts is the healer's own health.
func facts(st *Status) []console.Fact {
	n := &st.Counts
	budget := strconv.Itoa(st.BudgetUsed)
	fs := []console.Fact{
		{Name: "steps running", Value: strconv.Itoa(st.StepsRunning)},
		{Name: "steps of the budget used", Value: budget},
		{Name: "measures to put back", Value: strconv.Itoa(st.OwedUndos)},
		{Name: "notices not delivered yet", Value: strconv.Itoa(len(st.Owed))},
		{Name: "latest wake-up", Value: st.Late.Round(time.Millisecond).String() + " late"},
		{Name: "blips", Value: strconv.FormatUint(n.Blips, 10)},
		{Name: "panics recovered", Value: strconv.FormatUint(n.Panics, 10)},
		{Name: "events dropped", Value: strconv.FormatUint(n.Dropped, 10)},
	}
	return fs
}
