package outbox

import "time"

// A timer is embedded in what it wakes: an entry, a lane or a target.
type timer struct {
	at    time.Duration
	order uint64 // breaks ties, so that one script always gives one result
	place int    // in the heap, from 1; 0 when it is not set

	entry  *entry
	lane   *lane
	target *target
}

// timers is a binary heap that knows where its members are, because almost
// every timer of an outbox is taken back before it is due.
type timers struct {
	heap  []*timer
	order uint64
}

func (ts *timers) set(t *timer, at time.Duration) {
	if t.place > 0 && t.at == at {
		return
	}
	ts.order++
	t.at, t.order = at, ts.order
	if t.place == 0 {
		ts.heap = append(ts.heap, t)
		t.place = len(ts.heap)
	}
	ts.up(t.place)
	ts.down(t.place)
}

func (ts *timers) unset(t *timer) {
	if t.place == 0 {
		return
	}
	hole, last := t.place, len(ts.heap)
	ts.swap(hole, last)
	ts.heap[last-1] = nil
	ts.heap = ts.heap[:last-1]
	t.place = 0
	if hole < last {
		moved := ts.heap[hole-1]
		ts.up(moved.place)
		ts.down(moved.place)
	}
}

func (ts *timers) first() *timer {
	if len(ts.heap) == 0 {
		return nil
	}
	return ts.heap[0]
}

func (ts *timers) less(i, j int) bool {
	a, b := ts.heap[i-1], ts.heap[j-1]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (ts *timers) swap(i, j int) {
	h := ts.heap
	h[i-1], h[j-1] = h[j-1], h[i-1]
	h[i-1].place, h[j-1].place = i, j
}

func (ts *timers) up(i int) {
	for ; i > 1 && ts.less(i, i/2); i /= 2 {
		ts.swap(i, i/2)
	}
}

func (ts *timers) down(i int) {
	for {
		child := 2 * i
		if child > len(ts.heap) {
			return
		}
		if child < len(ts.heap) && ts.less(child+1, child) {
			child++
		}
		if !ts.less(child, i) {
			return
		}
		ts.swap(i, child)
		i = child
	}
}
