package incident

import (
	"fmt"
	"math"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// verify is where the settle time is over: the next look gives the verdict.
func (e *Engine) verify(i *inc) {
	i.phase = verifying
	i.fresh = i.due // only a look that began after the settle time counts
	i.due = max(e.now, e.lagEnds(i)) + max(blindFor, blindChecks*i.w.Every)
	e.askLook(i.w)
}

// lagEnds is until when the detector may not know yet that the rung helped, where
// the step can say so itself; 0 elsewhere.
func (e *Engine) lagEnds(i *inc) At {
	if s := i.step(); i.w.Lag > 0 && s != nil && s.Verify != nil {
		return i.ranAt + i.w.Lag
	}
	return 0
}

// judge gives the verdict on a rung from a look that could tell.
func (e *Engine) judge(i *inc) {
	s := i.step()
	if i.present && e.now < e.lagEnds(i) {
		// An alert of monitoring is said to be over minutes after it is: the step's
		// own word counts for a no, and the detector's is awaited for a yes.
		if !i.vouched && len(i.mem.abandoned) == 0 {
			e.askStep(i)
		}
		return
	}
	if i.present {
		e.notHealed(i, s)
		return
	}
	if e.moved(i) || s.Verify == nil {
		e.healed(i)
		return
	}
	if len(i.mem.abandoned) > 0 {
		return // one that ignored its context still runs: it is not asked twice at once
	}
	e.askStep(i)
}

// askStep asks Step.Verify.
func (e *Engine) askStep(i *inc) {
	i.asked = true
	e.do(Decision{Kind: DoVerify, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: i.rung, Attempt: i.number, Try: i.try, Finding: i.finding})
}

// healed is where the key is well: the rung did it, unless the sickness has
// only moved.
func (e *Engine) healed(i *inc) {
	if e.moved(i) && !mutant(mutMoved) {
		e.finish(i, remediate.Moved, nil)
	} else {
		i.healed = true
		e.finish(i, remediate.Healed, nil)
	}
	i.rung++
	e.clear(i)
}

// moved says whether something of this watch fell sick since the rung began and
// is still there; what did inherits the cooldown. What the look that led to the
// rung, or one under way at its start, found beside it was there before.
func (e *Engine) moved(i *inc) bool {
	moved := false
	for _, j := range i.w.live {
		if j != i && j.present && j.seen > i.climb.look && j.foundBy >= i.climb.began {
			moved = true
			if c := i.w.Playbook.Limits.Cooldown; c > 0 {
				j.mem.cooldown = max(j.mem.cooldown, e.now+c)
				e.touch(j)
			}
		}
	}
	return moved
}

func (e *Engine) notHealed(i *inc, s *remediate.Step) {
	worse, how := e.worse(i)
	worse = worse && !mutant(mutWorse)
	switch {
	case worse && s.Risk.AboveSafe():
		e.finish(i, remediate.Worse, fmt.Errorf("%s", how))
		e.stopLadder(i, escalate.Worse, last, "step "+s.Name+" made it worse: "+how)
	case worse && i.owedOf(i.number) != nil:
		e.finish(i, remediate.NoEffect, nil)
		e.startUndo(i, last, climbing)
	case i.joined(i.number):
		e.finish(i, remediate.InForce, nil)
		e.next(i)
	default:
		e.retryOr(i, remediate.NoEffect)
	}
}

// growthMargin is how much faster than before the distance must grow to count as
// faster: a fault that grows evenly never reads quite evenly.
const growthMargin = 1.25

// worse compares how far past its limit the value is with how far it was when
// the rung began, and how fast it grew with the minute before.
func (e *Engine) worse(i *inc) (bool, string) {
	if i.finding.Severity > i.climb.severe {
		return true, fmt.Sprintf("severity rose from %v to %v", i.climb.severe, i.finding.Severity)
	}
	f := &i.finding
	if f.Value == 0 && f.Limit == 0 {
		return false, ""
	}
	far := i.distance()
	during := (far - i.climb.far) / max(e.now-i.climb.began, time.Millisecond).Seconds()
	// Just at the limit any step is a multiple: a tenth of the limit is the least
	// that counts as a distance to grow from.
	base := max(i.climb.far, math.Abs(f.Limit)/10)
	if far > 1.5*base && during > growthMargin*i.climb.growth {
		return true, fmt.Sprintf("%g past its limit when the step began, %g now", i.climb.far, far)
	}
	return false, ""
}

// verified takes in what Step.Verify said.
func (e *Engine) verified(i *inc, in *Input) {
	if i.phase != verifying || !i.asked {
		return
	}
	defer e.rearm(i)
	i.asked = false
	if in.Abandoned {
		e.abandon(i, i.number)
	}
	switch {
	case i.w.removing || e.stopping:
		e.unjudged(i)
		e.leave(i)
	case in.Abandoned, in.Result == Skip, e.tilt.until > 0:
		i.fresh = e.now + i.w.Every // ask again at the watch's interval
	case in.Result == OK && !i.known:
		i.fresh = e.now // the detector has gone blind meanwhile: its next word counts
	case in.Result == OK && !i.present:
		e.healed(i)
	case in.Result == OK && e.now < e.lagEnds(i):
		i.vouched = true
	case in.Result == OK:
		e.notHealed(i, i.step())
	default:
		// The detector is clear and the step's own verification is not: that
		// word stands for a finding until the next rung has been climbed.
		i.unwell = true
		e.retryOr(i, remediate.NoEffect)
	}
}

// unverified is where nobody could tell for long.
func (e *Engine) unverified(i *inc) {
	if i.asked {
		i.due = e.now + i.w.Every // Verify has a time-out of its own
		return
	}
	if e.tilt.until > 0 {
		i.due = e.tilt.until + max(blindFor, blindChecks*i.w.Every)
		return
	}
	s := i.step()
	e.finish(i, remediate.Unverified, i.w.blindErr)
	e.stopLadder(i, escalate.Unverified, nothing, "nobody can tell whether step "+s.Name+" helped")
}
