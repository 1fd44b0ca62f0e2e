package outbox

import (
	"hash/fnv"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// kick does with the first of a lane whatever can be done now.
func (m *Machine) kick(l *lane) {
	t := l.target
	if l.gathered && !m.stopped {
		if m.now < t.siftAt && !m.draining {
			m.timers.set(&l.timer, t.siftAt)
			return
		}
		m.sift(t)
	}
	for len(l.queue) > 0 && t.flight != l {
		head := l.queue[0]
		limit := plus(head.owed, m.opt.MaxAge)
		if l.within > 0 {
			limit = plus(head.owed, l.within)
		}
		switch {
		case m.stopped:
			m.giveUp(l, ErrStopped)
		case m.now < min(l.pause, limit):
			l.leave()
			m.fall(l)
			m.timers.set(&l.timer, min(l.pause, limit, m.fallAt(l)))
			return
		case m.free(t, l.entry.once):
			m.send(l)
		case m.now >= limit:
			m.giveUp(l, ErrExpired)
		default:
			l.wait()
			m.tune(t)
			m.fall(l)
			m.timers.set(&l.timer, min(limit, m.fallAt(l)))
			return
		}
	}
	l.leave()
	m.timers.unset(&l.timer)
}

func (m *Machine) send(l *lane) {
	head := l.queue[0]
	if g := l.entry.group; g != nil && head.n.Kind != escalate.Resolve && !head.tried {
		// What joined while it waited is told with it.
		head.n.Incident, head.n.Count = g.incident(), g.count
		head.version = 0
		g.saying = g.count
	}
	head.tries++
	if !head.tried {
		head.tried = true
		m.touch(l.entry)
		if head.n.Kind == escalate.Resolve && !l.delivered && !head.n.BeganAndEnded {
			head.n.BeganAndEnded = true
			if l.entry.digest == nil {
				head.n.Note = sentence(head.n.Note, "it began and ended before this could be told")
			}
		}
	}
	if head.n.Kind != escalate.Resolve && !l.tried {
		l.tried = true
		m.touch(l.entry)
	}
	l.leave()
	l.target.flight = l
	m.count(l.target)
	m.stats.Tries++
	m.emit(Send{ID: head.n.ID, Target: l.target.name, Try: head.tries, Notification: head.n})
}

// flight finds the lane that a result is for. A result that nobody waits for
// is no news.
func (m *Machine) flight(id, name string) *lane {
	t := m.targets[name]
	if t == nil || t.flight == nil || t.flight.queue[0].n.ID != id {
		return nil
	}
	return t.flight
}

func (m *Machine) sent(in Sent) {
	l := m.flight(in.ID, in.Target)
	if l == nil {
		return
	}
	head, t := m.pop(l), l.target
	t.flight = nil
	l.fails, l.pause = 0, 0
	if l.entry.once {
		m.emit(Done{ID: in.ID, Target: in.Target, Notification: head.n})
	} else {
		l.delivered = head.n.Kind != escalate.Resolve
		l.tried = l.delivered
		m.stats.Delivered++
		m.emit(Delivered{Target: in.Target, Notification: head.n, Tries: head.tries, Age: m.now - head.owed})
		m.reaches(l)
	}
	missed := m.up(t)
	m.land(l)
	if missed {
		m.revive(t)
	}
}

func (m *Machine) failed(in Failed) {
	l := m.flight(in.ID, in.Target)
	if l == nil {
		return
	}
	t, head := l.target, l.queue[0]
	head.last, t.last = in.Err, in.Err
	l.fails++
	l.pause = plus(m.now, m.backoff(head.n.ID, t.name, l.fails))
	m.stats.Failures++
	t.flight = nil
	if in.Stuck {
		t.stuck, t.stuckAt = true, m.now
		m.emit(Stuck{Target: t.name, Notification: head.n})
	}
	m.blame(l, in)
	switch {
	case m.stopped:
		m.giveUp(l, ErrStopped)
	case l.entry.once:
		m.giveUp(l, ErrRefused)
	case head.replaced:
		m.pop(l)
		m.stats.Superseded++
		m.emit(Superseded{ID: head.n.ID, Target: t.name, By: l.queue[0].n.ID})
	case in.Permanent:
		t.refused++
		m.giveUp(l, ErrRefused)
	case m.now >= plus(head.owed, m.opt.MaxAge):
		m.giveUp(l, ErrExpired)
	}
	m.land(l)
}

// land gives the target to the lane that has waited longest.
func (m *Machine) land(l *lane) {
	m.release(l.target)
	m.kick(l)
	m.forget(l.entry)
	m.forgetTarget(l.target)
}

// giveUp ends the first of a lane without delivery, and tells somebody else.
func (m *Machine) giveUp(l *lane, why error) {
	head := m.pop(l)
	l.pause = 0
	if l.entry.once {
		err := why
		if head.last != nil {
			err = head.last
		}
		m.emit(Done{ID: head.n.ID, Target: l.target.name, Notification: head.n, Err: err})
		return
	}
	if m.stopped && m.opt.Durable {
		m.stats.Kept++
		return
	}
	if why == ErrRefused && mutant(mutRefusedDropped) {
		return
	}
	trigger := !head.inform && head.n.Kind == escalate.Trigger
	if trigger && l.calls > 0 {
		l.calls-- // whoever was not reached was not told before
	}
	m.stats.Undeliverable++
	gone := Undeliverable{
		Target: l.target.name, Notification: head.n, Tries: head.tries, Age: m.now - head.owed,
		Why: why, Last: head.last,
	}
	missed := trigger || !head.inform && head.n.Kind == escalate.Update && !l.delivered
	if m.stopped || !missed {
		m.emit(gone)
		return
	}
	said := ""
	if why == ErrRefused {
		said = "it refused for good"
	}
	gone.NextLevel = m.nextLevel(l)
	gone.Lost = l.entry.group == nil && l.entry.started && gone.NextLevel == 0 && l.entry.hopeless(l)
	if head.fell {
		gone.NextLevel = 0
	}
	m.emit(gone)
	if head.fell {
		m.reassess(l.entry) // somebody else was told long ago
		return
	}
	m.fallBack(l, said)
}

// backoff doubles from failure to failure. It is spread by what is called and
// when, not by chance: a script has one result, and many notices that failed
// together are not tried together.
func (m *Machine) backoff(id, target string, fails int) time.Duration {
	d := m.opt.RetryFirst
	for i := 1; i < fails && d < m.opt.RetryMax; i++ {
		d *= 2
	}
	d = min(d, m.opt.RetryMax)
	h := fnv.New64a()
	h.Write([]byte(id + "\x00" + target + "\x00" + strconv.Itoa(fails)))
	const fifth = 0.2
	return time.Duration(float64(d) * (1 - fifth + 2*fifth*float64(h.Sum64()%1024)/1023))
}
