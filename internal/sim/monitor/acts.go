package monitor

import (
	"cmp"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// rounding is how much a moment may be off that was kept across a life: the
// engine's time has whole microseconds.
const rounding = 10 * time.Microsecond

// endsWithin is how long after the end of a call its attempt must go on or be
// over: the longest pause between tries, and time to take it in.
const endsWithin = time.Minute + 15*time.Second

// A Call is an act that is under way.
type Call call

// Begin is when an action is called.
func (q *Machine) Begin(at time.Duration, a Act) *Call {
	x := (*machine)(q)
	c := &call{act: a, began: at}
	res := resource{a.Watch, a.Key}
	s := x.step(&a)
	w := x.m.watches[a.Watch]
	var bad findings
	for other := range x.calls {
		if (resource{other.act.Watch, other.act.Key}) == res {
			bad.add(OneAtATime, "machine %d: %v of %s on %v begins, and %v of %s still runs", x.n, a.Phase, s.Name, res, other.act.Phase, x.step(&other.act).Name)
		}
		group := w.Playbook.Limits.Exclusive
		if group != "" && a.Phase == remediate.Run && other.act.Phase == remediate.Run && x.m.watches[other.act.Watch].Playbook.Limits.Exclusive == group {
			bad.add(OneAtATime, "machine %d: %s on %v begins, and %s has %s, which only one may have", x.n, s.Name, res, other.act.Watch, group)
		}
	}
	x.brokenIn(bad)
	x.calls[c] = true
	if a.Phase == remediate.Verify {
		return (*Call)(c)
	}
	if x.halt.on {
		which := Stopped
		if x.halt.before {
			which = StopSurvives
		}
		x.broken(which, "machine %d: %v of %s on %v begins, and %s has halted all healing", x.n, a.Phase, s.Name, res, x.halt.by)
	}
	l := x.ladder(a.Incident, res)
	if a.Phase == remediate.Undo {
		x.beginUndo(&a, s, res)
	} else {
		x.beginRun(at, &a, s, res, l)
	}
	return (*Call)(c)
}

func (x *machine) beginUndo(a *Act, s *remediate.Step, res resource) {
	u := x.undos[undoKey{a.Incident, a.Attempt}]
	if u == nil {
		return // owed since its attempt was decided, and the process died before that began
	}
	if u.done || u.returned {
		x.broken(Bounded, "machine %d: %s on %v is put back once more", x.n, s.Name, res)
	}
}

func (x *machine) beginRun(at time.Duration, a *Act, s *remediate.Step, res resource, l *ladder) {
	above := s.Risk.AboveSafe()
	l.due = 0
	if x.silenced(res, at) {
		which := Stopped
		if x.silencedBefore(res, at) {
			which = StopSurvives
		}
		x.broken(which, "machine %d: %s on %v begins, and somebody has silenced that", x.n, s.Name, res)
	}
	if x.degraded {
		l.loose = true
	} else if a.Mark > x.durable {
		x.broken(RecordedFirst, "machine %d: %s on %v begins, and its record is not on the disk", x.n, s.Name, res)
	}
	if a.Try > 1 {
		if a.Attempt != l.attempt || a.Step != l.step || a.Try != l.try+1 || l.crashed {
			x.broken(Bounded, "machine %d: %s on %v is tried again (try %d of attempt %d), and that attempt was over", x.n, s.Name, res, a.Try, a.Attempt)
		}
		if seen := x.look(a.Watch); seen.handed < a.Decided {
			if _, known := seen.sees(a.Key); !known && !l.unwell {
				x.broken(ClaimsAreTrue, "machine %d: %s on %v is tried again, and its detector cannot see", x.n, s.Name, res)
			}
		}
		l.try, l.running = a.Try, true
		return
	}
	if a.Step <= l.step || a.Attempt <= l.attempt {
		x.broken(Bounded, "machine %d: %s on %v is climbed again in incident %s (attempt %d), and was before (attempt %d)", x.n, s.Name, res, a.Incident, a.Attempt, l.attempt)
	}
	if l.started != a.Attempt {
		x.broken(Bounded, "machine %d: %s on %v begins as attempt %d, which was not said to start", x.n, s.Name, res, a.Attempt)
	}
	l.step, l.attempt, l.try, l.running, l.crashed, l.began = a.Step, a.Attempt, 1, true, false, a.Decided
	if above {
		x.permit(a, s, res)
	}
	if s.Undo != nil {
		x.undos[undoKey{a.Incident, a.Attempt}] = &undo{watch: a.Watch, key: a.Key, step: a.Step, self: s.Scope == remediate.Self}
	}
}

// permit counts what steps above Safe share.
func (x *machine) permit(a *Act, s *remediate.Step, res resource) {
	if x.m.cfg.MaxConcurrent > 0 && len(x.permits) >= x.m.cfg.MaxConcurrent {
		x.broken(OneAtATime, "machine %d: %s on %v begins, and %d of %d that may run at once run", x.n, s.Name, res, len(x.permits), x.m.cfg.MaxConcurrent)
	}
	x.permits[a.Incident] = true
	x.budget = append(x.budget, fact{a.Decided, a.Mark})
	slices.SortStableFunc(x.budget, func(a, b fact) int { return cmp.Compare(a.at, b.at) }) // they begin in another order than they are decided
	for i, last := range x.budget {
		n := 0
		for _, f := range x.budget[:i+1] {
			if f.at+x.m.cfg.BudgetWindow > last.at+rounding {
				n++
			}
		}
		if n > x.m.cfg.Budget {
			x.broken(Bounded, "machine %d: %s on %v makes %d steps above safe within %v, and %d may be", x.n, s.Name, res, n, x.m.cfg.BudgetWindow, x.m.cfg.Budget)
		}
	}
	for len(x.budget) > 0 && x.budget[0].at+2*x.m.cfg.BudgetWindow < a.Decided {
		x.budget = x.budget[1:]
	}
}

// GivenUp is when the supervisor no longer waits for a call, which goes on.
func (q *Machine) GivenUp(at time.Duration, c *Call) {
	x := (*machine)(q)
	c.given = max(at, 1)
	if c.act.Phase == remediate.Run {
		x.follows(at, c.act.Incident)
	}
}

// End is when a call returns.
func (q *Machine) End(at time.Duration, c *Call, r Result) {
	x := (*machine)(q)
	delete(x.calls, (*call)(c))
	a := &c.act
	switch l := x.ladders[a.Incident]; {
	case a.Phase == remediate.Undo:
		if u := x.undos[undoKey{a.Incident, a.Attempt}]; u != nil && r == incident.OK && c.given == 0 {
			u.returned = true
		}
	case a.Phase == remediate.Verify && l != nil:
		l.unwell = r != incident.OK && r != incident.Skip
	case c.given > 0 || l == nil:
	case r == incident.OK:
		l.ranEnd, l.ranOK = at, true
	default:
		if r == incident.Skip && a.Try == 1 {
			delete(x.undos, undoKey{a.Incident, a.Attempt})
		}
		l.ranOK = false
		x.follows(at, a.Incident)
	}
}

// follows notes that something must follow the end of a call.
func (x *machine) follows(at time.Duration, id string) {
	if l := x.ladders[id]; l != nil && l.running {
		l.due = at + endsWithin
	}
}
