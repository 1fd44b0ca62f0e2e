package incident

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// climb is what was so when a rung began, for its verdict.
type climb struct {
	began  At
	far    float64 // distance past the limit
	growth float64 // of that distance in the minute before, a second
	severe detect.Severity
	look   uint64 // the last one before
}

// tryStart starts the next rung of i if nothing forbids it.
func (e *Engine) tryStart(i *inc) {
	for i.phase == waiting {
		if rail, why, until := e.heldBy(i); rail != "" {
			e.hold(i, rail, why, until)
			return
		}
		switch i.rail {
		case "", remediate.RailGate: // the gate is asked because of a look
		case remediate.RailBlind, remediate.RailStale: // a look ended it
			e.unhold(i)
		default:
			e.unhold(i)
			i.fresh = max(i.fresh, e.now) // what was seen while held is stale
		}
		if !i.sick() || i.knownAt < i.fresh && !mutant(mutStale) {
			if e.now >= i.fresh {
				e.askLook(i.w)
			}
			e.reserve(i)
			return
		}
		s := i.step()
		if e.inHand(s) {
			return // no rail: it is joined as soon as it is taken, or taken anew
		}
		switch {
		case s == nil:
			e.unhold(i)
			e.unwait(i)
			e.noRungLeft(i)
		case i.w.Disabled[s.Name]:
			e.skipDisabled(i, s)
			return
		case e.mustAsk(i, s) && e.now >= i.approved:
			e.ask(i, s)
		case e.o.Gate && !i.gateYes && !mutant(mutGate):
			i.phase = gating
			e.do(Decision{
				Kind: DoGate, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: i.rung,
				Attempt: i.number + 1, Finding: i.finding, Snapshot: e.snapshot(i),
			})
		default:
			e.start(i, s)
		}
	}
}

// inHand says that the shared measure of s is just being taken or put back.
func (e *Engine) inHand(s *remediate.Step) bool {
	if s == nil || s.Measure == "" {
		return false
	}
	m := e.measures[s.Measure]
	return m != nil && (m.taking || m.leaving)
}

// noRungLeft is where the ladder is at its end, or never had a rung.
func (e *Engine) noRungLeft(i *inc) {
	switch {
	case i.w.Mode == Shadow:
		e.shadowed(i)
	case i.folded():
		e.stopLadder(i, escalate.TooManyKeys, nothing, fmt.Sprintf("the watch has more than %d sick keys at once: no step runs for the rest", e.o.MaxKeys))
	case len(i.steps()) == 0:
		e.stopLadder(i, escalate.Exhausted, nothing, "the watch has no steps")
	default:
		e.stopLadder(i, escalate.Exhausted, noEffect, "every rung was climbed")
	}
}

func (e *Engine) gated(i *inc, no error) {
	i.phase = waiting
	if no != nil {
		e.hold(i, remediate.RailGate, no.Error(), never)
		e.rearm(i)
		return
	}
	e.unhold(i)
	i.gateYes = true
	e.dirty = true
}

// skipDisabled passes a rung that was vetoed by name.
func (e *Engine) skipDisabled(i *inc, s *remediate.Step) {
	now := e.wall(e.now)
	i.number++
	i.record = append(i.record, remediate.Attempt{Step: s.Name, Started: now})
	e.finish(i, remediate.Skipped, errors.New("disabled by name"))
	i.rung++
	e.wait(i)
}

func (e *Engine) start(i *inc, s *remediate.Step) {
	e.unwait(i)
	e.unhold(i)
	i.approved, i.gateYes, i.toldOf = 0, false, i.toldOf[:0]
	i.number++
	i.try = 1
	i.record = append(i.record, remediate.Attempt{Step: s.Name, Started: e.wall(e.now), Tries: 1})
	i.climb = climb{began: e.now, far: i.distance(), growth: i.samples.growth(e.now, i.distance()), severe: i.finding.Severity, look: e.looks}
	e.beginTrial(i)
	e.emit(Event{Kind: EvStart, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, Number: i.number, Finding: i.finding})
	if m := e.measures[s.Measure]; s.Measure != "" && m != nil {
		e.join(i, s, m)
		return
	}
	if s.Risk.AboveSafe() {
		i.permit = true
		e.running = append(e.running, i)
		if e.storm.after {
			e.storm.ladder = i
		}
		e.budget = append(e.budget, e.now)
		e.unsaved.budget = true
	}
	if x := i.w.Playbook.Limits.Exclusive; x != "" {
		e.exclusive[x] = &call{id: i.id, attempt: i.number, watch: i.w.Name, key: i.key}
	}
	if s.Undo != nil {
		e.owe(i, s)
	}
	e.run(i, s)
}

func (e *Engine) run(i *inc, s *remediate.Step) {
	i.phase = acting
	i.unwell = false
	if mutant(mutAttemptUnrecorded) {
		i.unsaved = false
		e.unsaved.incidents = slices.DeleteFunc(e.unsaved.incidents, func(j *inc) bool { return i == j })
	} else {
		e.touch(i)
	}
	d := Decision{
		Kind: DoRun, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: i.rung,
		Attempt: i.number, Try: i.try, Finding: i.finding,
	}
	if o := i.owedOf(i.number); o != nil {
		d.Memo = o.memo
	}
	if i.try == 1 && (!i.gathered || s.Risk.AboveSafe()) {
		i.gathered = true
		d.Gather, d.Snapshot = true, e.snapshot(i)
	}
	e.do(d)
}

// ran takes in that Run returned, or did not in time.
func (e *Engine) ran(i *inc, in *Input) {
	if i.phase != acting {
		return
	}
	defer e.rearm(i)
	s := i.step()
	a := i.attempt()
	before := a.Err // of the try before
	a.Tries, a.Err = i.try, in.Err
	i.fresh = e.now // what was seen while it ran says nothing about the next rung
	if in.Abandoned {
		if e.abandon(i, i.number); mutant(mutHungHolds) {
			return
		}
	}
	switch in.Result {
	case Withdrawn:
		if i.try > 1 && !mutant(mutRetryWithdrawn) { // an earlier try did run: its outcome stands, and what it owes
			a.Tries--
			e.finish(i, i.outcome, before)
			e.next(i)
			break
		}
		e.withdraw(i)
	case OK:
		e.taken(i)
		i.phase = settling
		i.ranAt, i.vouched = e.now, false
		i.due = e.now + settle(s, i.w.Every)
		if i.w.removing || e.stopping {
			e.unjudged(i)
			e.leave(i)
		}
	case Skip:
		if i.try > 1 { // an earlier try did run: its outcome stands, and what it owes
			e.finish(i, i.outcome, before)
		} else {
			e.disown(i, i.number)
			e.finish(i, remediate.Skipped, in.Err)
		}
		e.next(i)
	case Escalate:
		e.finish(i, remediate.Failed, in.Err)
		e.stopLadder(i, escalate.Escalated, nothing, fmt.Sprintf("step %s asked for a person: %v", s.Name, in.Err))
	default:
		e.retryOr(i, remediate.Failed)
	}
}

// withdraw takes an attempt back that never ran: a rail came down between its
// start and its Run, while evidence was captured.
func (e *Engine) withdraw(i *inc) {
	e.touch(i)
	e.disown(i, i.number)
	i.record = i.record[:len(i.record)-1]
	i.number--
	if n := slices.Index(e.budget, i.climb.began); i.permit && n >= 0 { // others may have begun since
		e.budget = slices.Delete(e.budget, n, n+1)
		e.unsaved.budget = true
	}
	e.endTrial(i)
	e.release(i)
	if i.w.removing || e.stopping {
		i.phase = waiting
		e.leave(i)
		return
	}
	e.wait(i)
}

// MayRun says whether a step that was started, and whose Run was put off until
// evidence is captured, may still run now.
func (e *Engine) MayRun(incident string, attempt int) bool {
	i := e.byID[incident]
	if i == nil || i.number != attempt || i.phase != acting || i.w.removing {
		return false
	}
	rail, _, _ := e.stopped(i, i.step())
	return rail == ""
}

func settle(s *remediate.Step, every time.Duration) time.Duration {
	if s.Settle > 0 {
		return s.Settle
	}
	return max(2*every, time.Second)
}

// retryOr tries the rung again if it may, else ends the attempt with o.
func (e *Engine) retryOr(i *inc, o remediate.Outcome) {
	s := i.step()
	if i.try < s.Retry.Attempts() && e.mayRetry(i) && len(i.mem.abandoned) == 0 {
		i.phase, i.outcome = retrying, o
		i.due = e.now + s.Retry.Pause(i.try, i.random())
		return
	}
	e.finish(i, o, i.attempt().Err)
	e.next(i)
}

// mayRetry says whether the rung may be tried again: it has its permit and its
// budget; what stops everything stops it too, and a key that is well, or of
// which nobody can tell, gets none.
func (e *Engine) mayRetry(i *inc) bool {
	if i.w.removing || i.known && !i.sick() || !i.known && !mutant(mutBlind) {
		return false
	}
	rail, _, _ := e.stopped(i, i.step())
	return rail == ""
}

func (e *Engine) retry(i *inc) {
	if !e.mayRetry(i) {
		e.finish(i, i.outcome, i.attempt().Err)
		e.next(i)
		return
	}
	i.try++
	e.run(i, i.step())
}

// random is a number in [0,1) that this try always gets: the engine has no
// source of chance, so that the same inputs give the same pauses.
func (i *inc) random() float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d/%d", i.id, i.number, i.try)
	return float64(h.Sum64()>>11) / (1 << 53)
}

// finish ends the attempt.
func (e *Engine) finish(i *inc, o remediate.Outcome, err error) {
	a := i.attempt()
	a.Outcome, a.Err, a.Ended = o, err, e.wall(e.now)
	if o == remediate.Healed || o == remediate.NoEffect || o == remediate.InForce || o == remediate.Moved {
		a.Err = nil
	}
	e.taken(i)
	e.release(i)
	e.emit(Event{Kind: EvStep, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: a.Step, Attempt: *a, Number: i.number, Finding: i.finding})
	e.inform(i, escalate.Update)
}

// next goes on after a rung that did not help.
func (e *Engine) next(i *inc) {
	i.rung++
	switch {
	case i.w.removing || e.stopping:
		i.phase = waiting
		e.leave(i)
	case i.known && !i.sick():
		e.clear(i)
	default:
		e.wait(i)
	}
}

// stopLadder ends the one climb that an incident has.
func (e *Engine) stopLadder(i *inc, why escalate.Reason, undo pick, detail string) {
	e.release(i)
	e.unask(i)
	i.over = true
	i.healed = false
	e.touch(i)
	i.ended, i.endedHow = why, detail
	if i.acted() {
		e.ladderFailed(i)
	} else {
		e.endTrial(i)
	}
	if i.w.removing || e.stopping {
		i.phase = waiting
		e.leave(i)
		return
	}
	e.startUndo(i, undo, telling)
}

// afterLadder is where the ladder is over and what had no effect is undone.
func (e *Engine) afterLadder(i *inc) {
	i.phase = watching
	if i.known && !i.sick() {
		e.clear(i) // it went away meanwhile: nobody needs to be called
		return
	}
	e.tellEnd(i)
}

// tellEnd tells people, once, why the ladder ended.
func (e *Engine) tellEnd(i *inc) {
	if !i.called {
		i.called = true
		e.page(i, i.ended, i.endedHow)
	}
}
