package incident

import (
	"slices"
	"time"
)

const breakerCap = 24 * time.Hour

// breaker stops a watch whose ladders keep failing. Once its time is over it is
// half open: one incident may climb, and that ladder decides.
type breaker struct {
	failed []At
	until  At   // open until then
	half   bool // it has been open and no ladder has healed since
	opened int  // how often in a row; each doubles the wait
	trial  *inc
}

// breakerHolds returns until when the breaker of its watch holds i; never where
// it waits for another's ladder; 0 where it does not hold.
func (e *Engine) breakerHolds(i *inc) At {
	b := &i.w.breaker
	switch {
	case mutant(mutBreaker):
		return 0
	case e.now < b.until:
		return b.until
	case b.half && b.trial != nil && b.trial != i && !mutant(mutHalfOpen):
		return never
	}
	return 0
}

// beginTrial lets i through a half-open breaker.
func (e *Engine) beginTrial(i *inc) {
	if b := &i.w.breaker; b.half && e.now >= b.until && b.trial == nil {
		b.trial = i
	}
}

// endTrial gives the place of i back where its ladder did not decide.
func (e *Engine) endTrial(i *inc) {
	if b := &i.w.breaker; b.trial == i {
		b.trial = nil
		e.recheck()
	}
}

// ladderFailed counts a ladder of i that did not heal, once for each stretch of
// attempts.
func (e *Engine) ladderFailed(i *inc) {
	b, lim := &i.w.breaker, i.w.Playbook.Limits.Breaker
	if i.counted == i.number || lim.Failures < 0 {
		return
	}
	i.counted = i.number
	e.touch(i)
	e.touchWatch(i.w)
	if b.half && b.trial == i {
		b.trial = nil
		e.openBreaker(i)
		return
	}
	n := 0
	for n < len(b.failed) && b.failed[n]+lim.Within <= e.now {
		n++
	}
	b.failed = append(slices.Delete(b.failed, 0, n), e.now)
	if len(b.failed) >= lim.Failures && e.now >= b.until {
		e.openBreaker(i)
	}
}

func (e *Engine) openBreaker(i *inc) {
	b, lim := &i.w.breaker, i.w.Playbook.Limits.Breaker
	wait := min(lim.OpenFor, breakerCap)
	for n := 0; n < b.opened && wait < breakerCap; n++ {
		wait = min(2*wait, breakerCap)
	}
	b.opened++
	b.half, b.until = true, e.now+wait
	b.failed = b.failed[:0]
	e.emit(Event{Kind: EvBreaker, Watch: i.w.Name, Key: i.key, Incident: i.id, Duration: wait})
	e.recheck()
}

// ladderHealed closes a half-open breaker.
func (e *Engine) ladderHealed(i *inc) {
	if b := &i.w.breaker; b.half && b.trial == i {
		*b = breaker{}
		e.touchWatch(i.w)
		e.recheck()
	}
}
