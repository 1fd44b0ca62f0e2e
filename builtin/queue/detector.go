package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// signal is one way in which a queue can be sick.
type signal uint8

const (
	depth signal = iota
	wait
	sojourn
	drain
	signals
)

// detector judges queues by some signals. One finding a queue.
type detector struct {
	o       Options
	problem error
	origin  time.Time
	signals []signal
	// factor is the share of each limit at which it is sick: 1 acts, less warns.
	factor   float64
	severity detect.Severity
	numbers  bool // whether findings have a value

	mu    sync.Mutex
	queue []watched
}

// watched is one queue with what is remembered of it.
type watched struct {
	Queue
	rates rates
	sick  [signals]bool
}

func newDetector(o Options, factor float64, severity detect.Severity, signals ...signal) *detector {
	d := &detector{problem: o.Validate(), o: o.effective(), origin: time.Now(), signals: signals, severity: severity, factor: 1}
	if factor != 0 {
		d.factor = factor
	}
	for _, q := range o.Queues {
		d.queue = append(d.queue, watched{Queue: q.resolved(&d.o)})
	}
	d.o.Queues = nil // the caller's slice
	return d
}

// Validate returns what is wrong with the options.
func (d *detector) Validate() error { return d.problem }

var errNoQueues = errors.New("queue: there is no queue to watch: set Options.Queues, or do not install the module")

// Detect looks at each queue. One that cannot be read is blind and does not
// hide the others.
func (d *detector) Detect(ctx context.Context) (found []detect.Finding, err error) {
	if d.problem != nil {
		return nil, d.problem
	}
	if len(d.queue) == 0 {
		return nil, errNoQueues
	}
	var errs []error
	for i := range d.queue {
		q := &d.queue[i]
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		r, err := q.look(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("queue %q: %w", q.Name, err))
			continue
		}
		if f, sick := d.judge(q, &r); sick {
			found = append(found, f)
		}
	}
	return found, errors.Join(errs...)
}

// judge moves every signal of q by one reading.
func (d *detector) judge(q *watched, r *reading) (f detect.Finding, sick bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := q.rates.outlook(time.Since(d.origin), r, d.o.Window)
	var levels [signals]level
	for _, s := range d.signals {
		l := d.level(s, q, r, &o)
		q.sick[s] = l.sick(q.sick[s])
		levels[s], sick = l, sick || q.sick[s]
	}
	if !sick {
		return detect.Finding{}, false
	}
	return d.finding(q, r, &o, &levels), true
}

// level is a reading beside what is allowed.
type level struct {
	known bool
	value float64
	limit float64
	clear float64
	bad   bool // for what is judged elsewhere
}

// sick has hysteresis: between clear and limit it stays as it was.
func (l *level) sick(was bool) bool {
	switch {
	case !l.known:
		return false
	case l.bad || l.value > l.limit:
		return true
	}
	return was && l.value >= l.clear
}

func (d *detector) level(s signal, q *watched, r *reading, o *outlook) (l level) {
	switch s {
	case depth:
		l.known, l.value, l.limit = r.hasDepth && q.MaxDepth > 0, float64(r.depth), float64(q.MaxDepth)
	case wait:
		w := max(r.age, o.wait)
		l.known, l.value, l.limit = (r.hasAge || o.known) && q.MaxWait > 0, w.Seconds(), q.MaxWait.Seconds()
	case drain:
		l.known = o.known && q.MaxDrain > 0 && o.wait >= d.matters(q)
		l.value, l.limit = o.drain.Seconds(), q.MaxDrain.Seconds()
	case sojourn:
		// CoDel has its own memory: a departure below the target ends it.
		if r.hasMeter && r.meter.Overloaded {
			l.known, l.bad = true, true
			l.value, l.limit = r.meter.Least.Seconds(), q.Meter.standing.target.Seconds()
		}
		return l
	}
	l.limit *= d.factor
	l.clear = l.limit / d.factor * d.o.Clear
	return l
}

// matters is the wait from which on it matters that a queue does not drain.
func (d *detector) matters(q *watched) time.Duration {
	w := q.MaxWait / 2
	if q.MaxWait < 0 {
		w = q.MaxDrain / 2
	}
	if q.sick[drain] {
		w = time.Duration(float64(w) * d.o.Clear)
	}
	return w
}
