package outbox

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Options of a [Machine]. The zero value has the documented defaults.
type Options struct {
	// IDPrefix is put before the number of a notification and makes its id
	// differ from those of other processes and earlier lives.
	IDPrefix string
	// MaxAge bounds how long a notification is tried. 0 means 6 h.
	MaxAge time.Duration
	// RetryFirst is the pause after a first failure; it doubles up to RetryMax,
	// each spread by a fifth to both sides. 0 means 1 s and 2 min.
	RetryFirst, RetryMax time.Duration
	// MaxEntries bounds the keys that are remembered; keys that are only
	// informed of may take half of them. 0 means 10,000. Grouped notices and
	// digests come on top: one or two a target.
	MaxEntries int
	// Breaker is how many calls of a target in a row must fail for its breaker
	// to open: then others are told in its place, and it is probed with the
	// pauses of a retry until one call succeeds. 0 means that it has none.
	Breaker int
	// Storm is for how many new keys a target may be called within a minute
	// before the others are grouped into one notice. 0 means that none are.
	Storm int
	// Rate says how often a target may be called. It must be as pure as the
	// machine, and is asked once for each target that is called. nil means no
	// bound.
	Rate func(target string) escalate.Rate
	// Durable asks for [Record] effects.
	Durable bool
}

// A Machine decides who is told what, and when. It has no goroutine, lock, I/O
// or clock: the same inputs at the same times always have the same effects. It
// is not safe for concurrent use.
type Machine struct {
	opt     Options
	epoch   time.Time // the wall time of 0
	now     time.Duration
	telling uint64 // numbers the moments of telling; see lane.told
	ids     uint64
	seq     uint64 // numbers what is owed, in the order in which it came to be
	entries map[string]*entry
	targets map[string]*target
	digests map[string]*entry // by target, until their quiet hours end
	timers  timers
	out     []Effect
	stats   Stats
	dirty   []*entry // to be recorded
	// informed counts the entries of which people were never to be told.
	informed          int
	draining, stopped bool
}

// New makes a machine whose time begins at 0.
func New(opt Options) *Machine {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&opt.MaxAge, 6*time.Hour)
	set(&opt.RetryFirst, time.Second)
	set(&opt.RetryMax, 2*time.Minute)
	if opt.MaxEntries <= 0 {
		opt.MaxEntries = 10_000
	}
	return &Machine{opt: opt, entries: map[string]*entry{}, targets: map[string]*target{}, digests: map[string]*entry{}}
}

// Clock says what the wall shows at a time since the machine's birth: quiet
// hours are read off it, and records are stamped with it.
func (m *Machine) Clock(now time.Duration, wall time.Time) {
	m.epoch = wall.Round(0).Add(-now)
}

// Step handles an input at a time since the machine's birth and appends what
// follows to out. A time before an earlier one counts as that. What was due by
// now comes before the input, so that an input and a timer of one instant have
// one order, whichever of them is noticed first.
func (m *Machine) Step(now time.Duration, in Input, out []Effect) []Effect {
	m.now = max(m.now, now)
	before := len(out)
	m.out = out
	for t := m.timers.first(); t != nil && t.at <= m.now; t = m.timers.first() {
		m.timers.unset(t)
		m.telling++
		switch {
		case t.lane != nil:
			m.kick(t.lane)
			m.forget(t.lane.entry)
		case t.target != nil:
			m.release(t.target)
			m.forgetTarget(t.target)
		default:
			m.turn(t.entry)
		}
	}
	m.telling++
	m.take(in)
	m.record(before)
	out, m.out = m.out, nil
	return out
}

func (m *Machine) take(in Input) {
	switch in := in.(type) {
	case Escalate:
		m.escalate(in)
	case Inform:
		m.inform(in)
	case Refresh:
		m.refresh(in)
	case Resolve:
		m.resolve(in)
	case Ack:
		m.ack(in)
	case Snooze:
		m.snooze(in)
	case Mute:
		m.mute(in.DedupKey)
	case Unmute:
		m.unmute(in.DedupKey)
	case Once:
		m.once(in)
	case Sent:
		m.sent(in)
	case Failed:
		m.failed(in)
	case Freed:
		m.freed(in.Target)
	case Drain:
		m.drain()
	case Stop:
		m.stop()
	}
}

// Next is when the machine wants a [Tick]; not ok means that nothing waits.
func (m *Machine) Next() (at time.Duration, ok bool) {
	if t := m.timers.first(); t != nil {
		return t.at, true
	}
	return 0, false
}

// Owed is how many notifications wait to be delivered.
func (m *Machine) Owed() int { return m.stats.Owed }

// Told says whether people were told of a key that is not resolved: one of them
// has a notification of it, or one is on its way. Informed targets do not count.
func (m *Machine) Told(dedupKey string) bool {
	e := m.entries[dedupKey]
	if e == nil {
		return false
	}
	return slices.ContainsFunc(e.lanes, func(l *lane) bool {
		return l.people && (l.reached() || len(l.queue) > 0 || l.group != nil)
	})
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// entry finds or makes the entry of n; nil, and said, when there is no room.
func (m *Machine) entry(n escalate.Notification, people bool) *entry {
	e := m.entries[n.DedupKey]
	if e != nil {
		if people && !e.people {
			e.people = true
			m.informed--
		}
		m.touch(e)
		return e
	}
	full := len(m.entries) >= m.opt.MaxEntries || !people && m.informed >= max(1, m.opt.MaxEntries/2)
	if full {
		m.stats.Full++
		m.refuse(n, ErrFull)
		return nil
	}
	return m.newEntry(n.DedupKey, people)
}

func (m *Machine) newEntry(key string, people bool) *entry {
	e := &entry{key: key, people: people}
	e.timer.entry = e
	m.entries[key] = e
	if !people {
		m.informed++
	}
	m.touch(e)
	return e
}

// refuse reports what could not even be taken.
func (m *Machine) refuse(n escalate.Notification, why error) {
	m.stats.Undeliverable++
	m.emit(Undeliverable{Notification: n, Why: why})
}

// forget drops an entry when nothing more can come of it.
func (m *Machine) forget(e *entry) {
	if !e.closed || m.entries[e.key] != e {
		return
	}
	for _, l := range e.lanes {
		if len(l.queue) > 0 {
			return
		}
	}
	m.timers.unset(&e.timer)
	delete(m.entries, e.key)
	m.touch(e)
	if !e.people {
		m.informed--
	}
	for _, l := range e.lanes {
		m.timers.unset(&l.timer)
		l.target.lanes--
		m.forgetTarget(l.target)
	}
}

func (m *Machine) drain() {
	m.draining = true
	for _, t := range m.sortedTargets() {
		t.probe = 0
		m.sift(t)
		m.release(t)
	}
	for _, e := range m.sorted() {
		if e.group != nil || e.digest != nil {
			m.turn(e)
		}
		m.schedule(e)
		for _, l := range e.lanes {
			l.pause = 0
			m.kick(l)
		}
	}
}

func (m *Machine) stop() {
	m.draining, m.stopped = true, true
	for _, e := range m.sorted() {
		m.schedule(e)
		for _, l := range e.lanes {
			l.gathered = false
			m.kick(l)
		}
		m.forget(e)
	}
	for _, t := range m.sortedTargets() {
		t.gathered = nil
		m.timers.unset(&t.timer)
	}
}

func (m *Machine) sorted() []*entry {
	es := make([]*entry, 0, len(m.entries))
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		es = append(es, m.entries[key])
	}
	return es
}

func (m *Machine) id() string {
	m.ids++
	return m.opt.IDPrefix + strconv.FormatUint(m.ids, 10)
}

// plus adds delays without running over.
func plus(a, b time.Duration) time.Duration {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
