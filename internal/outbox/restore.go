package outbox

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Restore takes in what earlier lives recorded, in the order in which they did,
// and appends what follows to out. It comes after Clock, and early: a key that
// this life knows already is left as it is. What was owed is owed under the same id, and tried at once; delays,
// acknowledgements and quiet hours went on while nobody was there.
func (m *Machine) Restore(now time.Duration, records []Record, out []Effect) []Effect {
	m.now = max(m.now, now)
	before := len(out)
	m.out = out
	m.telling++
	states := map[string]*Entry{}
	for _, r := range records {
		states[r.Key] = r.Entry
	}
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(states)), func(key string) bool { return states[key] == nil || m.entries[key] != nil })
	for _, key := range keys {
		m.revived(key, states[key])
	}
	for _, key := range keys {
		m.relink(m.entries[key], states[key])
	}
	m.resume(keys)
	m.record(before)
	out, m.out = m.out, nil
	return out
}

// revived makes an entry of its record.
func (m *Machine) revived(key string, s *Entry) {
	e := &entry{key: key, people: s.People, recorded: true}
	e.timer.entry = e
	m.entries[key] = e
	if !s.People {
		m.informed++
	}
	m.ids = max(m.ids, m.number(key))
	e.plan, e.last, e.lastAt, e.version = s.Plan, s.Last, m.since(s.LastAt), 1
	e.started, e.closed = s.Started, s.Closed
	e.began, e.base = m.since(s.Began), m.since(s.Base)
	e.lost, e.lostAt = !s.Lost.IsZero(), m.since(s.Lost)
	e.pauses = pauses{
		stoodAt: m.since(s.Stood), acked: s.Acked, ackBy: s.AckBy, ackEnds: !s.AckUntil.IsZero(), ackUntil: m.since(s.AckUntil),
		snoozed: s.Snoozed, snoozeBy: s.SnoozeBy, snoozeUntil: m.since(s.SnoozeUntil), snoozeAt: s.SnoozeAt,
		muted: s.Muted, quiet: s.Quiet, quietUntil: m.now, held: s.Held, ranOut: s.RanOut,
	}
	for _, l := range s.Levels {
		e.levels = append(e.levels, level{told: l.Told, repeatAt: l.RepeatAt})
	}
	for len(e.levels) < len(e.plan.Levels) {
		e.levels = append(e.levels, level{})
	}
	e.levels = e.levels[:len(e.plan.Levels)]
	for _, ls := range s.Lanes {
		l := m.lane(e, ls.Target)
		l.calls, l.people, l.informed, l.delivered, l.own = ls.Calls, ls.People, ls.Informed, ls.Delivered, ls.Own
		l.tried, l.failed, l.joined = ls.Tried, ls.Failed, ls.Joined
		for _, is := range ls.Owed {
			it := &item{n: is.Notification, owed: min(m.since(is.Owed), m.now), tried: is.Tried, inform: is.Inform, fell: is.Fell}
			if is.Same {
				it.n.Incident, it.version = e.last.Incident, e.version
			}
			m.ids = max(m.ids, m.number(it.n.ID))
			if mutant(mutNewID) {
				it.n.ID = m.id()
			}
			l.queue = append(l.queue, it)
			m.stats.Owed++
		}
	}
	if g := s.Group; g != nil {
		e.group = &group{
			entry: e, members: map[*lane]struct{}{}, count: g.Count, saying: g.Saying, known: g.Known, level: g.Level,
			worst: g.Worst, opened: g.Opened, service: g.Service, notes: g.Notes, told: g.Told, fresh: g.Fresh,
			again: g.Again, every: max(g.Every, stormWithin), next: m.since(g.Next),
		}
	}
	if s.Digest != nil {
		d := *s.Digest
		e.digest = &d
		if !e.closed {
			m.digests[d.Target] = e
		}
	}
}

// relink joins an entry to the grouped notices that tell of it.
func (m *Machine) relink(e *entry, s *Entry) {
	if e.group != nil && !e.closed && len(e.lanes) > 0 {
		e.lanes[0].target.group = e
	}
	for i, ls := range s.Lanes {
		l := e.lanes[i]
		if ls.Group == "" || e.closed {
			continue
		}
		if g := m.entries[ls.Group]; g != nil && g.group != nil && !g.closed {
			l.group = g.group
			g.group.members[l] = struct{}{}
			if l.joined > g.group.count {
				// The log ended before the group had taken it in.
				g.group.count, g.group.fresh = l.joined, true
				m.touch(g)
			}
			continue
		}
		// The log ended before there was a group, so nothing was sent: the target
		// is called anew.
		l.calls, l.joined, l.own = 0, 0, false
		m.touch(e)
	}
}

// resume sets timers and sends what is owed, the oldest first.
func (m *Machine) resume(keys []string) {
	var lanes []*lane
	for _, key := range keys {
		for _, l := range m.entries[key].lanes {
			if len(l.queue) > 0 {
				lanes = append(lanes, l)
			}
		}
	}
	slices.SortStableFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.queue[0].owed, b.queue[0].owed) })
	for _, l := range lanes {
		for _, it := range l.queue {
			m.seq++
			it.seq = m.seq
		}
		first := l.queue[0]
		if len(l.queue) == 1 && !l.tried && first.n.Kind == escalate.Trigger && first.n.Repeat == 0 &&
			m.opt.Storm > 0 && l.entry.group == nil {
			m.gather(l)
		}
	}
	for _, l := range lanes {
		m.kick(l)
	}
	for _, key := range keys {
		e := m.entries[key]
		if e == nil {
			continue
		}
		m.schedule(e)
		m.missing(e)
		if g := e.group; g != nil && !e.closed && len(g.members) == 0 {
			m.endGroup(g)
		}
		m.forget(e)
	}
}

// missing calls those again whose grouped notice was never written down.
func (m *Machine) missing(e *entry) {
	if e.closed || e.group != nil || e.digest != nil {
		return
	}
	var people, informed []string
	for _, l := range e.lanes {
		switch {
		case l.group != nil || l.own:
		case l.people:
			people = append(people, l.target.name)
		case l.informed:
			l.informed = false // else it would be an update
			informed = append(informed, l.target.name)
		}
	}
	m.handAll(e, people, handing{kind: escalate.Trigger, level: e.reached()})
	m.handAll(e, informed, handing{kind: escalate.Trigger})
}

// since is a moment of the wall clock in the time of this machine, which may be
// before its birth.
func (m *Machine) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(m.epoch)
}
