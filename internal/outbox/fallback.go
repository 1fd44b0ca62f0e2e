package outbox

import (
	"math"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// blame keeps what a failure says about its target, not about what was sent: a
// target that refuses, or asks to be left alone, answers.
func (m *Machine) blame(l *lane, in Failed) {
	t := l.target
	if in.RetryAfter > 0 {
		t.until = max(t.until, plus(m.now, in.RetryAfter))
		return
	}
	if in.Permanent {
		return
	}
	t.fails++
	if m.opt.Breaker == 0 || t.fails < m.opt.Breaker {
		return
	}
	t.probe = plus(m.now, m.backoff(l.queue[0].n.ID, t.name, t.fails))
	if m.draining {
		t.probe = m.now
	}
	if t.open {
		return
	}
	t.open, t.openAt = true, m.now
	m.emit(Down{Target: t.name, Err: in.Err})
	m.toward(t, m.fall)
}

// up closes the breaker of a target that has taken something. It says whether
// there may be something that it missed.
func (m *Machine) up(t *target) bool {
	missed := t.open || t.refused > 0
	t.fails, t.refused, t.last = 0, 0, nil
	if t.open {
		t.open = false
		m.emit(Up{Target: t.name, After: m.now - t.openAt})
	}
	return missed
}

// revive tries at once what waits for a target that is back, and tells it of
// what nobody could be told of.
func (m *Machine) revive(t *target) {
	m.toward(t, func(l *lane) {
		e := l.entry
		switch {
		case len(l.queue) > 0:
			l.pause = 0
			m.kick(l)
		case e.closed || e.once || m.stopped:
		case e.group != nil && l.people && l.calls == 0:
			e.group.told, e.group.next = false, m.now
			m.turnGroup(e)
		case e.lost && l.group == nil && l.failed != "" && m.now < plus(e.lostAt, m.opt.MaxAge) && !e.paused():
			m.handAll(e, []string{t.name}, handing{kind: escalate.Trigger, level: e.reached(), note: "it could not be delivered before"})
			m.schedule(e)
		}
	})
}

// doubt says why a call is not likely to arrive soon; "" when it may.
func (m *Machine) doubt(l *lane, it *item) string {
	after := l.entry.plan.Fallback
	switch {
	case l.target.open, l.target.stuck && m.opt.Breaker > 0:
		return "it does not answer"
	case after > 0 && m.now >= plus(it.owed, after):
		return "it has not taken it for " + round(m.now-it.owed)
	}
	return ""
}

// calling is the call in a lane in whose place somebody else may be told.
func (l *lane) calling() *item {
	if e := l.entry; !e.started || e.closed || e.once || e.paused() {
		return nil
	}
	for _, it := range l.queue {
		if !it.inform && !it.fell && it.n.Kind == escalate.Trigger {
			return it
		}
	}
	return nil
}

// fallAt is when the age of a call is a reason to tell somebody else.
func (m *Machine) fallAt(l *lane) time.Duration {
	if it, after := l.calling(), l.entry.plan.Fallback; it != nil && after > 0 && plus(it.owed, after) > m.now {
		return plus(it.owed, after)
	}
	return math.MaxInt64
}

// fall tells somebody else in the place of a target that does not take a call.
// The call stays owed: it is tried until it is too old.
func (m *Machine) fall(l *lane) {
	it := l.calling()
	if it == nil || m.stopped {
		return
	}
	why := m.doubt(l, it)
	if why == "" {
		return
	}
	it.fell = true
	m.touch(l.entry)
	if l.entry.group == nil {
		m.sayFallback(l, why)
	}
	m.fallBack(l, why)
}

// sayFallback says who will be told in the place of l.
func (m *Machine) sayFallback(l *lane, why string) {
	e := l.entry
	f := Fallback{DedupKey: e.key, Target: l.target.name, Why: why, Incident: e.last.Incident}
	if other := m.stead(l); other != nil {
		f.Instead = other.target.name
	} else if f.Level = m.untold(e); f.Level == 0 {
		f.Lost = e.hopeless(l)
	}
	m.emit(f)
}

// fallBack tells somebody else. What a grouped notice could not tell, each of
// its members has to.
func (m *Machine) fallBack(l *lane, why string) {
	l.failed = l.target.name + " could not be reached"
	if why != "" {
		l.failed += ": " + why
	}
	g := l.entry.group
	if g == nil {
		m.instead(l)
		return
	}
	for _, member := range g.sorted() {
		if !member.people {
			continue
		}
		m.sayFallback(member, why)
		member.failed = l.failed
		m.instead(member)
	}
}

func (m *Machine) instead(l *lane) {
	e := l.entry
	m.touch(e)
	if e.started && !e.closed && !e.paused() && !m.stopped {
		if other := m.stead(l); other != nil {
			m.speak(other, e.failures())
		} else if i := m.untold(e); i > 0 {
			m.level(e, i-1, e.failures())
			m.schedule(e)
		}
	}
	m.reassess(e)
}

// failures names everybody who could not be reached.
func (e *entry) failures() string {
	var all []string
	for _, l := range e.lanes {
		if l.people {
			all = append(all, l.failed)
		}
	}
	return sentence(all...)
}

// nextLevel is the level that is told when l gives its call up, from 1; 0 when
// it is somebody else of the same level, or nobody.
func (m *Machine) nextLevel(l *lane) int {
	if e := l.entry; e.group != nil || !e.started || e.closed || e.paused() || m.stead(l) != nil {
		return 0
	}
	return m.untold(l.entry)
}

// untold is the first level that is not told yet and has somebody to tell, from
// 1; 0 when there is none.
func (m *Machine) untold(e *entry) int {
	for i, l := range e.levels {
		if !l.told && len(e.plan.Levels[i].To) > 0 && e.concerns(i) {
			return i + 1
		}
	}
	return 0
}

// stead is the next target of a level of l's target that knows of it, or will.
func (m *Machine) stead(l *lane) *lane {
	e := l.entry
	for i, level := range e.plan.Levels {
		at := slices.Index(level.To, l.target.name)
		if at < 0 || !e.levels[i].told {
			continue
		}
		for n := 1; n < len(level.To); n++ {
			other := level.To[(at+n)%len(level.To)]
			for _, x := range e.lanes {
				if x != l && x.target.name == other && x.hopeful() {
					return x
				}
			}
		}
	}
	return nil
}

// hopeful says that somebody knows of it, or is likely to.
func (l *lane) hopeful() bool {
	return l.people && l.calls > 0 && l.failed == "" && (l.reached() || !l.target.open)
}

// speak lets a target know who could not be reached.
func (m *Machine) speak(l *lane, note string) {
	for _, it := range l.queue {
		if !it.inform && it.n.Kind == escalate.Trigger && !it.tried {
			it.n.Note = sentence(note, it.n.Note)
			m.touch(l.entry)
			return
		}
	}
	m.handAll(l.entry, []string{l.target.name}, handing{kind: escalate.Update, level: l.entry.reached(), note: note, also: true})
}

// hopeless says that nobody is left who knows of e, or is likely to, but l.
func (e *entry) hopeless(l *lane) bool {
	return !slices.ContainsFunc(e.lanes, func(x *lane) bool {
		return x != l && x.people && (x.reached() || x.hopeful())
	})
}

// reassess keeps whether anybody can be reached at all.
func (m *Machine) reassess(e *entry) {
	if e.group != nil || e.digest != nil || e.once {
		return
	}
	failed := slices.ContainsFunc(e.lanes, func(l *lane) bool { return l.people && l.failed != "" && !l.reached() })
	lost := failed && e.started && !e.closed && !e.acked && m.untold(e) == 0 && e.hopeless(nil)
	if lost == e.lost {
		return
	}
	e.lost = lost
	if lost {
		e.lostAt = m.now
	}
	m.touch(e)
}

// reaches takes in that a target has something.
func (m *Machine) reaches(l *lane) {
	l.failed = ""
	if g := l.entry.group; g != nil && l.delivered {
		g.known = g.saying
		for _, member := range g.sorted() {
			if member.joined <= g.known {
				member.failed = ""
				m.touch(member.entry)
				m.reassess(member.entry)
			}
		}
	}
	m.reassess(l.entry)
}
