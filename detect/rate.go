package detect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// RateOptions is for [Rate].
type RateOptions struct {
	// Read returns the counter. It only grows, except that it may restart from
	// zero with whatever it counts. NaN, an infinity and a negative count are
	// blind. Required.
	Read func(ctx context.Context) (float64, error)
	// Limit is the rate, in counts a second, above which is sick. 0 finds any
	// increase at all.
	Limit float64
	// Clear is the rate below which it heals again. 0 means at or below Limit.
	Clear float64
	// Critical is the rate above which a finding is Critical. 0 means never.
	Critical float64
	// Window is over what time the rate is taken. 0 means one minute. It is
	// kept in 60 steps and must be at least one second.
	Window time.Duration
	// Unit names what is counted, as in "12.5 errors/s is above 10".
	Unit string
}

// Rate returns a detector that finds a counter growing faster than a limit.
//
// The rate is the increase over the last window divided by the window, with
// restarts of the counter added as Prometheus' increase() does (0 1 2 3 2 3 4
// grew by 7), but without its extrapolation. Until the detector has watched for
// a whole window, the time before counts as quiet: it accuses late rather than
// on two readings. After a time of blindness the growth is spread evenly over
// the gap.
//
// The finding has Key "", Value and Limit in counts a second, and a summary such
// as "12.5/s is above 10". Memory is fixed at about 1.5 KB. Safe for concurrent
// use; readings that overlap in time are judged but not learned twice.
func Rate(o RateOptions) Detector {
	if o.Window == 0 {
		o.Window = time.Minute
	}
	r := &rate{
		read:    o.Read,
		origin:  time.Now(),
		history: history{window: o.Window},
		level: level[float64]{
			limit: o.Limit, critical: o.Critical, hasCritical: o.Critical != 0,
			clear: o.Clear, hasClear: o.Clear != 0, unit: o.Unit + "/s",
		},
	}
	r.problem = r.level.problem()
	if o.Read == nil {
		r.problem = errors.Join(r.problem, errors.New("detect: Rate has no Read function: give it one that returns the counter"))
	}
	if o.Window < time.Second {
		r.problem = errors.Join(r.problem, fmt.Errorf("detect: the window of Rate is %v: use a second or more", o.Window))
	}
	if min(o.Limit, o.Clear, o.Critical) < 0 {
		r.problem = errors.Join(r.problem, errors.New("detect: a rate of Rate is negative: a counter does not shrink, use 0 or more"))
	}
	return r
}

type rate struct {
	read    func(context.Context) (float64, error)
	origin  time.Time
	level   level[float64]
	problem error
	alarm   latch[float64]

	mu      sync.Mutex
	taken   uint64 // readings learned so far
	counter counter
	history history
}

func (r *rate) Validate() error { return r.problem }

func (r *rate) Detect(ctx context.Context) ([]Finding, error) {
	if r.problem != nil {
		return nil, r.problem
	}
	began := r.began()
	v, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	if !finite(v) || v < 0 {
		return nil, fmt.Errorf("detect: read %v: that is no count", v)
	}
	return r.alarm.judge(&r.level, r.learn(began, v)), nil
}

func (r *rate) began() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// learn takes v unless another reading was learned since this one began: the
// older of two would look like a restart of the counter.
func (r *rate) learn(began uint64, v float64) (perSecond float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := totals{at: time.Since(r.origin)}
	if began == r.taken {
		r.taken++
		r.counter.add(v)
		now.a = r.counter.total
		r.history.add(now)
	}
	now.a = r.counter.total
	grown, _, _ := r.history.increase(now)
	return grown / r.history.window.Seconds()
}
