package detect

import (
	"math"
	"time"
)

// trend holds the readings of one window in a fixed ring. The window is left
// open, as in Prometheus: a reading exactly one window old is out.
type trend struct {
	window time.Duration
	ring   []reading // made at the first reading
	head   int
	n      int
}

type reading struct {
	at time.Duration
	v  float64
}

func (t *trend) point(i int) *reading { return &t.ring[uint(t.head+i)%kept] }

// add notes a reading at now, which is never before an earlier now. The newest
// reading is always kept; those before it are a step apart, or nearly so.
func (t *trend) add(now reading) {
	if t.ring == nil {
		t.ring = make([]reading, kept)
	}
	for t.n > 0 && t.point(0).at <= now.at-t.window {
		t.head = (t.head + 1) % kept
		t.n--
	}
	if t.n >= 2 && t.point(t.n-1).at-t.point(t.n-2).at < t.window/points {
		t.n-- // the newest was provisional
	}
	*t.point(t.n) = now
	t.n++
}

// from is where the present course began: behind a single change that is larger
// than all other changes of the window together, else at the oldest reading. A
// deletion, a restored backup or one large file is a step and no trend; a line
// through both of its sides would foretell what nobody does.
func (t *trend) from() int {
	var sum, largest float64
	begin := 0
	for i := 1; i < t.n; i++ {
		d := math.Abs(t.point(i).v - t.point(i-1).v)
		sum += d
		if d > largest {
			largest, begin = d, i
		}
	}
	if largest > sum-largest {
		return begin
	}
	return 0
}

// line is a straight line through readings.
type line struct {
	slope float64 // per second
	now   float64 // its value at the moment of the newest reading
}

func (l line) at(ahead time.Duration) float64 { return l.now + l.slope*ahead.Seconds() }

// until is how long the line takes to limit, 0 if it is there already. It is
// asked of a line that leads towards limit.
func (l line) until(limit float64) time.Duration {
	switch left := (limit - l.now) / l.slope; {
	case left <= 0:
		return 0
	case left < math.MaxInt64/float64(time.Second):
		return time.Duration(left * float64(time.Second))
	}
	return math.MaxInt64
}

// fit is the least-squares line through the readings from the one numbered
// begin: Prometheus' deriv and predict_linear. A reading that is not finite
// makes it NaN.
func (t *trend) fit(begin int) line {
	n := float64(t.n - begin)
	newest := t.point(t.n - 1).at
	const second = float64(time.Second) // Duration.Seconds would cost more than all the sums
	var sumX, sumV float64
	for i := begin; i < t.n; i++ {
		p := t.point(i)
		sumX += float64(p.at-newest) / second
		sumV += p.v
	}
	meanX, meanV := sumX/n, sumV/n
	var cov, dev float64 // about the means: sums of squares of large values lose the small slope
	for i := begin; i < t.n; i++ {
		p := t.point(i)
		x := float64(p.at-newest)/second - meanX
		cov += x * (p.v - meanV)
		dev += x * x
	}
	slope := cov / dev
	return line{slope: slope, now: meanV - slope*meanX}
}
