package outbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

func (m *Machine) replan(e *entry, p Plan) {
	if p.empty() {
		return
	}
	if p.Repeat != e.plan.Repeat {
		for i := range e.levels {
			e.levels[i].repeatAt = plus(e.clock(m.now), p.Repeat)
		}
	}
	e.plan = p
	for len(e.levels) < len(p.Levels) {
		e.levels = append(e.levels, level{})
	}
	e.levels = e.levels[:len(p.Levels)]
}

// concerns says whether level i is told of an incident as severe as e.
func (e *entry) concerns(i int) bool { return e.severity() >= e.plan.Levels[i].Min }

// reached is the highest level that was told, from 1, and at least 1.
func (e *entry) reached() int {
	for i := len(e.levels) - 1; i > 0; i-- {
		if e.levels[i].told {
			return i + 1
		}
	}
	return 1
}

// tell hands the newest word to people.
func (m *Machine) tell(e *entry, kind escalate.Kind) {
	if kind == escalate.Ask {
		for i, l := range e.plan.Levels {
			if e.concerns(i) {
				m.handAll(e, l.To, handing{kind: kind, level: i + 1})
				return
			}
		}
		return
	}
	m.advance(e)
	var first, more []string
	if !e.paused() {
		for i, l := range e.plan.Levels {
			if e.levels[i].told {
				first = append(first, l.To...)
			}
		}
		first = slices.DeleteFunc(first, func(name string) bool { return e.calls(name) > 0 })
	}
	for _, l := range e.lanes {
		switch {
		case !l.people:
		case l.calls > 0:
			more = append(more, l.target.name)
		default: // was asked, and not yet called
			first = append(first, l.target.name)
		}
	}
	m.handAll(e, first, handing{kind: escalate.Trigger, level: e.reached()})
	m.handAll(e, more, handing{kind: escalate.Update, level: e.reached()})
}

func (e *entry) calls(name string) int {
	for _, l := range e.lanes {
		if l.target.name == name && l.people {
			return l.calls
		}
	}
	return 0
}

// advance tells the levels that are due.
func (m *Machine) advance(e *entry) {
	if !e.started || e.paused() || e.closed {
		return
	}
	at := e.clock(m.now)
	for i := range e.levels {
		if !e.concerns(i) {
			continue
		}
		switch l := &e.levels[i]; {
		case !l.told && at >= e.plan.Levels[i].After:
			note := ""
			if i > 0 && e.taken() {
				note = "nobody acknowledged it for " + round(at)
			}
			m.level(e, i, note)
		case l.told && e.plan.Repeat > 0 && at >= l.repeatAt:
			m.level(e, i, "")
		}
	}
}

func (m *Machine) level(e *entry, i int, note string) {
	e.levels[i] = level{told: true, repeatAt: plus(e.clock(m.now), e.plan.Repeat)}
	m.touch(e)
	m.handAll(e, e.plan.Levels[i].To, handing{kind: escalate.Trigger, level: i + 1, note: note})
}

// again tells the levels that were reached before a pause.
func (m *Machine) again(e *entry, note string) {
	for i, l := range e.levels {
		if l.told {
			m.level(e, i, note)
		}
	}
}

// schedule sets the timer of e to the next thing that time alone brings.
func (m *Machine) schedule(e *entry) {
	switch {
	case e.group != nil:
		m.scheduleGroup(e)
		return
	case e.digest != nil:
		m.scheduleDigest(e)
		return
	}
	next, some := time.Duration(0), false
	at := func(t time.Duration) {
		if !some || t < next {
			next, some = t, true
		}
	}
	if !e.closed && !m.draining {
		if e.acked && e.ackEnds {
			at(e.ackUntil)
		}
		if e.snoozed {
			at(e.snoozeUntil)
		}
		if e.quiet {
			at(min(e.quietUntil, m.now+clockCheck))
		}
		if e.started && !e.paused() {
			for i, l := range e.levels {
				if !e.concerns(i) {
					continue
				}
				if !l.told {
					at(plus(e.base, e.plan.Levels[i].After))
				} else if e.plan.Repeat > 0 {
					at(plus(e.base, l.repeatAt))
				}
			}
		}
	}
	if some {
		m.timers.set(&e.timer, next)
	} else {
		m.timers.unset(&e.timer)
	}
}

func round(d time.Duration) string {
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	}
	return d.String()
}

// repeated says how long and how often.
func repeated(open time.Duration, before int) string {
	times := "once"
	if before > 1 {
		times = fmt.Sprintf("%d times", before)
	}
	return "open for " + round(open) + ", told " + times + " before"
}

func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}
