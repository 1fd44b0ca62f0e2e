package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// hold notes that a rail forbids i to act. People are told at once of what
// they alone can change.
func (e *Engine) hold(i *inc, rail remediate.Rail, why string, until At) {
	i.heldUntil, i.why = until, why
	i.gateYes = false
	if i.rail == rail {
		return
	}
	if i.rail == "" || !toldLate(i.rail) && i.rail != remediate.RailBlind && i.rail != remediate.RailStale {
		i.heldSince, i.heldTold = e.now, false // only what people are told of late counts
	}
	i.rail = rail
	e.emit(Event{Kind: EvHold, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: i.stepName(), Rail: rail, Why: why, Finding: i.finding})
	if reason := toldAtOnce(rail); reason != "" && !slices.Contains(i.toldOf, rail) {
		i.toldOf = append(i.toldOf, rail)
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
	case remediate.RailJournal:
		return escalate.Degraded
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
	return r == "" || r == remediate.RailGate || r == remediate.RailBlind || r == remediate.RailStale
}
