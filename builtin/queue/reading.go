package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// reading is what one look sees of a queue; what is not known is false.
type reading struct {
	depth     int
	age       time.Duration
	counts    Counts
	meter     MeterState
	hasDepth  bool
	hasAge    bool
	hasCounts bool
	hasMeter  bool
}

// Their texts say no numbers: the same trouble is one trouble.
var (
	errNegative = errors.New("depth: it is negative, which is no number of items: correct what Len or Depth returns")
	errFuture   = errors.New("age: it is negative, the head comes from the future: compare times of one clock")
)

// look reads everything that can be read of q, without a lock: the functions are
// the user's.
func (q *Queue) look(ctx context.Context) (r reading, err error) {
	if q.Meter != nil {
		r.meter, r.hasMeter = q.Meter.State(), true
		r.depth, r.hasDepth = r.meter.Waiting, true
		r.age, r.hasAge = r.meter.Stuck, true
		r.counts, r.hasCounts = Counts{r.meter.In, r.meter.Out}, true
	}
	switch {
	case q.Len != nil:
		r.depth, r.hasDepth = q.Len(), true
	case q.Depth != nil:
		if r.depth, err = q.Depth(ctx); err != nil {
			return r, fmt.Errorf("depth: %w", err)
		}
		r.hasDepth = true
	}
	if r.depth < 0 {
		return r, errNegative
	}
	if q.Age != nil {
		if r.age, err = q.Age(ctx); err != nil {
			return r, fmt.Errorf("age: %w", err)
		}
		if r.age < 0 {
			return r, errFuture
		}
		r.hasAge = true
	}
	if q.Counts != nil {
		if r.counts, err = q.Counts(ctx); err != nil {
			return r, fmt.Errorf("counts: %w", err)
		}
		r.hasCounts = true
	}
	return r, nil
}

// outlook is where the queue is heading at the present rates.
type outlook struct {
	known   bool
	in, out float64       // items a second
	wait    time.Duration // of an item that comes now: Little's law, depth over drain rate
	drain   time.Duration // until it is empty
}

// never is what a forecast says that has no end; a finding's numbers are finite.
const never = 24 * time.Hour

// outlook learns from r and says where it leads.
func (t *rates) outlook(now time.Duration, r *reading, window time.Duration) (o outlook) {
	if !r.hasCounts || !r.hasDepth {
		return o
	}
	if r.depth == 0 {
		t.reset()
		return o
	}
	t.add(sample{now, r.counts.In, r.counts.Out}, window)
	if o.in, o.out, o.known = t.read(window); !o.known {
		return o
	}
	o.wait = inTime(float64(r.depth), o.out)
	o.drain = inTime(float64(r.depth), o.out-o.in)
	return o
}

// inTime is how long it takes to get through so many at a rate a second.
func inTime(items, rate float64) time.Duration {
	if s := items / rate; rate > 0 && s < never.Seconds() {
		return time.Duration(s * float64(time.Second))
	}
	return never
}
