package outbox

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
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
	// own says that something was handed under the entry's own key since the
	// last resolve, so that it takes a resolve of that key to end it.
	own bool
	// tried says that something was sent since the last resolve that arrived: the
	// target may have it, whatever the call returned.
	tried    bool
	gathered bool          // waits for whether its call is grouped
	group    *group        // tells of it, until its resolve
	joined   int           // how many the group told of when it came
	failed   string        // why it could not be reached; "" when it was, or may yet be
	within   time.Duration // how long a try of Once may wait
	class    int           // in which of its target's queues it waits
	// prev and next are its neighbours there.
	prev, next *lane
}

// An item is an owed notification.
type item struct {
	n       escalate.Notification
	version uint64 // of the entry's newest word when it was handed
	seq     uint64
	owed    time.Duration // since when
	tries   int
	tried   bool // ever, also in an earlier life
	last    error
	inform  bool
	fell    bool // somebody else was told in its place
	// replaced says that something behind it says everything that it says: when
	// its call fails, it is not tried again.
	replaced bool
}

// A handing is what is said to some targets at one moment.
type handing struct {
	kind  escalate.Kind
	level int // 0 informs
	note  string
	also  bool // even if they were told something at this moment
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
	t := m.target(name)
	t.lanes++
	l := &lane{entry: e, target: t}
	l.timer.lane = l
	e.lanes = append(e.lanes, l)
	return l
}

// hand puts one notification into a lane, or into the group that tells of it.
// It returns false when there is nothing new in it for the target.
func (m *Machine) hand(l *lane, h handing) bool {
	people, resolve := h.level > 0, h.kind == escalate.Resolve
	if !resolve && !h.also && l.told == m.telling {
		return false
	}
	e := l.entry
	n := e.last
	n.Kind, n.At, n.Note, n.Repeat, n.BeganAndEnded = h.kind, m.wall(e), h.note, 0, false
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
	m.touch(e)
	first := n.Kind == escalate.Trigger && n.Repeat == 0
	may := first && m.groups(l)
	grouped := l.group != nil && !l.own && n.Kind != escalate.Ask
	if grouped && n.Kind == escalate.Update && !m.news(l, n.Note) {
		return false
	}
	n.ID = m.id()
	l.told = m.telling
	switch {
	case resolve:
		l.people, l.informed, l.calls, l.failed = false, false, 0, ""
	case people:
		l.people = true
		if n.Kind == escalate.Trigger {
			l.calls++
		}
	default:
		l.informed = true
	}
	switch {
	case grouped:
		m.folded(l, n)
	case may && m.storming(l.target):
		m.join(l, n, people)
	default:
		l.own = !resolve
		m.queue(l, &item{n: n, owed: m.now, inform: !people})
		if may {
			m.gather(l)
		}
	}
	if resolve {
		m.part(l)
	}
	return true
}

// queue puts an item at the end of a lane.
func (m *Machine) queue(l *lane, it *item) {
	m.seq++
	it.seq, it.version = m.seq, l.entry.version
	m.supersede(l, it)
	l.queue = append(l.queue, it)
	m.stats.Owed++
	m.touch(l.entry)
}

// owesFirst says that the first call is not delivered yet: nothing to repeat.
func (l *lane) owesFirst() bool {
	if l.group != nil && !l.own {
		return l.group.lane().owesFirst()
	}
	for _, it := range l.queue {
		if !it.inform && it.n.Kind == escalate.Trigger && !it.replaced {
			return true
		}
	}
	return false
}

// reached says that the target knows of this.
func (l *lane) reached() bool {
	return l.delivered || l.group != nil && l.group.lane().delivered && l.joined <= l.group.known
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

// urgency is the queue of its target in which a lane waits: new incidents that
// are critical, then all new ones, questions and resolves, then the rest. What
// is urgent takes along what must arrive before it.
func (l *lane) urgency() int {
	class := classes - 1
	for _, it := range l.queue {
		switch {
		case it.n.Kind == escalate.Update || it.n.Repeat > 0:
		case it.n.Kind == escalate.Trigger && it.n.Incident.Finding.Severity >= detect.Critical:
			return 0
		default:
			class = min(class, 1)
		}
	}
	return class
}

// pop takes the first out of a lane.
func (m *Machine) pop(l *lane) *item {
	head := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	if len(l.queue) == 0 {
		l.queue = nil
	}
	m.stats.Owed--
	m.touch(l.entry)
	return head
}
