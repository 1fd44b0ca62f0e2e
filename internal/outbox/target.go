package outbox

import (
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A target is called for one lane at a time; the other lanes wait in rings, one
// for each class of urgency, of which waiting are the heads.
type target struct {
	timer
	name    string
	lanes   int
	flight  *lane
	stuck   bool
	stuckAt time.Duration
	waiting [classes]lane
	last    error // of the last call that failed, since one succeeded

	// until is what the target asked for: nothing is sent before.
	until time.Duration
	// fails counts calls that failed in a row. When the breaker is open, probe
	// is when the next is let through.
	fails   int
	open    bool
	openAt  time.Duration
	probe   time.Duration
	refused int // notifications that it refused for good since it last took one

	rate  escalate.Rate
	calls []time.Duration // a ring of the last rate.N calls
	call  int             // its oldest

	storm
}

const (
	classes = 3
	// maxRate bounds the memory of a rate: above it calls are counted for a
	// shorter time.
	maxRate = 1000
)

// target finds or makes a target.
func (m *Machine) target(name string) *target {
	t := m.targets[name]
	if t != nil {
		return t
	}
	t = &target{name: name}
	t.timer.target = t
	for i := range t.waiting {
		t.waiting[i].prev, t.waiting[i].next = &t.waiting[i], &t.waiting[i]
	}
	if m.opt.Rate != nil {
		t.rate = m.opt.Rate(name)
		if t.rate.N > maxRate {
			t.rate = escalate.Rate{N: maxRate, Per: t.rate.Per * maxRate / time.Duration(t.rate.N)}
		}
		if t.rate.N < 0 || t.rate.Per <= 0 {
			t.rate = escalate.Rate{}
		}
	}
	m.targets[name] = t
	return t
}

// allowed is when the target lets itself be called next. A bucket whose tokens
// come back one by one would let twice the rate through after a rest: here each
// comes back when its own time is over.
func (t *target) allowed() time.Duration {
	if t.rate.N > 0 && len(t.calls) == t.rate.N {
		return max(t.until, plus(t.calls[t.call], t.rate.Per))
	}
	return t.until
}

// ready is when it may be called next, whoever is called for.
func (t *target) ready() time.Duration {
	if t.open {
		return max(t.allowed(), t.probe)
	}
	return t.allowed()
}

// free says whether it can be called now; a try of Once is a probe itself.
func (m *Machine) free(t *target, once bool) bool {
	if t.flight != nil || t.stuck {
		return false
	}
	if mutant(mutOneStuckAll) && m.anyStuck() {
		return false
	}
	return m.now >= t.ready() || once && m.now >= t.allowed()
}

// count takes a call into its rate.
func (m *Machine) count(t *target) {
	switch {
	case t.rate.N == 0:
	case len(t.calls) < t.rate.N:
		t.calls = append(t.calls, m.now)
	default:
		t.calls[t.call] = m.now
		t.call = (t.call + 1) % t.rate.N
	}
}

// release gives the target to the lanes that have waited longest, the most
// urgent first.
func (m *Machine) release(t *target) {
	for m.free(t, false) {
		l := t.first()
		if l == nil {
			break
		}
		l.leave()
		m.kick(l)
		m.forget(l.entry)
	}
	m.tune(t)
}

func (t *target) first() *lane {
	for i := range t.waiting {
		if l := t.waiting[i].next; l != &t.waiting[i] {
			return l
		}
	}
	return nil
}

// tune sets the target's timer to when somebody who waits may go, or else to
// when it may be forgotten.
func (m *Machine) tune(t *target) {
	at := t.ready()
	switch {
	case m.stopped || t.flight != nil || t.stuck:
	case at > m.now && t.first() != nil:
		m.timers.set(&t.timer, at)
		return
	case t.lanes == 0 && m.targets[t.name] == t:
		if at = max(at, t.remembers()); at > m.now {
			m.timers.set(&t.timer, at)
			return
		}
	}
	m.timers.unset(&t.timer)
}

// remembers is when nothing that it did can matter any more.
func (t *target) remembers() time.Duration {
	at := time.Duration(0)
	if n := len(t.calls); n > 0 {
		at = plus(t.calls[(t.call+n-1)%n], t.rate.Per)
	}
	if n := len(t.passed); n > 0 {
		at = max(at, plus(t.passed[n-1], stormWithin))
	}
	if t.said {
		at = max(at, plus(t.saidAt, stormWithin))
	}
	return at
}

func (m *Machine) forgetTarget(t *target) {
	if t.lanes > 0 || t.flight != nil || t.stuck || m.targets[t.name] != t {
		return
	}
	if !m.stopped && max(t.ready(), t.remembers()) > m.now {
		m.tune(t)
		return
	}
	m.timers.unset(&t.timer)
	delete(m.targets, t.name)
}

func (m *Machine) freed(name string) {
	t := m.targets[name]
	if t == nil || !t.stuck || mutant(mutNeverFreed) {
		return
	}
	t.stuck = false
	m.emit(Unstuck{Target: name, After: m.now - t.stuckAt})
	m.release(t)
	m.forgetTarget(t)
}

func (m *Machine) sortedTargets() []*target {
	ts := make([]*target, 0, len(m.targets))
	for _, name := range slices.Sorted(maps.Keys(m.targets)) {
		ts = append(ts, m.targets[name])
	}
	return ts
}

// toward calls f for every lane to t, in the order of their keys. f may add
// entries and lanes; it is not called for those.
func (m *Machine) toward(t *target, f func(*lane)) {
	for _, e := range m.sorted() {
		for _, l := range e.lanes {
			if l.target == t {
				f(l)
				break
			}
		}
	}
}

// wait puts a lane at the end of its target's queue, unless it is there.
func (l *lane) wait() {
	class := l.urgency()
	if l.next != nil {
		if l.class == class {
			return
		}
		l.leave()
	}
	l.class = class
	head := &l.target.waiting[class]
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
