package incident

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// climb is what was so when a rung began, for its verdict.
type climb struct {
	began  At
	far    float64 // distance past the limit
	growth float64 // of that distance in the minute before, a second
	severe uint8
}

// tryStart starts the next rung of i if nothing forbids it.
func (e *Engine) tryStart(i *inc) {
	for i.phase == waiting {
		if rail, why, until := e.heldBy(i); rail != "" {
			e.hold(i, rail, why, until)
			return
		}
		if i.rail != "" && i.rail != remediate.RailGate {
			e.unhold(i)
			i.fresh = max(i.fresh, e.now) // what was seen while held is stale
		}
		if !i.sick() || i.knownAt < i.fresh {
			if e.now >= i.fresh {
				e.askLook(i.w)
			}
			e.reserve(i)
			return
		}
		s := i.step()
		switch {
		case s == nil:
			e.unhold(i)
			e.unwait(i)
			if i.w.Mode == Shadow {
				e.shadowed(i)
			} else {
				e.stopLadder(i, escalate.Exhausted, noEffect, "every rung was climbed")
			}
		case i.w.Disabled[s.Name]:
			e.skipDisabled(i, s)
		case e.mustAsk(i, s) && e.now >= i.approved:
			e.ask(i, s)
		case e.o.Gate && !i.gateYes:
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

func (e *Engine) skipDisabled(i *inc, s *remediate.Step) {
	now := e.wall(e.now)
	i.number++
	i.record = append(i.record, remediate.Attempt{Step: s.Name, Started: now})
	e.finish(i, remediate.Skipped, errors.New("disabled by name"))
	i.rung++
}

func (e *Engine) start(i *inc, s *remediate.Step) {
	e.unwait(i)
	e.unhold(i)
	i.approved, i.gateYes = 0, false
	i.number++
	i.try = 1
	i.record = append(i.record, remediate.Attempt{Step: s.Name, Started: e.wall(e.now), Tries: 1})
	i.climb = climb{began: e.now, far: i.distance(), growth: i.samples.growth(e.now, i.distance()), severe: uint8(i.finding.Severity)}
	e.beginTrial(i)
	e.emit(Event{Kind: EvStart, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, Number: i.number, Finding: i.finding})
	if m := e.measures[s.Measure]; s.Measure != "" && m != nil {
		e.join(i, s, m)
		return
	}
	if s.Risk.AboveSafe() {
		i.permit = true
		e.running = append(e.running, i)
		e.budget = append(e.budget, e.now)
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
	d := Decision{
		Kind: DoRun, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: i.rung,
		Attempt: i.number, Try: i.try, Finding: i.finding,
	}
	if o := i.owedOf(i.number); o != nil {
		d.Memo = o.memo
	}
	if i.try == 1 && (i.number == 1 || s.Risk.AboveSafe()) {
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
	a.Tries, a.Err = i.try, in.Err
	if o := i.owedOf(i.number); o != nil && o.shared != nil {
		o.shared.taking = false
		e.recheck()
	}
	if in.Abandoned {
		e.abandon(i, i.number)
	}
	switch in.Result {
	case OK:
		i.phase = settling
		i.due = e.now + settle(s, i.w.Every)
		if i.w.removing || e.stopping {
			e.finish(i, remediate.Unverified, nil)
			e.leave(i)
		}
	case Skip:
		e.disown(i, i.number)
		e.finish(i, remediate.Skipped, in.Err)
		e.next(i)
	case Escalate:
		e.finish(i, remediate.Failed, in.Err)
		e.stopLadder(i, escalate.Escalated, nothing, fmt.Sprintf("step %s asked for a person: %v", s.Name, in.Err))
	default:
		e.retryOr(i, remediate.Failed)
	}
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
// budget; what stops everything stops it too, and a key that is well needs none.
func (e *Engine) mayRetry(i *inc) bool {
	if i.w.removing || i.known && !i.sick() {
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
	e.release(i)
	e.emit(Event{Kind: EvStep, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: a.Step, Attempt: *a, Number: i.number, Finding: i.finding})
	e.inform(i, escalate.Update)
}

// next goes on after a rung that did not help.
func (e *Engine) next(i *inc) {
	i.rung++
	i.fresh = e.now
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
	i.reason, i.detail = why, detail
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
	e.page(i, i.reason, i.detail)
}

// shadowed is the life of an incident that may only be written about.
func (e *Engine) shadowed(i *inc) {
	e.unwait(i)
	i.over = true
	i.phase = watching
	e.page(i, escalate.Exhausted, "shadow: nothing is done")
	i.due = e.now
	e.wouldStep(i)
}

// wouldStep writes down the next rung that a watch in shadow would climb.
func (e *Engine) wouldStep(i *inc) {
	steps := i.w.Playbook.Steps
	for i.shadow < len(steps) && i.w.Disabled[steps[i.shadow].Name] {
		i.shadow++
	}
	if i.shadow >= len(steps) || i.folded() {
		i.shadow = len(steps)
		return
	}
	s := &steps[i.shadow]
	i.shadow++
	i.due = e.now + settle(s, i.w.Every)
	e.emit(Event{Kind: EvWould, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, Finding: i.finding})
}
