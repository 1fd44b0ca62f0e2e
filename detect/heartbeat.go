package detect

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Beat finds a worker that stopped beating. [Heartbeat] makes it.
type Beat struct {
	budget time.Duration
	origin time.Time
	last   atomic.Int64 // of the last beat, nanoseconds after origin plus one; 0 is none

	mu     sync.Mutex
	began  time.Duration // of the first look
	rhythm rhythm
	seen   int64         // the last beat that a look saw
	pardon time.Duration // of the silence since then, how much was our own lateness
}

// Heartbeat returns a detector that finds a worker whose last [Beat.Beat] is
// longer ago than budget. Before the first beat the silence counts from the
// first look, so that a worker may start together with its watch. Give it the
// longest time that one round of the worker may take: a budget of less than two
// intervals of the watch makes the watch, not the worker, the slow one.
//
// The finding has Key "", Value the seconds since the last beat, Limit the
// budget in seconds, Unit "s" and a summary such as "no beat for 12s, budget
// 5s".
//
// A process that was starved or suspended stops its workers and its watches
// alike. When a look comes later than the usual gap between looks by more than
// half a budget, that lateness is taken off the silence: the worker gets as much
// time again as it had lost (the local-health idea of Lifeguard, arXiv
// 1707.00788). What is usual is learned from at least two gaps, and a late one is
// usual only when the next is late as well. Value stays the whole silence.
//
// The budget must be positive. Time is monotonic. All methods are safe for
// concurrent use.
func Heartbeat(budget time.Duration) *Beat {
	return &Beat{budget: budget, origin: time.Now()}
}

// Beat says that the worker is alive. It is one reading of the monotonic clock
// and one atomic store, allocates nothing, and may be called from anywhere.
func (b *Beat) Beat() { b.last.Store(int64(time.Since(b.origin)) + 1) }

// Validate reports a budget that is not positive.
func (b *Beat) Validate() error {
	if b.budget <= 0 {
		return fmt.Errorf("detect: the budget of a heartbeat is %v: give the longest time between two beats", b.budget)
	}
	return nil
}

// Detect compares the time since the last beat with the budget.
func (b *Beat) Detect(context.Context) ([]Finding, error) {
	if b.budget <= 0 {
		return nil, b.Validate()
	}
	silence, spared := b.silence()
	if silence-spared <= b.budget {
		return nil, nil
	}
	return []Finding{{
		Summary: "no beat for " + shortDuration(silence, b.budget) + ", budget " + b.budget.String(),
		Value:   silence.Seconds(),
		Limit:   b.budget.Seconds(),
		Unit:    "s",
	}}, nil
}

// silence is how long the worker has been silent, and how much of that the
// looks were late themselves.
func (b *Beat) silence() (silence, spared time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.origin)
	late, first := b.rhythm.look(now, b.budget/2)
	if first {
		b.began = now
	}
	last := b.last.Load()
	if last != b.seen {
		b.seen, b.pardon = last, 0
	}
	since := b.began
	if last > 0 {
		since = time.Duration(last - 1)
	}
	silence = max(0, now-since)
	b.pardon = min(b.pardon+late, silence)
	return silence, b.pardon
}

// rhythm knows the usual gap between looks and how late a look comes.
type rhythm struct {
	looks  int
	prev   time.Duration
	usual  time.Duration
	before time.Duration // the gap before, if it was late
}

// look notes a look at now and returns by how much it came later than usual,
// 0 unless that is more than slack.
func (r *rhythm) look(now, slack time.Duration) (late time.Duration, first bool) {
	gap := now - r.prev
	r.prev = now
	switch r.looks {
	case 0:
		r.looks++
		return 0, true
	case 1, 2:
		r.looks++
		r.usual = max(r.usual, gap)
		return 0, false
	}
	switch {
	case gap > r.usual+slack:
		late = gap - r.usual
		if r.before > 0 { // twice in a row is how it is now
			r.usual = min(gap, r.before)
		}
		r.before = gap
		return late, false
	case gap > r.usual:
		r.usual = gap
	default: // extra looks between the turns must not make the turns look late
		r.usual -= (r.usual - gap) / 16
	}
	r.before = 0
	return 0, false
}
