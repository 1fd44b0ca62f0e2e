package detect

import "time"

// points is how finely a window is kept: a step is a sixtieth of the window.
const points = 60

// history holds the totals of two counters over one window in a fixed ring, so
// that the increase over the window costs the same whatever came in. Between
// two kept points it takes the totals as growing evenly.
type history struct {
	window time.Duration
	ring   []totals // made at the first reading: a detector that never runs needs none
	head   int
	n      int
}

type totals struct {
	at   time.Duration
	a, b float64
}

// kept is the most points a ring can need: one a step within the window, one
// before it, and one for the rounding of the step.
const kept = points + 4

func (h *history) point(i int) *totals { return &h.ring[uint(h.head+i)%kept] }

// add notes the totals at now, which is never before an earlier now.
func (h *history) add(now totals) {
	if h.ring == nil {
		h.ring = make([]totals, kept)
	}
	h.trim(now.at - h.window)
	if h.n == 0 || now.at-h.point(h.n-1).at >= h.window/points {
		*h.point(h.n) = now
		h.n++
	}
}

// trim forgets what lies before start, save the one point from which to draw the
// line to the first point behind it.
func (h *history) trim(start time.Duration) {
	for h.n >= 2 && h.point(1).at <= start {
		h.head = (h.head + 1) % kept
		h.n--
	}
}

// increase is by how much the totals grew within the window that ends at now,
// and how much of that window is known: less than all of it while the history
// is young.
func (h *history) increase(now totals) (a, b float64, covered time.Duration) {
	if h.n == 0 {
		return 0, 0, 0
	}
	start := now.at - h.window
	h.trim(start)
	base := *h.point(0)
	if base.at > start {
		return now.a - base.a, now.b - base.b, now.at - base.at
	}
	next := now
	if h.n > 1 {
		next = *h.point(1)
	}
	if next.at > base.at {
		share := float64(start-base.at) / float64(next.at-base.at)
		base.a += share * (next.a - base.a)
		base.b += share * (next.b - base.b)
	}
	return now.a - base.a, now.b - base.b, h.window
}

// counter turns the readings of a counter that may restart from zero into a
// total that only grows, as Prometheus does: a reading below the one before
// means that the counter restarted, and what it shows came since.
type counter struct {
	started     bool
	last, total float64
}

func (c *counter) add(v float64) {
	switch {
	case !c.started:
		c.started = true
	case v < c.last:
		c.total += v
	default:
		c.total += v - c.last
	}
	c.last = v
}
