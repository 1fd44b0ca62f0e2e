package selfheal

import (
	"fmt"

	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/remediate"
)

// plan is what a watch would do if it found something now. It runs nothing.
func (s *Supervisor) plan(watch string) (*console.Plan, error) {
	s.mu.Lock()
	e := s.entries[watch]
	s.mu.Unlock()
	if e == nil {
		return nil, fmt.Errorf("%w: selfheal: plan: there is no watch %q", console.ErrNoSuch, watch)
	}
	w := &e.watch
	mode := max(w.Mode, s.o.Mode)
	p := &console.Plan{
		Watch: w.Name, Fingerprint: w.Playbook.Fingerprint(), Mode: mode.String(),
		Held: s.heldNow(e, mode), Steps: []console.PlanStep{}, Limits: "limits: " + w.Playbook.Limits.String(),
	}
	for n := range w.Playbook.Steps {
		st := &w.Playbook.Steps[n]
		x := console.PlanStep{Step: st.Name, Text: st.String()}
		x.Would, x.Why = s.would(w.Name, st, mode)
		p.Steps = append(p.Steps, x)
	}
	return p, nil
}

// would is what became of a step if its turn came.
func (s *Supervisor) would(watch string, st *remediate.Step, mode Mode) (what, why string) {
	risk := s.o.MaxRisk
	if risk == 0 {
		risk = remediate.Disruptive
	}
	switch {
	case s.o.disabled(watch, st.Name):
		return "be skipped", "Options.Disable vetoes it"
	case mode == Shadow:
		return "be written down", "the mode is shadow"
	case st.Scope.NeedsFleet() && s.o.Fleet == nil:
		return "be held", "its scope needs Options.Fleet, and there is none"
	case st.Risk.Level() > risk:
		return "ask first", fmt.Sprintf("its risk is above Options.MaxRisk, which is %v", risk)
	case mode == Propose && st.Risk.AboveSafe():
		return "ask first", "the mode is propose"
	}
	return "run", ""
}

// heldNow is why nothing would run now, whatever the step.
func (s *Supervisor) heldNow(e *entry, mode Mode) []string {
	st := s.Status()
	var why []string
	if h := st.Halted; h != nil {
		why = append(why, fmt.Sprintf("healing is halted by %s: %s", h.By, h.Reason))
	}
	if st.State != "running" {
		why = append(why, "the supervisor is "+st.State)
	}
	if mode == Off {
		why = append(why, "the watch is off: it does not even look")
	}
	for _, a := range s.alerts(&st) {
		if a.Bad {
			why = append(why, a.What+": "+a.Why)
		}
	}
	for n := range st.Watches {
		w := &st.Watches[n]
		if w.Name != e.watch.Name {
			continue
		}
		switch w.State {
		case "invalid", "off", "removing":
			why = append(why, "the watch is "+w.State)
		case "blind":
			why = append(why, "the watch is blind: "+w.Blind)
		}
		if !w.BreakerOpen.IsZero() {
			why = append(why, "its breaker is open until "+w.BreakerOpen.UTC().Format("15:04:05 UTC"))
		}
	}
	for _, x := range st.Silences {
		if x.Key == "" && len(x.Labels) == 0 && x.Watch == e.watch.Name {
			why = append(why, fmt.Sprintf("silenced by %s: %s", x.By, x.Reason))
		}
	}
	return why
}
