package outbox

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
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

	last    escalate.Notification // what was said last
	lastAt  time.Duration
	version uint64 // of last

	// The delays of the levels are read off a clock that starts with the first
	// Trigger or Update and stands still while the entry is paused: when that
	// ends, the rest of a delay is still to come.
	started bool
	began   time.Duration // when it started
	base    time.Duration // began, plus all the time it stood still
	pauses
	closed bool
	people bool // people are to be told; else it is only informed of
	lost   bool // nobody could be reached, and nobody is left to try
	lostAt time.Duration

	// What else an entry can be.
	group  *group
	digest *digest
	once   bool // one try of one notification

	dirty    bool // its record is due
	recorded bool // the store has one
}

// A level is where a level of the plan stands.
type level struct {
	told     bool
	repeatAt time.Duration // on the entry's clock
}

// say makes n the newest word of e.
func (m *Machine) say(e *entry, n escalate.Notification) {
	e.last, e.lastAt = n, m.now
	e.version++
	m.touch(e)
}

func (e *entry) severity() detect.Severity { return e.last.Incident.Finding.Severity }

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
	m.say(e, n)
	if n.Kind != escalate.Ask && !e.started {
		e.started = true
		e.began, e.base, e.stoodAt = m.now, m.now, m.now
	}
	m.hush(e)
	if e.silent() {
		if e.held == nil || *e.held == escalate.Ask {
			kind := n.Kind
			e.held = &kind
		}
	} else {
		if n.Kind != escalate.Ask {
			e.held = nil // this says it
		}
		m.loosen(e)
		m.tell(e, n.Kind)
		m.advance(e) // a new plan may have levels that are due
	}
	m.informAll(e, n.Kind, e.plan.Inform)
	m.reassess(e)
	m.schedule(e)
}

// open makes e as good as new; what is still owed of its earlier life stays.
func (e *entry) open(muted bool) {
	e.closed, e.started, e.pauses = false, false, pauses{muted: muted}
	clear(e.levels)
}

func (m *Machine) refresh(in Refresh) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed {
		return
	}
	e.last.Incident = in.Incident
	e.version++
	m.touch(e)
	m.hush(e)
	m.loosen(e)
	m.schedule(e)
}

// turn is an entry's timer.
func (m *Machine) turn(e *entry) {
	switch {
	case e.group != nil:
		m.turnGroup(e)
		return
	case e.digest != nil:
		m.turnDigest(e)
		return
	}
	if e.acked && e.ackEnds && m.now >= e.ackUntil {
		m.change(e, func() { e.acked = false })
		m.emit(Reopened{DedupKey: e.key, By: e.ackBy, Incident: e.last.Incident})
		e.ranOut = ranOut("acknowledgement", e.ackBy)
	}
	if e.snoozed && m.now >= e.snoozeUntil {
		m.change(e, func() { e.snoozed = false })
		e.ranOut = ranOut("snooze", e.snoozeBy)
	}
	m.hush(e)
	m.loosen(e)
	m.advance(e)
	m.reassess(e)
	m.schedule(e)
}

func (m *Machine) resolve(in Resolve) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed {
		return
	}
	m.hush(e)
	if !m.stopped {
		m.digestOf(e, in)
	}
	m.say(e, escalate.Notification{DedupKey: in.DedupKey, Incident: in.Incident, At: in.At})
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
	if mutant(mutResolveLost) {
		people = nil
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
	m.reassess(e)
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
	m.say(e, n)
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

// once makes an entry that is gone after one try.
func (m *Machine) once(in Once) {
	if m.stopped {
		m.emit(Done{Target: in.Target, Notification: in.Notification, Err: ErrStopped})
		return
	}
	n := in.Notification
	n.ID = m.id()
	e := &entry{key: "once\x00" + n.ID, once: true, closed: true, people: true, last: n, lastAt: m.now}
	m.entries[e.key] = e
	e.timer.entry = e
	l := m.lane(e, in.Target)
	l.within = in.Within
	m.queue(l, &item{n: n, owed: m.now, inform: true})
	m.kick(l)
	m.forget(e)
}
