package incident

import (
	"fmt"

	"github.com/selfheal-go/selfheal/remediate"
)

// heldBy is every rail in one place: what forbids i to start its next rung now,
// why, and until when if that is known.
func (e *Engine) heldBy(i *inc) (rail remediate.Rail, why string, until At) {
	s := i.step()
	if rail, why, until = e.stopped(i, s); rail != "" {
		return rail, why, until
	}
	if !i.known && i.stale {
		return remediate.RailStale, "whoever reported it has not restated it", never
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
	if e.now < i.mem.cooldown && !i.acted() && !mutant(mutCooldown) {
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
	case e.stopping:
		return remediate.RailGrace, "the supervisor is shutting down", never
	case s == nil:
		return "", "", never // people may always be told; page minds the silence
	case e.halt != nil && !mutant(mutHalt):
		return remediate.RailHalt, "halted by " + e.halt.By + ": " + e.halt.Reason, never
	case e.tilt.until > 0 && !mutant(mutTilt):
		return remediate.RailTilt, e.tilt.why, never
	case e.safeMode.on && !mutant(mutSafeMode):
		return remediate.RailSafeMode, "the process restarts again and again", never
	case e.degraded.on && s.Risk.Level() >= remediate.Destructive:
		return remediate.RailJournal, "the journal that bounds it takes no records: " + e.degraded.why, never
	case e.storm.on && aboveSafe && !mutant(mutStorm):
		i.stormed = true
		return remediate.RailStorm, "many are sick at once: a shared cause", never
	}
	if x := e.silenced(i); x != nil && !mutant(mutSilence) {
		return remediate.RailSilence, "silenced by " + x.By + ": " + x.Reason, x.Until
	}
	return "", "", never
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
