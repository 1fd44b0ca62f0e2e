package monitor

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// Event is what the supervisor claims, at the moment at which it decides so.
func (q *Machine) Event(at time.Duration, mark uint64, ev *incident.Event) {
	x := (*machine)(q)
	now := fact{at, mark}
	x.endSilences(now)
	res := resource{ev.Watch, ev.Key}
	switch ev.Kind {
	case incident.EvFound:
		x.found(ev)
	case incident.EvBlip:
		delete(x.look(ev.Watch).live, ev.Incident)
	case incident.EvOpen:
		x.opens(now, ev)
	case incident.EvStart:
		x.starts(now, ev)
	case incident.EvStep:
		x.steps(at, ev)
	case incident.EvUndo:
		if u := x.undos[undoKey{ev.Incident, ev.Number}]; u != nil && ev.Err == nil {
			u.done, u.doneAt = true, now
		} else if u != nil {
			u.failed, u.failedAt = true, now
		}
	case incident.EvHold:
		x.holds(at, x.ladder(ev.Incident, res), ev.Rail)
	case incident.EvRelease:
		l := x.ladder(ev.Incident, res)
		switch l.held {
		case remediate.RailBlind, remediate.RailFlapping: // a look ended it
		case remediate.RailStorm:
			l.released, x.stormEnd = at, at
		default:
			l.released = at
		}
		l.held = ""
	case incident.EvPage:
		x.pages(now, ev)
	case incident.EvAsk:
		l := x.ladder(ev.Incident, res)
		l.approved = -1
		l.known(now)
	case incident.EvClose:
		x.closes(now, ev)
	case incident.EvBreaker:
		x.breakers[ev.Watch] = &breaker{fact: now, until: at + ev.Duration, before: x.breakers[ev.Watch]}
	case incident.EvBlind:
		if l := x.look(ev.Watch); l.blindSince < 0 {
			l.blindSince = at
		}
	case incident.EvSight:
		l := x.look(ev.Watch)
		l.blindSince, l.isTold = -1, false
	case incident.EvStorm:
		x.stormOn = &now
	case incident.EvStormOver:
		x.stormOn, x.stormEnd = nil, at
		if x.stormy(at) && x.resumed < at {
			x.broken(StormStops, "machine %d: the storm is said to be over, and the last fell sick less than %v ago", x.n, stormCalm)
		}
		x.storm = nil
	case incident.EvSafeModeOver:
		x.safeMode = 0
	}
}

func (x *machine) found(ev *incident.Event) {
	l := x.look(ev.Watch)
	l.live[ev.Incident] = true
	// One more stands for all that are folded.
	if n := len(l.live); n > x.m.cfg.MaxKeys+1 {
		x.broken(BoundedMemory, "machine %d: %s has %d keys, and %d may be kept apart", x.n, ev.Watch, n, x.m.cfg.MaxKeys)
	}
	y := x.ladder(ev.Incident, resource{ev.Watch, ev.Key})
	y.found = ev.At
}

func (x *machine) opens(now fact, ev *incident.Event) {
	l := x.ladder(ev.Incident, resource{ev.Watch, ev.Key})
	if ev.Again {
		l.lastRung = 0
		return
	}
	l.opened, l.isOpen = now, true
	x.stormCounts(now, l)
}

// starts checks what must hold when a rung is decided.
func (x *machine) starts(now fact, ev *incident.Event) {
	at := now.at
	l := x.ladder(ev.Incident, resource{ev.Watch, ev.Key})
	w := x.m.watches[ev.Watch]
	n := slices.IndexFunc(w.Playbook.Steps, func(s remediate.Step) bool { return s.Name == ev.Step })
	s := &w.Playbook.Steps[n]
	above := s.Risk.AboveSafe()
	says := func(bad bool, i Invariant, format string, args ...any) {
		if bad {
			x.broken(i, "machine %d: %s on %v is to run, and "+format, append([]any{x.n, s.Name, l.res}, args...)...)
		}
	}
	l.started, l.lastRung = ev.Number, 0
	seen := x.look(ev.Watch)
	since := max(l.released, x.began)
	known := func(a *answer) bool { _, known := a.sees(ev.Key); return known }
	sick := func(a *answer) bool { present, _ := a.sees(ev.Key); return present }
	fresh := func(a *answer) bool { return sick(a) && a.started+rounding >= since }
	says(!seen.said(at, known), ClaimsAreTrue, "its detector cannot see")
	says(!l.unwell && !seen.said(at, sick), ClaimsAreTrue, "its detector finds nothing")
	says(seen.said(at, sick) && !seen.said(at, fresh), ClaimsAreTrue, "what was seen is from before it was let go")
	says(at < x.tiltUntil, ClocksAreLies, "the supervisor was late, or its clock stepped, less than 30 s ago")
	says(at < x.safeMode, Bounded, "the process crashes again and again: it is in safe mode")
	says(s.Scope.NeedsFleet(), Stopped, "it reaches others and no fleet allows it")
	if c := x.cooldowns[l.res]; c != nil && c.incident != ev.Incident && !l.acted {
		says(at+rounding < c.until, Bounded, "its cooldown lasts for %v more", c.until-at)
	}
	if b := x.breakers[ev.Watch]; b != nil {
		says(at+rounding < b.until, Bounded, "the breaker of %s is open for %v more", ev.Watch, b.until-at)
	}
	says(above && x.stormy(at), StormStops, "many are sick at once")
	says(above && x.stormOn != nil && at+rounding < x.stormOn.at+stormCalm, StormStops, "it has said that many are sick at once")
	for _, c := range w.After {
		says(x.sick(c, at), CauseFirst, "%s is sick, on which it depends", c)
	}
	if s.Risk.Level() > x.m.cfg.MaxRisk || w.Mode == incident.Propose && above {
		says(l.approved < 0 || at > l.approved+15*time.Minute+rounding, Stopped, "nobody has approved it")
		l.spent, l.spentOn, l.approved = now, l.approved, -1
	}
	l.unwell, l.ranOK = false, false
}

// sick says whether a watch has an open incident that is not silenced, and is
// no shadow.
func (x *machine) sick(watch string, at time.Duration) bool {
	if w := x.m.watches[watch]; w == nil || x.quiet(at) || w.Mode == incident.Shadow {
		return false
	}
	for _, l := range x.ladders {
		if l.res.watch == watch && l.isOpen && !l.closed && l.opened.at < at && l.opened.at >= x.began && !x.silenced(l.res, at) {
			return true
		}
	}
	return false
}

// steps is where an attempt ends.
func (x *machine) steps(at time.Duration, ev *incident.Event) {
	l := x.ladder(ev.Incident, resource{ev.Watch, ev.Key})
	w := x.m.watches[ev.Watch]
	revived := l.began < x.began
	l.running, l.due = false, 0
	delete(x.permits, ev.Incident)
	l.acted = l.acted || ev.Attempt.Outcome != remediate.Skipped
	n := slices.IndexFunc(w.Playbook.Steps, func(s remediate.Step) bool { return s.Name == ev.Step })
	if n < 0 {
		return
	}
	switch ev.Attempt.Outcome {
	case remediate.Healed:
		seen := x.look(ev.Watch)
		since := x.began
		if !revived {
			since = max(since, l.ranEnd+settleOf(&w.Playbook.Steps[n], w.Every))
		}
		well := func(a *answer) bool {
			present, known := a.sees(ev.Key)
			return known && !present && a.started+rounding >= since
		}
		if !seen.said(at, well) {
			x.broken(ClaimsAreTrue, "machine %d: %s is said to have healed %v, and its detector has not said so since", x.n, ev.Step, l.res)
		}
	case remediate.Moved:
	default:
		if n == len(w.Playbook.Steps)-1 {
			l.lastRung = max(at, 1)
		}
	}
}

func settleOf(s *remediate.Step, every time.Duration) time.Duration {
	if s.Settle > 0 {
		return s.Settle
	}
	return max(2*every, time.Second)
}

func (x *machine) holds(at time.Duration, l *ladder, rail remediate.Rail) {
	if rail == remediate.RailSilence && !x.maybeSilenced(l.res, at) {
		x.broken(StopSurvives, "machine %d: %v is held because somebody has silenced it, and that is over", x.n, l.res)
	}
	if l.held == "" || !tellable(l.held) && l.held != remediate.RailBlind {
		l.heldFrom, l.heldTold = at, false
	}
	l.held = rail
}

func (x *machine) pages(now fact, ev *incident.Event) {
	res := resource{ev.Watch, ev.Key}
	if ev.Watch != incident.Self && ev.Reason != escalate.Blind && x.silenced(res, now.at) {
		x.broken(Stopped, "machine %d: people are called for %v (%s), and somebody has silenced that", x.n, res, ev.Reason)
	}
	x.notices.raise(now, ev)
	if ev.Reason == escalate.Blind {
		l := x.look(ev.Watch)
		l.blindTold, l.isTold = now, true
		return
	}
	if l := x.ladders[ev.Incident]; l != nil {
		l.known(now)
		l.heldTold = true
	}
}

func (x *machine) closes(now fact, ev *incident.Event) {
	l := x.ladder(ev.Incident, resource{ev.Watch, ev.Key})
	delete(x.look(ev.Watch).live, ev.Incident)
	delete(x.permits, ev.Incident)
	l.closed, l.isOpen, l.due, l.running = true, false, 0, false
	l.closing = now
	w := x.m.watches[ev.Watch]
	if c := w.Playbook.Limits.Cooldown; l.acted && c >= 0 {
		if c == 0 {
			c = 5 * time.Minute
		}
		x.cooldowns[l.res] = &cooldown{fact: now, until: now.at + c, incident: ev.Incident, before: x.cooldowns[l.res]}
	}
}
