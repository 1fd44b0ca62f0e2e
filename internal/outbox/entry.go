package outbox

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// An entry is what is known of one dedup key, from the first telling until the
// last resolve is delivered.
type entry struct {
	timer
	key    string
	plan   Plan
	levels []level
	lanes  []*lane // in the order in which their targets were first handed something

	last   escalate.Notification // what was said last
	lastAt time.Duration

	// The delays of the levels are read off a clock that starts with the first
	// Trigger or Update and stands still while the entry is acknowledged or
	// muted: when that ends, the rest of a delay is still to come.
	started  bool
	began    time.Duration // when it started
	base     time.Duration // began, plus all the time it stood still
	stoodAt  time.Duration // since when it stands still
	acked    bool
	ackBy    string
	ackUntil time.Duration // 0 means until resolved
	muted    bool
	held     *escalate.Kind // what was to be told while muted
	ranOut   string         // who acknowledged what ran out while muted
	closed   bool
	people   bool // people are to be told; else it is only informed of
}

// A level is where a level of the plan stands.
type level struct {
	told     bool
	repeatAt time.Duration // on the entry's clock
}

func (e *entry) paused() bool { return e.acked || e.muted }

func (e *entry) clock(now time.Duration) time.Duration {
	if e.paused() {
		now = e.stoodAt
	}
	return now - e.base
}

// change sets what pauses an entry and lets its clock stand or go on.
func (m *Machine) change(e *entry, set func()) {
	was := e.paused()
	set()
	switch is := e.paused(); {
	case is && !was:
		e.stoodAt = m.now
	case was && !is:
		e.base += m.now - e.stoodAt
	}
}

func (m *Machine) escalate(in Escalate) {
	n := in.Notification
	if n.Kind == escalate.Resolve {
		m.resolve(Resolve{DedupKey: n.DedupKey, Incident: n.Incident, At: n.At})
		return
	}
	if m.stopped {
		m.refuse(n, ErrStopped)
		return
	}
	old := m.entries[n.DedupKey]
	if in.Plan.empty() && (old == nil || old.plan.empty()) {
		m.refuse(n, ErrNobody)
		return
	}
	e := m.entry(n, true)
	if e == nil {
		return
	}
	if old == nil || e.closed {
		e.open(in.Muted)
	}
	m.replan(e, in.Plan)
	e.last, e.lastAt = n, m.now
	if n.Kind != escalate.Ask && !e.started {
		e.started = true
		e.began, e.base, e.stoodAt = m.now, m.now, m.now
	}
	if e.muted {
		if e.held == nil || *e.held == escalate.Ask {
			kind := n.Kind
			e.held = &kind
		}
	} else {
		m.tell(e, n.Kind)
		m.advance(e) // a new plan may have levels that are due
	}
	m.informAll(e, n.Kind, e.plan.Inform)
	m.schedule(e)
}

// open makes e as good as new; what is still owed of its earlier life stays.
func (e *entry) open(muted bool) {
	e.closed, e.started, e.acked, e.muted = false, false, false, muted
	e.held, e.ranOut = nil, ""
	clear(e.levels)
}

// turn is an entry's timer.
func (m *Machine) turn(e *entry) {
	if e.acked && e.ackUntil > 0 && m.now >= e.ackUntil {
		m.change(e, func() { e.acked = false })
		m.emit(Reopened{DedupKey: e.key, By: e.ackBy, Incident: e.last.Incident})
		if e.muted {
			e.ranOut = e.ackBy
		} else {
			m.again(e, e.ackBy)
		}
	}
	m.advance(e)
	m.schedule(e)
}

func (m *Machine) ack(in Ack) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed || in.For < 0 || !slices.ContainsFunc(e.lanes, func(l *lane) bool { return l.people }) {
		return
	}
	m.change(e, func() {
		e.acked, e.ackBy, e.ackUntil, e.ranOut = true, in.By, 0, ""
		if in.For > 0 {
			e.ackUntil = plus(m.now, in.For)
		}
	})
	m.schedule(e)
}

func (m *Machine) mute(key string) {
	if e := m.entries[key]; e != nil && !e.closed {
		m.change(e, func() { e.muted = true })
		m.schedule(e)
	}
}

func (m *Machine) unmute(key string) {
	e := m.entries[key]
	if e == nil || e.closed || !e.muted {
		return
	}
	m.change(e, func() { e.muted = false })
	if by := e.ranOut; by != "" && !e.acked {
		e.ranOut = ""
		m.again(e, by)
	}
	if kind := e.held; kind != nil {
		e.held = nil
		m.tell(e, *kind)
	}
	m.advance(e)
	m.schedule(e)
}

func (m *Machine) resolve(in Resolve) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed {
		return
	}
	e.last = escalate.Notification{DedupKey: in.DedupKey, Incident: in.Incident, At: in.At}
	e.lastAt = m.now
	e.closed = true
	var people, informed []string
	for _, l := range e.lanes {
		switch {
		case l.people:
			people = append(people, l.target.name)
		case l.informed:
			informed = append(informed, l.target.name)
		}
	}
	if m.stopped {
		if len(people)+len(informed) > 0 {
			e.last.Kind = escalate.Resolve
			m.refuse(e.last, ErrStopped)
		}
	} else {
		m.handAll(e, people, handing{kind: escalate.Resolve, level: e.reached()})
		m.handAll(e, informed, handing{kind: escalate.Resolve})
	}
	m.schedule(e)
	m.forget(e)
}

func (m *Machine) inform(in Inform) {
	n := in.Notification
	if m.stopped {
		m.refuse(n, ErrStopped)
		return
	}
	if len(in.To) == 0 {
		return
	}
	e := m.entry(n, false)
	if e == nil {
		return
	}
	if e.closed && n.Kind != escalate.Resolve {
		e.open(false)
	}
	e.last, e.lastAt = n, m.now
	to := in.To
	if n.Kind == escalate.Resolve {
		// Whoever was called is told by Resolve.
		to = slices.DeleteFunc(slices.Clone(to), func(name string) bool {
			return slices.ContainsFunc(e.lanes, func(l *lane) bool { return l.people && l.target.name == name })
		})
	}
	m.informAll(e, n.Kind, to)
	open := func(l *lane) bool { return l.people || l.informed }
	if n.Kind == escalate.Resolve && !e.started && !slices.ContainsFunc(e.lanes, open) {
		e.closed = true
		m.schedule(e)
	}
	m.forget(e)
}

func (m *Machine) informAll(e *entry, kind escalate.Kind, to []string) {
	m.handAll(e, to, handing{kind: kind})
}
