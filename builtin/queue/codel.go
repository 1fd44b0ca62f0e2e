package queue

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// CoDel's setpoint and the time over which it looks for a minimum (RFC 8289,
// sections 4.2 and 4.3).
const (
	defaultTarget   = 5 * time.Millisecond
	defaultInterval = 100 * time.Millisecond
)

// ControlLaw is CoDel's pause before the next act while a queue stays bad:
// interval/sqrt(n) after the nth act (RFC 8289, section 3.3): 100, 70.7, 57.7,
// 50 ms. An n below 1 counts as 1.
func ControlLaw(interval time.Duration, n int) time.Duration {
	return time.Duration(float64(interval) / math.Sqrt(float64(max(n, 1))))
}

// CoDelOptions are for [NewCoDel] and, as the setpoint of a meter, for
// [NewMeter].
type CoDelOptions struct {
	// Target is the wait above which an item waited too long. 0: 5 ms (RFC
	// 8289, section 4.4). Choose the wait that nobody notices: for jobs that
	// people do not wait for it may be minutes. -1: no wait is too long.
	Target time.Duration
	// Interval is how long even the shortest wait must stay above Target. 0:
	// 100 ms (RFC 8289, section 4.3). Not less than Target where Target is set.
	Interval time.Duration
}

func (o CoDelOptions) effective() CoDelOptions {
	if o.Target == 0 {
		o.Target = defaultTarget
	}
	if o.Interval == 0 {
		o.Interval = max(defaultInterval, o.Target)
	}
	return o
}

// Validate returns what is wrong with the options, nil when nothing is.
func (o CoDelOptions) Validate() error {
	var errs []error
	if o.Target < 0 && o.Target != -1 {
		errs = append(errs, fmt.Errorf("queue: CoDel's Target is %v: use the longest wait that nobody notices, 0 for %v, or -1 for none", o.Target, defaultTarget))
	}
	if o.Interval < 0 {
		errs = append(errs, fmt.Errorf("queue: CoDel's Interval is %v: use a time of at least Target, or 0 for %v", o.Interval, defaultInterval))
	}
	if e := o.effective(); o.Interval > 0 && e.Interval < e.Target {
		errs = append(errs, fmt.Errorf("queue: CoDel's Interval (%v) is shorter than its Target (%v): an item needs longer than that to be seen waiting too long", e.Interval, e.Target))
	}
	return errors.Join(errs...)
}

// CoDel says which items to drop so that a queue keeps flowing: Controlled
// Delay, RFC 8289, sections 5.5 and 5.6, an item for a packet. It has no clock
// and no lock; whoever dequeues owns it.
type CoDel struct {
	standing standing
	law      law
}

// NewCoDel returns a decider for one queue. Options that Validate objects to
// count as not set.
func NewCoDel(o CoDelOptions) *CoDel {
	if o.Validate() != nil {
		o = CoDelOptions{}
	}
	o = o.effective()
	return &CoDel{
		standing: standing{target: o.Target, interval: o.Interval},
		law:      law{interval: o.Interval},
	}
}

// Drop is asked for each item as it is taken from the queue, at now on any
// monotonic scale that does not run backwards: the item waited that long, and so
// many are left behind it. Where it says so, do not serve the item, and ask for
// the next one.
//
// As in the RFC an item that leaves nothing behind it is never dropped. Unlike
// in its pseudocode a wait of exactly Target is not too long.
func (c *CoDel) Drop(now, wait time.Duration, left int) bool {
	return c.law.act(now, c.standing.depart(now, wait, left))
}

// Empty says that there was nothing to take: what waited has gone.
func (c *CoDel) Empty() { c.standing.above = false }

// standing is CoDel's estimator: a queue is bad once the shortest wait of a
// whole interval was above the target. A burst drains; a standing queue does not.
type standing struct {
	target, interval time.Duration // a negative target: never above
	above            bool
	until            time.Duration // the end of the interval that began when it went above
	// The shortest wait of this interval and of the one before: how bad it is now,
	// which the shortest since the beginning would not tell.
	from, least, before time.Duration
}

func (s *standing) depart(now, wait time.Duration, left int) (bad bool) {
	switch {
	case s.target < 0 || wait <= s.target || left <= 0:
		s.above = false
		return false
	case !s.above:
		s.above, s.until = true, now+s.interval
		s.from, s.least, s.before = now, wait, wait
		return false
	case now-s.from >= s.interval:
		s.from, s.before, s.least = now, s.least, wait
	}
	s.least = min(s.least, wait)
	return now >= s.until
}

// lately is the shortest wait of the last interval or two, while it is above.
func (s *standing) lately() time.Duration { return min(s.least, s.before) }

// law is CoDel's control loop: act, and act again sooner and sooner for as long
// as that did not help.
type law struct {
	interval time.Duration
	acting   bool
	owed     bool // the next moment is computed when it is known that it is still bad
	next     time.Duration
	count    int
	last     int // count at the last beginning
}

// act says whether to act at now.
func (l *law) act(now time.Duration, bad bool) bool {
	if !bad {
		l.acting, l.owed = false, false
		return false
	}
	if !l.acting {
		l.acting = true
		// Bad again soon after: what kept it down the last time is a good start.
		recent := now-l.next < 16*l.interval
		grown := l.count - l.last
		l.count = 1
		if recent && grown > 1 {
			l.count = grown
		}
		l.last = l.count
		l.next = now + ControlLaw(l.interval, l.count)
		return true
	}
	if l.owed {
		l.next += ControlLaw(l.interval, l.count)
		l.owed = false
	}
	if now < l.next {
		return false
	}
	l.count++
	l.owed = true
	return true
}
