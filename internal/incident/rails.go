package incident

import (
	"fmt"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// heldBy is every rail in one place: what forbids i to start its next rung now,
// why, and until when if that is known.
func (e *Engine) heldBy(i *inc) (rail remediate.Rail, why string, until At) {
	s := i.step()
	if rail, why, until = e.stopped(i, s); rail != "" {
		return rail, why, until
	}
	if !i.known && !mutant(mutBlind) {
		return remediate.RailBlind, "its detector cannot see", never
	}
	if c := e.causeOpen(i.w); c != "" && !mutant(mutCause) {
		return remediate.RailCause, c + " has an open incident", never
	}
	if s == nil || i.w.Disabled[s.Name] {
		return "", "", never // nothing will run
	}
	if until := e.breakerHolds(i); until > 0 {
		return remediate.RailBreaker, "the ladders of this watch keep failing", until
	}
	if s.Risk.AboveSafe() && e.masked(i) {
		return remediate.RailMasking, fmt.Sprintf("healed %d times: the fix hides a bug", len(i.mem.heals)), i.mem.heals[0] + i.w.Playbook.Limits.Heals.Within
	}
	if i.number == 0 && e.now < i.mem.cooldown && !mutant(mutCooldown) {
		return remediate.RailCooldown, "the last incident of this key is too recent", i.mem.cooldown
	}
	if s.Scope.NeedsFleet() && !e.o.Fleet && !mutant(mutScope) {
		return remediate.RailScope, "the step reaches " + s.Scope.String() + " and there is no fleet to ask", never
	}
	if e.mustAsk(i, s) && e.now >= i.approved {
		return "", "", never // a person is asked before it competes
	}
	return e.competes(i, s)
}

// stopped is what stops everything, whatever the ladder says.
func (e *Engine) stopped(i *inc, s *remediate.Step) (remediate.Rail, string, At) {
	aboveSafe := s == nil || s.Risk.AboveSafe()
	switch {
	case e.stopping && !mutant(mutGrace):
		return remediate.RailGrace, "the supervisor is shutting down", never
	case s == nil:
		return "", "", never // people may always be told; page minds the silence
	case e.halt != nil && !mutant(mutHalt):
		return remediate.RailHalt, "halted by " + e.halt.By + ": " + e.halt.Reason, never
	case e.tilt.until > 0 && !mutant(mutTilt):
		return remediate.RailTilt, e.tilt.why, never
	case e.safeMode && !mutant(mutSafeMode):
		return remediate.RailSafeMode, "the process restarts again and again", never
	case e.storm.on && aboveSafe && !mutant(mutStorm):
		i.stormed = true
		return remediate.RailStorm, "many are sick at once: a shared cause", never
	}
	if x := e.silenced(i); x != nil && !mutant(mutSilence) {
		return remediate.RailSilence, "silenced by " + x.By + ": " + x.Reason, x.Until
	}
	return "", "", never
}

// competes is what i has to share with others.
func (e *Engine) competes(i *inc, s *remediate.Step) (remediate.Rail, string, At) {
	if len(i.mem.abandoned) > 0 && !mutant(mutAbandoned) {
		return remediate.RailExclusive, "a call that ignored its context still runs for this key", never
	}
	m := e.measures[s.Measure]
	if s.Measure != "" && m != nil {
		if m.taking || m.leaving {
			return remediate.RailExclusive, "measure " + s.Measure + " is being taken or put back", never
		}
		return "", "", never // it is joined: nothing runs
	}
	if x := i.w.Playbook.Limits.Exclusive; x != "" && e.exclusive[x] != nil && !mutant(mutExclusive) {
		c := e.exclusive[x]
		return remediate.RailExclusive, x + " is held by " + c.watch + "[" + c.key + "]", never
	}
	if !s.Risk.AboveSafe() {
		return "", "", never
	}
	if n := e.o.MaxConcurrent; n > 0 && !mutant(mutConcurrency) {
		if e.storm.after {
			n = 1
		}
		if len(e.running)+e.reserved >= n {
			return remediate.RailConcurrency, fmt.Sprintf("%d of %d steps above safe run", len(e.running), n), never
		}
	}
	if e.o.Budget > 0 && !mutant(mutBudget) {
		e.trimBudget()
		if len(e.budget) >= e.o.Budget {
			return remediate.RailBudget, fmt.Sprintf("%d steps above safe in %v", len(e.budget), e.o.BudgetWindow), e.budget[0] + e.o.BudgetWindow
		}
	}
	return "", "", never
}

func (e *Engine) trimBudget() {
	n := 0
	for n < len(e.budget) && e.budget[n]+e.o.BudgetWindow <= e.now {
		n++
	}
	e.budget = slices.Delete(e.budget, 0, n)
}

// causeOpen names a watch of After that has an open incident; "" without one.
// A cause that is silenced or in shadow holds nobody.
func (e *Engine) causeOpen(w *watch) string {
	for _, name := range w.After {
		c := e.watches[name]
		if c == nil || c.open == 0 || c.Mode == Shadow {
			continue
		}
		for _, i := range c.live {
			if i.phase != pending && e.silenced(i) == nil {
				return name
			}
		}
	}
	return ""
}

// hold notes that a rail forbids i to act. People are told at once of what
// they alone can change.
func (e *Engine) hold(i *inc, rail remediate.Rail, why string, until At) {
	i.heldUntil, i.why = until, why
	i.gateYes = false
	if i.rail == rail {
		return
	}
	if i.rail == "" {
		i.heldSince, i.heldTold = e.now, false
	}
	i.rail = rail
	e.emit(Event{Kind: EvHold, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: i.stepName(), Rail: rail, Why: why, Finding: i.finding})
	if reason := toldAtOnce(rail); reason != "" {
		e.page(i, reason, why)
	}
	e.rearm(i)
}

func (e *Engine) unhold(i *inc) {
	if i.rail == "" {
		return
	}
	e.emit(Event{Kind: EvRelease, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: i.stepName(), Rail: i.rail, Duration: e.now - i.heldSince})
	i.rail, i.why = "", ""
	i.heldSince, i.heldUntil, i.heldTold = -1, never, false
}

func (i *inc) stepName() string {
	if s := i.step(); s != nil {
		return s.Name
	}
	return ""
}

// toldAtOnce is why people are told as soon as a rail holds; "" if they are not.
func toldAtOnce(r remediate.Rail) escalate.Reason {
	switch r {
	case remediate.RailHalt:
		return escalate.Halted
	case remediate.RailBreaker:
		return escalate.BreakerOpen
	case remediate.RailMasking:
		return escalate.Masking
	case remediate.RailScope:
		return escalate.Scope
	case remediate.RailSafeMode:
		return escalate.SafeMode
	}
	return ""
}

// toldLate says whether people are told when a rail has held for long.
func toldLate(r remediate.Rail) bool {
	switch r {
	case remediate.RailCooldown, remediate.RailConcurrency, remediate.RailExclusive,
		remediate.RailBudget, remediate.RailGate, remediate.RailTilt:
		return true
	}
	return false
}

// recheckedByLook says whether a look may free what a rail holds; the others
// are freed by what they wait for, or by time.
func recheckedByLook(r remediate.Rail) bool {
	return r == "" || r == remediate.RailGate || r == remediate.RailBlind
}

// Arbitrate starts what competes, in the order of priority: critical first,
// then the oldest, then by name. The shell calls it once everything of this
// instant has been taken in.
func (e *Engine) Arbitrate(now At) []Decision {
	e.begin(now)
	for e.dirty {
		e.dirty = false
		e.reserved = 0
		slices.SortFunc(e.waiting, before)
		e.scratch = append(e.scratch[:0], e.waiting...)
		for _, i := range e.scratch {
			if i.inWaiting && i.phase == waiting {
				e.tryStart(i)
				e.rearm(i)
			}
		}
		e.stormDrained()
	}
	return e.out
}

func before(a, b *inc) int {
	if a.finding.Severity != b.finding.Severity {
		if a.finding.Severity == detect.Critical {
			return -1
		}
		return 1
	}
	switch {
	case a.opened != b.opened && a.opened < b.opened:
		return -1
	case a.opened != b.opened:
		return 1
	}
	if c := strings.Compare(a.w.Name, b.w.Name); c != 0 {
		return c
	}
	return strings.Compare(a.key, b.key)
}

// reserve keeps a permit for i while its fresh look is under way, so that those
// behind it do not overtake; not for ever, since the look may hang.
func (e *Engine) reserve(i *inc) {
	if s := i.step(); s != nil && s.Risk.AboveSafe() && e.now-i.fresh < reserveFor && e.now >= i.fresh {
		e.reserved++
	}
}
