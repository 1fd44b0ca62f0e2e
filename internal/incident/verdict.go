package incident

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// verify is where the settle time is over: the next look gives the verdict.
func (e *Engine) verify(i *inc) {
	i.phase = verifying
	i.fresh = i.due
	i.looks = 0
	i.due = e.now + max(blindFor, blindChecks*i.w.Every)
	e.askLook(i.w)
}

// judgeFrom is when a look must have begun to count for the verdict.
func (i *inc) judgeFrom() At {
	if i.phase == settling {
		return i.due
	}
	return i.fresh
}

// judge gives the verdict on a rung from a look that could tell.
func (e *Engine) judge(i *inc) {
	s := i.step()
	if i.present {
		e.notHealed(i, s)
		return
	}
	if e.moved(i) {
		e.finish(i, remediate.Moved, nil)
		i.rung++
		e.clear(i)
		return
	}
	if s.Verify == nil {
		e.healed(i)
		return
	}
	if i.phase == settling {
		i.phase = verifying
		i.fresh = i.due
		i.looks = 0
		i.due = e.now + max(blindFor, blindChecks*i.w.Every)
	}
	i.asked = true
	e.do(Decision{Kind: DoVerify, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: i.rung, Attempt: i.number, Try: i.try, Finding: i.finding})
}

func (e *Engine) healed(i *inc) {
	i.healed = true
	e.finish(i, remediate.Healed, nil)
	i.rung++
	e.clear(i)
}

// moved says whether something of this watch fell sick since the rung began and
// is still there; what did inherits the cooldown.
func (e *Engine) moved(i *inc) bool {
	moved := false
	for _, j := range i.w.live {
		if j != i && j.present && j.found >= i.climb.began {
			moved = true
			if c := i.w.Playbook.Limits.Cooldown; c > 0 {
				j.mem.cooldown = max(j.mem.cooldown, e.now+c)
			}
		}
	}
	return moved
}

func (e *Engine) notHealed(i *inc, s *remediate.Step) {
	worse, how := e.worse(i)
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

// worse compares how far past its limit the value is with how far it was when
// the rung began, and how fast it grew with the minute before.
func (e *Engine) worse(i *inc) (bool, string) {
	if uint8(i.finding.Severity) > i.climb.severe {
		return true, fmt.Sprintf("severity rose from %v to %v", detect.Severity(i.climb.severe), i.finding.Severity)
	}
	f := &i.finding
	if f.Value == 0 && f.Limit == 0 {
		return false, ""
	}
	far := i.distance()
	during := (far - i.climb.far) / max(e.now-i.climb.began, time.Millisecond).Seconds()
	if far > 1.5*i.climb.far && during > i.climb.growth {
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
	switch {
	case i.w.removing || e.stopping:
		e.finish(i, remediate.Unverified, nil)
		e.leave(i)
	case in.Abandoned:
		e.abandon(i, i.number)
		fallthrough
	case in.Result == Skip:
		i.looks++
		i.fresh = e.now + i.w.Every // ask again at the watch's interval
	case in.Result == OK && i.known && !i.present:
		e.healed(i)
	default:
		// The detector is clear and the step's own verification is not: that
		// word stands for a finding until the next rung has been climbed.
		i.unwell = in.Result != OK
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

// samples are distances past the limit over the last minute or so, spaced so
// that few are enough.
type samples struct {
	n    int
	ring [14]sample
}

type sample struct {
	at  At
	far float64
}

const sampleEvery = 5 * time.Second

func (i *inc) sample(now At) {
	if !i.w.aboveSafe {
		return
	}
	s := &i.samples
	if s.n > 0 && now-s.ring[(s.n-1)%len(s.ring)].at < sampleEvery {
		return
	}
	s.ring[s.n%len(s.ring)] = sample{now, i.distance()}
	s.n++
}

// distance is how far past its limit the value is, whichever side that is.
func (i *inc) distance() float64 {
	d := i.finding.Value - i.finding.Limit
	if i.below {
		d = -d
	}
	return max(d, 0)
}

// growth is how fast the distance grew in the minute before now, a second.
func (s *samples) growth(now At, far float64) float64 {
	oldest := sample{now, far}
	for n := s.n - 1; n >= 0 && n >= s.n-len(s.ring); n-- {
		if x := s.ring[n%len(s.ring)]; now-x.at <= time.Minute {
			oldest = x
		}
	}
	if oldest.at == now {
		return 0
	}
	return (far - oldest.far) / (now - oldest.at).Seconds()
}
