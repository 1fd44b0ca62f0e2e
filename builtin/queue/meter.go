package queue

import (
	"sync"
	"time"
)

// A Stamp is when an item came in, in nanoseconds on the clock of its [Meter].
// It belongs into the item.
type Stamp int64

// A Meter measures a queue at its two ends: how many wait, how fast they come
// and go, how long they waited, and whether a queue stands. [NewMeter] makes it.
//
//	type job struct { queue.Stamp; … }
//	jobs <- job{Stamp: meter.Enter()}              // the producer
//	j := <-jobs; meter.Leave(j.Stamp)              // the consumer
//
// Both ends cost a reading of the clock and a lock that is held for some
// nanoseconds, and allocate nothing. All methods are safe for concurrent use.
type Meter struct {
	o      CoDelOptions
	origin time.Time

	mu       sync.Mutex
	in, out  uint64
	waiting  int
	since    time.Duration // something has waited since then without a break
	left     time.Duration // the last time that something was taken
	standing standing
	bad      bool // as of then
}

// NewMeter returns a meter for one empty queue. Mistakes in o are reported by
// the Validate of the detector that watches it; until then they count as not set.
func NewMeter(o CoDelOptions) *Meter {
	m := &Meter{o: o, origin: time.Now()}
	if o.Validate() != nil {
		o = CoDelOptions{}
	}
	o = o.effective()
	m.standing = standing{target: o.Target, interval: o.Interval}
	return m
}

func (m *Meter) now() time.Duration { return time.Since(m.origin) }

// Enter says that an item comes in. What cannot be queued after all leaves by
// [Meter.Withdraw].
func (m *Meter) Enter() Stamp {
	now := m.now()
	m.mu.Lock()
	m.in++
	if m.waiting++; m.waiting == 1 {
		m.since = now
	}
	m.mu.Unlock()
	return Stamp(now)
}

// Leave says that an item is taken to be served and returns how long it waited.
func (m *Meter) Leave(s Stamp) time.Duration {
	now := m.now()
	wait := max(now-time.Duration(s), 0)
	m.mu.Lock()
	m.waiting = max(m.waiting-1, 0)
	m.departed(now, wait, m.waiting)
	m.mu.Unlock()
	return wait
}

// Withdraw says that an item left without being served: it was dropped,
// cancelled, or did not fit. It counts as come and left.
func (m *Meter) Withdraw(Stamp) {
	m.mu.Lock()
	m.out++
	if m.waiting = max(m.waiting-1, 0); m.waiting == 0 {
		m.standing.above, m.bad = false, false
	}
	m.mu.Unlock()
}

// Observe is for queues whose items know their age: an item was taken that
// waited so long, and so many are left. Use it instead of Enter, Leave and
// Withdraw; arrivals are then known only as of the last item taken.
func (m *Meter) Observe(wait time.Duration, left int) {
	now := m.now()
	m.mu.Lock()
	m.waiting = max(left, 0)
	m.departed(now, max(wait, 0), m.waiting)
	m.in = max(m.in, m.out+uint64(m.waiting))
	m.mu.Unlock()
}

// departed is held under m.mu. Clocks are read outside of it, so that now may
// lie a little before that of the call before.
func (m *Meter) departed(now, wait time.Duration, left int) {
	m.out++
	m.left = max(m.left, now)
	m.bad = m.standing.depart(m.left, wait, left)
}

// MeterState is what a [Meter] knows at one moment.
type MeterState struct {
	In, Out uint64 // items since the beginning
	Waiting int    // items
	// Stuck is how long something has waited while nothing was taken: in a queue
	// that is first in, first out the item at the head is at least so old.
	Stuck time.Duration
	// Overloaded is CoDel's verdict: for a whole interval even the shortest wait
	// was above the target. A consumer that takes nothing is judged by Stuck.
	Overloaded bool
	// Least is the shortest wait of the last interval or two while it stays above
	// the target, 0 where it does not.
	Least time.Duration
}

// State returns how the queue stands now.
func (m *Meter) State() MeterState {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MeterState{In: m.in, Out: m.out, Waiting: m.waiting}
	if m.waiting == 0 {
		return s // an empty queue resets, also where nobody came to take nothing
	}
	s.Stuck = max(now-max(m.left, m.since), 0)
	if m.standing.target < 0 {
		return s
	}
	if m.standing.above {
		s.Least = m.standing.lately()
		// Since the last departure nothing left sooner, because nothing left.
		s.Overloaded = m.bad || now >= m.standing.until && s.Stuck > m.standing.target
	}
	if s.Stuck > m.standing.target+m.standing.interval {
		s.Overloaded, s.Least = true, max(s.Least, s.Stuck)
	}
	return s
}

// Overloaded is CoDel's verdict as of now. It fits [GateOptions].Overloaded.
func (m *Meter) Overloaded() bool { return m.State().Overloaded }
