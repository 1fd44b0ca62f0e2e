package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
)

// ExhaustionOptions is for [Exhaustion].
type ExhaustionOptions struct {
	// Read returns what is used, or what is left. NaN and infinities are
	// blind. Required.
	Read func(ctx context.Context) (float64, error)
	// Limit is the value at which it is exhausted: the capacity for what is
	// used, 0 for what is left.
	Limit float64
	// Level is the value beyond which the trend matters at all. It also tells
	// the direction: below Limit, values grow towards Limit; above Limit, they
	// fall towards it. A usual choice leaves 40 % of the room. It must not
	// equal Limit.
	Level float64
	// Within is how soon Limit must be reached to be a finding. 0 means 4 hours.
	Within time.Duration
	// Critical is how soon makes the finding Critical; what is exhausted
	// already is Critical too. 0 means a sixth of Within, -1 never.
	Critical time.Duration
	// Window is over what time the trend is taken. 0 means one hour. It is kept
	// in 60 steps and must be at least one second.
	Window time.Duration
	// Unit names what is read, as in "70 GB will reach 100 in 2h30m".
	Unit string
}

// Exhaustion returns a detector that finds what will be exhausted soon: disk
// space, descriptors, memory, a quota.
//
// It asks for level and slope, as the node-mixin's alerts do: the value is
// beyond Level, and the least-squares line through the window (Prometheus'
// predict_linear) reaches Limit within Within. A value at or beyond Limit is a
// finding whatever the slope.
//
// A single change that is larger than all other changes of the window together
// is a step, not a trend: only what came after it is fitted. So neither one
// large file nor one deletion foretells anything. A line needs five readings
// over at least a quarter of the window; until then, only Limit counts.
//
// The finding has Key "", Value what was read, Limit, Unit, and as evidence the
// slope per hour and the time left. Memory is fixed at about 1 KB, and the line
// is drawn only while the value is beyond Level. Safe for concurrent use;
// readings that overlap in time are judged but not learned twice.
func Exhaustion(o ExhaustionOptions) Detector {
	if o.Within == 0 {
		o.Within = 4 * time.Hour
	}
	if o.Critical == 0 {
		o.Critical = o.Within / 6
	}
	if o.Window == 0 {
		o.Window = time.Hour
	}
	return &exhaustion{o: o, problem: o.problem(), origin: time.Now(), trend: trend{window: o.Window}}
}

func (o *ExhaustionOptions) problem() error {
	var errs []error
	if o.Read == nil {
		errs = append(errs, errors.New("detect: Exhaustion has no Read function: give it one that returns what is used or left"))
	}
	if !finite(o.Limit) || !finite(o.Level) {
		errs = append(errs, fmt.Errorf("detect: the limit %v or the level %v of Exhaustion is not finite", o.Limit, o.Level))
	}
	if o.Limit == o.Level {
		errs = append(errs, fmt.Errorf("detect: the level of Exhaustion equals its limit %v: set it to where the trend begins to matter, below the limit for what is used and above it for what is left", o.Limit))
	}
	if o.Within < 0 {
		errs = append(errs, fmt.Errorf("detect: Within of Exhaustion is %v: use a positive time", o.Within))
	}
	if o.Critical < 0 && o.Critical != -1 {
		errs = append(errs, fmt.Errorf("detect: Critical of Exhaustion is %v: use a positive time, or -1 for never", o.Critical))
	}
	if o.Window < time.Second {
		errs = append(errs, fmt.Errorf("detect: the window of Exhaustion is %v: use a second or more", o.Window))
	}
	return errors.Join(errs...)
}

type exhaustion struct {
	o       ExhaustionOptions
	problem error
	origin  time.Time

	mu    sync.Mutex
	taken uint64 // readings learned so far
	trend trend
	last  *[1]Finding // what was reported, for as long as nothing changes
}

func (e *exhaustion) Validate() error { return e.problem }

func (e *exhaustion) Detect(ctx context.Context) ([]Finding, error) {
	if e.problem != nil {
		return nil, e.problem
	}
	began := e.began()
	v, err := e.o.Read(ctx)
	if err != nil {
		return nil, err
	}
	if !finite(v) {
		return nil, fmt.Errorf("detect: read %v: that has no trend", v)
	}
	return e.judge(began, v)
}

func (e *exhaustion) began() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.taken
}

func (e *exhaustion) judge(began uint64, v float64) ([]Finding, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if began == e.taken {
		e.taken++
		e.trend.add(reading{at: time.Since(e.origin), v: v})
	}
	if e.beyond(v, e.o.Limit) || v == e.o.Limit {
		return e.report(v, line{}, 0), nil
	}
	if !e.beyond(v, e.o.Level) {
		return nil, nil
	}
	begin := e.trend.from()
	if !e.enough(begin) {
		return nil, nil
	}
	l := e.trend.fit(begin)
	if !finite(l.slope) || !finite(l.now) {
		return nil, fmt.Errorf("detect: no line fits readings as large as %v", v)
	}
	rising := e.o.Limit > e.o.Level
	if l.slope == 0 || rising != (l.slope > 0) {
		return nil, nil
	}
	left := l.until(e.o.Limit)
	if left > e.o.Within {
		return nil, nil
	}
	return e.report(v, l, left), nil
}

// beyond tells whether v lies past ref on the way to the limit.
func (e *exhaustion) beyond(v, ref float64) bool {
	if e.o.Limit > e.o.Level {
		return v > ref
	}
	return v < ref
}

// enough asks for a line that is more than two looks of noise.
func (e *exhaustion) enough(begin int) bool {
	t := &e.trend
	return t.n-begin >= 5 && t.point(t.n-1).at-t.point(begin).at >= e.o.Window/4
}

func (e *exhaustion) report(v float64, l line, left time.Duration) []Finding {
	at := appendFloat(make([]byte, 0, 64), v, e.o.Limit)
	if e.o.Unit != "" {
		at = append(append(at, ' '), e.o.Unit...)
	}
	reached := e.beyond(v, e.o.Limit) || v == e.o.Limit
	if reached {
		at = append(at, " has reached "...)
	} else {
		at = append(at, " will reach "...)
	}
	at = appendFloat(at, e.o.Limit, e.o.Limit)
	if !reached {
		at = append(append(at, " in "...), roughly(left)...)
	}
	severity := Warning
	if e.o.Critical != -1 && (reached || left <= e.o.Critical) {
		severity = Critical
	}
	if e.last != nil && e.last[0].Summary == string(at) && e.last[0].Value == v && e.last[0].Severity == severity {
		return e.last[:]
	}
	f := Finding{Severity: severity, Summary: string(at), Value: v, Limit: e.o.Limit, Unit: e.o.Unit}
	if !reached {
		f.Evidence = []slog.Attr{
			slog.Float64("slope_per_hour", l.slope*3600),
			slog.Duration("time_left", left),
		}
	}
	e.last = &[1]Finding{f}
	return e.last[:]
}

// roughly writes a forecast with the digits that it deserves.
func roughly(d time.Duration) string {
	switch {
	case d == math.MaxInt64:
		return "centuries"
	case d >= 10*time.Minute:
		d = d.Round(time.Minute)
	case d >= time.Minute:
		d = d.Round(10 * time.Second)
	case d >= time.Second:
		d = d.Round(time.Second)
	default:
		return "less than a second"
	}
	return shortSpan(d)
}
