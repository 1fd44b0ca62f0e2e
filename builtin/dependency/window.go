package dependency

import (
	"slices"
	"sync/atomic"
	"time"
)

// cell counts the calls that began in one stretch of time. A call counts where it
// began, and its end counts in the same cell, so that begun less ended is how many
// calls of that age are still under way: what hangs is known by its age without a
// clock in the call.
//
// Cells are never used twice: a call that ends very late still finds its own.
type cell struct {
	at time.Duration // when it began, on the clock of the client
	// Under the client's lock: when the next one began, 0 for the present one; and
	// whether what happened here is no longer judged.
	end  time.Duration
	past bool

	begun, ok, failed, ignored atomic.Int64
	slow                       atomic.Int64 // of ok, failed and ignored: what took too long
	retries                    atomic.Int64 // of begun
}

func (c *cell) inFlight() int64 {
	// Ends first: a call that begins and ends in between must not count as an end
	// without a beginning.
	ended := c.ok.Load() + c.failed.Load() + c.ignored.Load()
	return max(c.begun.Load()-ended, 0)
}

func (c *cell) add(o Outcome, slow bool) {
	if slow {
		c.slow.Add(1) // first, so that it is never missing beside its end
	}
	switch {
	case o == Failure:
		c.failed.Add(1)
	case o == OK || slow: // a caller who gave up after that long has told something
		c.ok.Add(1)
	default:
		c.ignored.Add(1)
	}
}

// window is the cells of the last while, the oldest first, and those that left it
// with calls under way. The lock of the client guards it.
type window struct {
	span, cell, slow time.Duration // slow 0: nothing is slow
	cells            []*cell
	late             []*cell
}

func newWindow(o *ClientOptions) window {
	w := window{span: o.Window, cell: o.Window / 10}
	if o.Slow > 0 {
		w.slow = o.Slow
		w.cell = min(w.cell, max(o.Slow/8, o.Window/100))
	}
	w.cell = max(w.cell, minCell)
	return w
}

// present returns the cell of now, a new one where that is due.
func (w *window) present(now time.Duration) *cell {
	if n := len(w.cells); n > 0 {
		if last := w.cells[n-1]; last.end == 0 && now-last.at < w.cell {
			return last
		}
	}
	return w.next(now)
}

// next begins a new cell.
func (w *window) next(now time.Duration) *cell {
	if n := len(w.cells); n > 0 && w.cells[n-1].end == 0 {
		w.cells[n-1].end = now
	}
	gone := 0
	for gone < len(w.cells) && now-w.cells[gone].end > w.span {
		if w.cells[gone].inFlight() > 0 {
			w.late = append(w.late, w.cells[gone])
		}
		gone++
	}
	w.cells = slices.Delete(w.cells, 0, gone)
	w.late = slices.DeleteFunc(w.late, func(c *cell) bool { return c.inFlight() == 0 })
	c := &cell{at: now}
	w.cells = append(w.cells, c)
	return c
}

// forget begins a new cell, and nothing that began before is judged any more.
func (w *window) forget(now time.Duration) {
	for _, c := range w.late {
		c.past = true
	}
	for _, c := range w.cells {
		c.past = true
	}
	w.next(now)
}

// holds says whether the calls of c still count.
func (w *window) holds(c *cell, now time.Duration) bool {
	return !c.past && (c.end == 0 || now-c.end <= w.span)
}

// overdue says whether the calls of c that are under way are slow for certain:
// even one that began at the end of the cell.
func (w *window) overdue(c *cell, now time.Duration) bool {
	return w.slow > 0 && c.end > 0 && now-c.end >= w.slow
}

// totals is what a window says at one moment.
type totals struct {
	begun, retries   int64
	ok, failed, slow int64 // slow: what took too long, under way or not
	overdue          int64 // of slow: still under way
	inFlight         int64 // of any age
}

// calls are those that can be judged.
func (t *totals) calls() int64 { return t.ok + t.failed + t.overdue }

func share(part, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return min(float64(part)/float64(of), 1)
}

func (w *window) totals(now time.Duration) totals {
	var t totals
	for _, c := range w.late {
		t.inFlight += c.inFlight()
	}
	for _, c := range w.cells {
		under := c.inFlight()
		t.inFlight += under
		if !w.holds(c, now) {
			continue
		}
		t.begun += c.begun.Load()
		t.retries += c.retries.Load()
		t.ok += c.ok.Load()
		t.failed += c.failed.Load()
		t.slow += c.slow.Load()
		if w.overdue(c, now) {
			t.overdue += under
			t.slow += under
		}
	}
	return t
}

func (w *window) inFlight() (n int64) {
	for _, c := range w.late {
		n += c.inFlight()
	}
	for _, c := range w.cells {
		n += c.inFlight()
	}
	return n
}

// quiet says that nothing began within the window and nothing is under way.
func (w *window) quiet(now time.Duration) bool {
	if w.inFlight() > 0 {
		return false
	}
	for _, c := range w.cells {
		if c.begun.Load() > 0 && (c.end == 0 || now-c.end <= w.span) {
			return false
		}
	}
	return true
}
