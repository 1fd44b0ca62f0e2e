package incident

import (
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// phaseMoment is when the phase of i has something to do without an input.
func (i *inc) phaseMoment(e *Engine) At {
	at := never
	switch i.phase {
	case pending, asking, retrying, settling, verifying:
		at = i.due
	case clearing:
		if i.rail == "" {
			at = i.due
		}
	case waiting:
		if i.rail != "" {
			at = i.heldUntil
			if !i.heldTold && toldLate(i.rail) {
				at = min(at, i.heldSince+heldTooLong)
			}
		} else if i.knownAt < i.fresh {
			// Its look, or the time for which a permit is kept for it.
			if at = i.fresh; at <= e.now {
				at = i.fresh + reserveFor
			}
			if at <= e.now {
				at = never
			}
		}
	case watching:
		if i.w.Mode == Shadow && i.shadow < len(i.w.Playbook.Steps) {
			at = i.due
		}
	case undoing:
		if !i.undoTold && i.undoFrom >= 0 {
			at = i.undoFrom + undoTooLong
		}
		if i.due > 0 {
			at = min(at, i.due)
		}
	}
	return at
}

// nextMoment is when something is to happen to i without an input.
func (i *inc) nextMoment(e *Engine) At {
	at := i.phaseMoment(e)
	if i.opened != unset && !i.told && i.owedTell == "" {
		at = min(at, i.tellAt)
	}
	if i.owedTell != "" || i.muted {
		if s := e.silenced(i); s != nil {
			at = min(at, s.Until)
		} else {
			at = min(at, e.now)
		}
	}
	return at
}

// moment handles what has come due for i.
func (e *Engine) moment(i *inc) {
	defer e.rearm(i)
	e.mute(i)
	if i.owedTell != "" && e.silenced(i) == nil {
		e.tellOwed(i)
	}
	if i.opened != unset && !i.told && i.owedTell == "" && e.now >= i.tellAt {
		e.tellOfLong(i)
	}
	switch i.phase {
	case pending:
		if e.now >= i.due {
			i.due = never // the look decides
			e.askLook(i.w)
		}
	case clearing:
		if e.now >= i.due && i.due != never {
			i.fresh, i.due = i.due, never
			e.askLook(i.w)
		}
	case settling:
		if e.now >= i.due {
			e.verify(i)
		}
	case verifying:
		if e.now >= i.due {
			e.unverified(i)
		}
	case retrying:
		if e.now >= i.due {
			e.retry(i)
		}
	case asking:
		if e.now >= i.due {
			e.answer(i, false, "", escalate.NoAnswer, "nobody answered in "+askFor.String()+", which is a no")
		}
	case waiting:
		e.waitingMoment(i)
	case watching:
		if i.w.Mode == Shadow && e.now >= i.due {
			e.wouldStep(i)
		}
	case undoing:
		if i.due > 0 && e.now >= i.due {
			i.due = 0
			e.undoNext(i)
		}
		if !i.undoTold && i.undoFrom >= 0 && e.now >= i.undoFrom+undoTooLong {
			i.undoTold = true
			e.page(i, escalate.UndoOwed, "a temporary measure waits to be put back")
		}
	}
}

// tellOfLong tells people of an incident that has been open for long and that
// nobody was told of. What the notice of a cause or a storm names is known.
func (e *Engine) tellOfLong(i *inc) {
	if i.named && (i.rail == remediate.RailCause || i.rail == remediate.RailStorm) {
		i.tellAt = e.now + nobodyTold
		return
	}
	i.tellAt = never
	if !mutant(mutNobodyTold) {
		e.page(i, escalate.NobodyTold, "open for an hour, and nobody knew")
	}
}

func (e *Engine) waitingMoment(i *inc) {
	if i.rail == "" {
		if e.now >= i.fresh && i.knownAt < i.fresh {
			e.askLook(i.w)
			e.dirty = true // if that look hangs, others are let past
		}
		return
	}
	if e.now >= i.heldUntil {
		i.heldUntil = never
		e.dirty = true
	}
	if !i.heldTold && toldLate(i.rail) && e.now >= i.heldSince+heldTooLong {
		i.heldTold = true
		if mutant(mutHeldTooLong) {
			return
		}
		e.page(i, escalate.HeldTooLong, "held by "+string(i.rail)+" for "+heldTooLong.String()+": "+i.why)
	}
}
