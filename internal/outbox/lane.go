package outbox

import (
	"hash/fnv"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A lane is the way from one entry to one target. What is in it arrives in
// order, one at a time.
type lane struct {
	timer
	entry    *entry
	target   *target
	queue    []*item       // the first is under way when the target's flight is this lane
	fails    int           // since the last delivery
	pause    time.Duration // not before this time
	told     uint64        // the telling in which it was handed something
	calls    int           // triggers handed since the last resolve
	people   bool          // handed something as people since the last resolve
	informed bool          // the same, as informed target
	// delivered says that the target has something since the last resolve that
	// it has: it knows that this is open.
	delivered bool
	// prev and next are its neighbours in the queue of its target.
	prev, next *lane
}

// An item is an owed notification.
type item struct {
	n      escalate.Notification
	seq    uint64
	owed   time.Duration // since when
	tries  int
	last   error
	inform bool
	// replaced says that something behind it says everything that it says: when
	// its call fails, it is not tried again.
	replaced bool
}

// A target is called for one lane at a time; the other lanes wait in a ring
// of which waiting is the head.
type target struct {
	name    string
	lanes   int
	flight  *lane
	stuck   bool
	stuckAt time.Duration
	waiting lane
}

// A handing is what is said to some targets at one moment.
type handing struct {
	kind  escalate.Kind
	level int // 0 informs
	note  string
}

// handAll hands something to targets, says so, and sends what can be sent.
func (m *Machine) handAll(e *entry, to []string, h handing) {
	var names []string
	var lanes []*lane
	least := 0
	for _, name := range to {
		l := m.lane(e, name)
		before := l.calls
		if !m.hand(l, h) {
			continue
		}
		if len(lanes) == 0 || before < least {
			least = before
		}
		names, lanes = append(names, name), append(lanes, l)
	}
	if len(lanes) == 0 {
		return
	}
	if h.kind != escalate.Trigger || h.level == 0 {
		least = 0
	}
	m.stats.Told++
	m.emit(Told{
		DedupKey: e.key, Kind: h.kind, Level: h.level, Targets: names, Repeat: least,
		Incident: e.last.Incident, At: m.wall(e),
	})
	for _, l := range lanes {
		m.kick(l)
	}
}

// wall is the wall time of now, as far as the last input told it.
func (m *Machine) wall(e *entry) time.Time {
	if e.last.At.IsZero() {
		return time.Time{}
	}
	return e.last.At.Add(m.now - e.lastAt)
}

func (m *Machine) lane(e *entry, name string) *lane {
	for _, l := range e.lanes {
		if l.target.name == name {
			return l
		}
	}
	t := m.targets[name]
	if t == nil {
		t = &target{name: name}
		t.waiting.prev, t.waiting.next = &t.waiting, &t.waiting
		m.targets[name] = t
	}
	t.lanes++
	l := &lane{entry: e, target: t}
	l.timer.lane = l
	e.lanes = append(e.lanes, l)
	return l
}

// hand puts one notification into a lane. It returns false when there is
// nothing new in it for the target.
func (m *Machine) hand(l *lane, h handing) bool {
	people, resolve := h.level > 0, h.kind == escalate.Resolve
	if !resolve && l.told == m.telling {
		return false
	}
	e := l.entry
	n := e.last
	n.ID, n.Kind, n.At, n.Note, n.Repeat, n.BeganAndEnded = "", h.kind, m.wall(e), h.note, 0, false
	if h.kind == escalate.Trigger {
		switch {
		case !people && (l.informed || l.people):
			n.Kind = escalate.Update
		case people && l.calls > 0:
			if l.owesFirst() {
				return false
			}
			n.Repeat = l.calls
			n.Note = sentence(h.note, repeated(m.now-e.began, l.calls))
		}
	}
	n.ID = m.id()
	it := &item{n: n, seq: m.ids, owed: m.now, inform: !people}
	m.supersede(l, it)
	l.queue = append(l.queue, it)
	m.stats.Owed++
	l.told = m.telling
	switch {
	case resolve:
		l.people, l.informed, l.calls = false, false, 0
	case people:
		l.people = true
		if n.Kind == escalate.Trigger {
			l.calls++
		}
	default:
		l.informed = true
	}
	return true
}

// owesFirst says that the first call is not delivered yet: nothing to repeat.
func (l *lane) owesFirst() bool {
	for _, it := range l.queue {
		if !it.inform && it.n.Kind == escalate.Trigger && !it.replaced {
			return true
		}
	}
	return false
}

// supersede takes out of a lane what it need not say any more, so that a
// target which is down for long does not get a day's history when it is back.
func (m *Machine) supersede(l *lane, by *item) {
	kept := l.queue[:0]
	for i, it := range l.queue {
		switch {
		case !by.saysAll(it):
			kept = append(kept, it)
		case i == 0 && l.target.flight == l:
			it.replaced = true
			kept = append(kept, it)
		default:
			m.stats.Owed--
			m.stats.Superseded++
			m.emit(Superseded{ID: it.n.ID, Target: l.target.name, By: by.n.ID})
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
}

// saysAll says whether nothing is lost when it arrives instead of old.
func (it *item) saysAll(old *item) bool {
	switch it.n.Kind {
	case escalate.Resolve:
		return true
	case escalate.Ask:
		return old.n.Kind == escalate.Ask
	}
	if old.n.Kind == escalate.Resolve {
		return false
	}
	first := old.n.Kind == escalate.Trigger && old.n.Repeat == 0
	return !first || old.inform && !it.inform
}

// kick does with the first of a lane whatever can be done now.
func (m *Machine) kick(l *lane) {
	t := l.target
	for len(l.queue) > 0 && t.flight != l {
		head := l.queue[0]
		limit := plus(head.owed, m.opt.MaxAge)
		switch {
		case m.stopped:
			m.giveUp(l, ErrStopped)
		case m.now < min(l.pause, limit):
			m.timers.set(&l.timer, min(l.pause, limit))
			return
		case t.flight == nil && !t.stuck:
			m.send(l)
		case m.now >= limit:
			m.giveUp(l, ErrExpired)
		default:
			l.wait()
			m.timers.set(&l.timer, limit)
			return
		}
	}
	l.leave()
	m.timers.unset(&l.timer)
}

func (m *Machine) send(l *lane) {
	head := l.queue[0]
	head.tries++
	if head.tries == 1 && head.n.Kind == escalate.Resolve && !l.delivered {
		head.n.BeganAndEnded = true
		head.n.Note = sentence(head.n.Note, "it began and ended before this could be told")
	}
	l.target.flight = l
	m.stats.Tries++
	m.emit(Send{ID: head.n.ID, Target: l.target.name, Try: head.tries, Notification: head.n})
}

// pop takes the first out of a lane.
func (m *Machine) pop(l *lane) *item {
	head := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	m.stats.Owed--
	return head
}

// giveUp ends the first of a lane without delivery, and calls the next level.
func (m *Machine) giveUp(l *lane, why error) {
	head := m.pop(l)
	l.pause = 0
	if !head.inform && head.n.Kind == escalate.Trigger && l.calls > 0 {
		l.calls-- // whoever was not reached was not told before
	}
	next := 0
	if !head.inform && head.n.Kind != escalate.Ask && head.n.Kind != escalate.Resolve {
		next = m.fallBack(l.entry)
	}
	m.stats.Undeliverable++
	m.emit(Undeliverable{
		Target: l.target.name, Notification: head.n, Tries: head.tries, Age: m.now - head.owed,
		Why: why, Last: head.last, NextLevel: next,
	})
	if next > 0 {
		m.level(l.entry, next-1, l.target.name+" could not be reached")
		m.schedule(l.entry)
	}
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
	head := m.pop(l)
	l.target.flight = nil
	l.fails, l.pause = 0, 0
	l.delivered = head.n.Kind != escalate.Resolve
	m.stats.Delivered++
	m.emit(Delivered{Target: in.Target, Notification: head.n, Tries: head.tries, Age: m.now - head.owed})
	m.land(l)
}

func (m *Machine) failed(in Failed) {
	l := m.flight(in.ID, in.Target)
	if l == nil {
		return
	}
	t, head := l.target, l.queue[0]
	head.last = in.Err
	l.fails++
	l.pause = plus(m.now, m.backoff(l))
	m.stats.Failures++
	t.flight = nil
	if in.Stuck {
		t.stuck, t.stuckAt = true, m.now
		m.emit(Stuck{Target: t.name, Notification: head.n})
	}
	switch {
	case m.stopped:
		m.giveUp(l, ErrStopped)
	case head.replaced:
		m.pop(l)
		m.stats.Superseded++
		m.emit(Superseded{ID: head.n.ID, Target: t.name, By: l.queue[0].n.ID})
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
}

func (m *Machine) release(t *target) {
	for t.flight == nil && !t.stuck && t.waiting.next != &t.waiting {
		l := t.waiting.next
		l.leave()
		m.kick(l)
		m.forget(l.entry)
	}
}

func (m *Machine) freed(name string) {
	t := m.targets[name]
	if t == nil || !t.stuck {
		return
	}
	t.stuck = false
	m.emit(Unstuck{Target: name, After: m.now - t.stuckAt})
	m.release(t)
	m.forgetTarget(t)
}

// wait puts a lane at the end of its target's queue, unless it is there.
func (l *lane) wait() {
	if l.next != nil {
		return
	}
	head := &l.target.waiting
	l.prev, l.next = head.prev, head
	l.prev.next, head.prev = l, l
}

func (l *lane) leave() {
	if l.next == nil {
		return
	}
	l.prev.next, l.next.prev = l.next, l.prev
	l.prev, l.next = nil, nil
}

// backoff doubles from failure to failure. It is spread by what is called and
// when, not by chance: a script has one result, and many notices that failed
// together are not tried together.
func (m *Machine) backoff(l *lane) time.Duration {
	d := m.opt.RetryFirst
	for i := 1; i < l.fails && d < m.opt.RetryMax; i++ {
		d *= 2
	}
	d = min(d, m.opt.RetryMax)
	h := fnv.New64a()
	h.Write([]byte(l.queue[0].n.ID + "\x00" + l.target.name + "\x00" + strconv.Itoa(l.fails)))
	const fifth = 0.2
	return time.Duration(float64(d) * (1 - fifth + 2*fifth*float64(h.Sum64()%1024)/1023))
}
