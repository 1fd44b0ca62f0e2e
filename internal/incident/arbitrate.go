package incident

import (
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// competes is what i has to share with others.
func (e *Engine) competes(i *inc, s *remediate.Step) (remediate.Rail, string, At) {
	if len(i.mem.abandoned) > 0 && !mutant(mutAbandoned) {
		return remediate.RailExclusive, "a call that ignored its context still runs for this key", never
	}
	m := e.measures[s.Measure]
	if s.Measure != "" && m != nil {
		return "", "", never // it is joined: nothing runs
	}
	if x := i.w.Playbook.Limits.Exclusive; x != "" && e.exclusive[x] != nil && !mutant(mutExclusive) {
		c := e.exclusive[x]
		return remediate.RailExclusive, x + " is held by " + c.watch + "[" + c.key + "]", never
	}
	if !s.Risk.AboveSafe() {
		return "", "", never
	}
	if !mutant(mutConcurrency) {
		if n := e.o.MaxConcurrent; n > 0 && len(e.running)+e.reserved >= n {
			return remediate.RailConcurrency, "as many steps above safe run as may", never
		}
		if e.othersLadder(i) || e.storm.after && e.reserved > 0 {
			return remediate.RailConcurrency, "after a storm there is one ladder at a time", never
		}
	}
	if e.o.Budget > 0 && !mutant(mutBudget) {
		e.trimBudget()
		if len(e.budget) >= e.o.Budget {
			return remediate.RailBudget, "as many steps above safe ran lately as may", e.budget[0] + e.o.BudgetWindow
		}
	}
	return "", "", never
}

func (e *Engine) trimBudget() {
	n := 0
	for n < len(e.budget) && e.budget[n]+e.o.BudgetWindow <= e.now {
		n++
	}
	e.budget = slices.Delete(e.budget, 0, n)
}

// Arbitrate starts what competes, in the order of priority: critical first,
// then the oldest, then by name. The shell calls it once everything of this
// instant has been taken in.
func (e *Engine) Arbitrate(now At) []Decision {
	e.begin(now)
	for e.dirty {
		e.dirty = false
		e.stormWeigh()
		e.reserved = 0
		slices.SortFunc(e.waiting, before)
		e.scratch = append(e.scratch[:0], e.waiting...)
		for _, i := range e.scratch {
			if i.inWaiting && i.phase == waiting {
				e.tryStart(i)
				e.rearm(i)
			}
		}
		e.stormDrained()
	}
	clear(e.scratch)
	return e.out
}

func before(a, b *inc) int {
	if a.finding.Severity != b.finding.Severity {
		if a.finding.Severity == detect.Critical {
			return -1
		}
		return 1
	}
	switch {
	case a.opened != b.opened && a.opened < b.opened:
		return -1
	case a.opened != b.opened:
		return 1
	}
	if c := strings.Compare(a.w.Name, b.w.Name); c != 0 {
		return c
	}
	return strings.Compare(a.key, b.key)
}

// reserve keeps a permit for i while its fresh look is under way, so that those
// behind it do not overtake; not for ever, since the look may hang.
func (e *Engine) reserve(i *inc) {
	if s := i.step(); s != nil && s.Risk.AboveSafe() && e.now-i.fresh < reserveFor && e.now >= i.fresh {
		e.reserved++
	}
}
