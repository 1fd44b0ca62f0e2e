package outbox

import (
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// storm is what a target remembers of the new keys that it was called for. The
// first two within a minute are told at once. Those that follow are gathered for
// an instant: where they are more than Options.Storm together, they are a storm,
// and one notice tells of all that were gathered; else each is told by itself.
// So 1,000 incidents of one instant are three notices.
type storm struct {
	passed   []time.Duration // when it was called for one by itself, within a minute
	gathered []*lane         // that wait until siftAt
	siftAt   time.Duration
	group    *entry        // open, and taking in what comes
	joinedAt time.Duration // when something last did
	said     bool          // a grouped notice was handed, last at
	saidAt   time.Duration
}

const (
	stormPass   = 2
	stormWithin = time.Minute
	stormGather = 500 * time.Millisecond
)

// groups says whether the first call of a lane may be part of a grouped notice:
// not where the target may know of it under its own key.
func (m *Machine) groups(l *lane) bool {
	e := l.entry
	return m.opt.Storm > 0 && !m.draining && e.group == nil && !l.tried && !l.own && len(l.queue) == 0
}

// storming says whether the group of t takes in what comes without asking.
func (m *Machine) storming(t *target) bool {
	return t.group != nil && m.now < plus(t.joinedAt, stormWithin)
}

// gather lets a first call pass, or wait for whether it is grouped.
func (m *Machine) gather(l *lane) {
	t := l.target
	for len(t.passed) > 0 && plus(t.passed[0], stormWithin) <= m.now {
		t.passed = t.passed[1:]
	}
	if len(t.gathered) == 0 && len(t.passed) < min(stormPass, m.opt.Storm) {
		t.passed = append(t.passed, m.now)
		return
	}
	if len(t.gathered) == 0 {
		t.siftAt = plus(m.now, stormGather)
	}
	l.gathered = true
	t.gathered = append(t.gathered, l)
}

// sift decides what becomes of those that were gathered.
func (m *Machine) sift(t *target) {
	lanes := t.gathered
	t.gathered = nil
	for _, l := range lanes {
		l.gathered = false
	}
	switch {
	case len(lanes) == 0:
		return
	case len(t.passed)+len(lanes) <= m.opt.Storm:
		for range lanes {
			t.passed = append(t.passed, m.now)
		}
	default:
		g := m.stormGroup(t)
		for _, l := range lanes {
			m.absorb(g, l)
		}
		if len(g.members) == 0 {
			m.endGroup(g)
		} else {
			m.turnGroup(g.entry)
		}
	}
	for _, l := range lanes {
		m.kick(l)
		m.forget(l.entry)
	}
}

// stormGroup is the open group of t, or a new one.
func (m *Machine) stormGroup(t *target) *group {
	if t.group != nil {
		return t.group.group
	}
	e := m.newEntry(m.id()+"g", true)
	e.started, e.began, e.base = true, m.now, m.now
	e.group = &group{entry: e, members: map[*lane]struct{}{}, every: stormWithin, next: m.now}
	if t.said {
		e.group.next = max(m.now, plus(t.saidAt, stormWithin))
	}
	m.lane(e, t.name)
	t.group = e
	return e.group
}

// absorb takes what a lane owes into a group: all but a question, which only
// its own notice can ask.
func (m *Machine) absorb(g *group, l *lane) {
	kept := l.queue[:0]
	for _, it := range l.queue {
		if it.n.Kind == escalate.Ask {
			kept = append(kept, it)
			continue
		}
		m.stats.Owed--
		g.note(it.n.Note)
		g.paged(!it.inform, l.entry)
		m.stats.Grouped++
		m.emit(Grouped{ID: it.n.ID, DedupKey: l.entry.key, Target: l.target.name, Group: g.entry.key})
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	l.own = len(kept) > 0
	m.member(g, l)
}

// member counts what a lane tells of, and keeps it until its resolve.
func (m *Machine) member(g *group, l *lane) {
	g.count++
	g.fresh = true
	g.began(l.entry)
	l.joined = g.count
	l.target.joinedAt = m.now
	if l.people || l.informed {
		l.group = g
		g.members[l] = struct{}{}
	}
	m.touch(g.entry)
	m.touch(l.entry)
}

// join takes a first call into the group of its target.
func (m *Machine) join(l *lane, n escalate.Notification, people bool) {
	g := l.target.group.group
	g.note(n.Note)
	g.paged(people, l.entry)
	m.member(g, l)
	m.stats.Grouped++
	m.emit(Grouped{ID: n.ID, DedupKey: l.entry.key, Target: l.target.name, Group: g.entry.key})
	m.scheduleGroup(g.entry)
}

// folded is what is handed to a lane of which a group tells.
func (m *Machine) folded(l *lane, n escalate.Notification) {
	g := l.group
	if n.Kind == escalate.Trigger && !g.again {
		g.again = true
		m.touch(g.entry)
	}
	m.stats.Grouped++
	m.emit(Grouped{ID: n.ID, DedupKey: l.entry.key, Target: l.target.name, Group: g.entry.key})
	m.scheduleGroup(g.entry)
}

// news says whether an update of what a group tells of is worth an update of
// the group.
func (m *Machine) news(l *lane, note string) bool {
	g := l.group
	worse := l.entry.severity() > g.worst
	if note == "" && !worse {
		return false
	}
	g.note(note)
	g.fresh = true
	m.touch(g.entry)
	return true
}

// part ends what a group tells of a lane, and the group with the last of them.
func (m *Machine) part(l *lane) {
	g := l.group
	if g == nil {
		return
	}
	l.group = nil
	delete(g.members, l)
	m.touch(g.entry)
	if len(g.members) == 0 {
		m.endGroup(g)
	}
}
