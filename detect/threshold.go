package detect

import (
	"context"
	"errors"
	"fmt"
)

// Threshold compares one number with a limit. [Above] and [Below] make it; its
// other methods are chained to that call and must not be called once Detect was.
// Detect and Validate are safe for concurrent use.
//
// A read that fails, or gives NaN or an infinity, is blind: Detect returns the
// error, and an alarm that was raised stays raised for the next reading.
type Threshold[N Number] struct {
	// What a healthy reading needs comes first, so that it lies together.
	read    func(context.Context) (N, error)
	problem error
	alarm   latch[N]
	level   level[N]
	wrong   string // a method that belongs to the other side
}

// Above returns a detector that finds what read returns being greater than
// limit. A value equal to limit is healthy. It heals when the value is at or
// below limit, or with [Threshold.ClearBelow] when it is below that level.
//
// The finding has Key "", the value and the limit, and a summary such as
// "9000 is above 5000". A [time.Duration] is summarized as one ("2m0s is above
// 1m0s"), and its Value and Limit are in seconds with Unit "s".
func Above[N Number](read func(context.Context) (N, error), limit N) *Threshold[N] {
	return newThreshold(read, level[N]{limit: limit})
}

// Below returns a detector that finds what read returns being less than limit.
// It is the mirror image of [Above]: a value equal to limit is healthy, and
// [Threshold.ClearAbove] asks for more before it heals. Its summaries read
// "3 is below 5".
func Below[N Number](read func(context.Context) (N, error), limit N) *Threshold[N] {
	return newThreshold(read, level[N]{limit: limit, below: true})
}

func newThreshold[N Number](read func(context.Context) (N, error), l level[N]) *Threshold[N] {
	t := &Threshold[N]{read: read, level: l}
	return t.checked()
}

// ClearBelow makes a threshold of [Above] heal only once the value is less than
// n, which must not be greater than the limit. In between, an alarm that was
// raised stays, and its summary says so: "3000 is not yet below 2000".
func (t *Threshold[N]) ClearBelow(n N) *Threshold[N] {
	if t.level.below {
		t.wrong = "ClearBelow belongs to Above: a threshold of Below heals with ClearAbove"
	} else {
		t.level.clear, t.level.hasClear = n, true
	}
	return t.checked()
}

// ClearAbove makes a threshold of [Below] heal only once the value is greater
// than n, which must not be less than the limit. In between, an alarm that was
// raised stays, and its summary says so: "6 is not yet above 8".
func (t *Threshold[N]) ClearAbove(n N) *Threshold[N] {
	if !t.level.below {
		t.wrong = "ClearAbove belongs to Below: a threshold of Above heals with ClearBelow"
	} else {
		t.level.clear, t.level.hasClear = n, true
	}
	return t.checked()
}

// Critical makes findings [Critical] whose value is beyond n: greater for
// [Above], less for [Below]. n must not be on the healthy side of the limit.
// Without it every finding is a [Warning].
func (t *Threshold[N]) Critical(n N) *Threshold[N] {
	t.level.critical, t.level.hasCritical = n, true
	return t.checked()
}

// Unit names what is counted: "9000 jobs is above 5000". For a [time.Duration]
// it is the unit of Value and Limit, one of ns, us, ms, s, m, h and d, and "s"
// unless set; the summary needs none.
func (t *Threshold[N]) Unit(unit string) *Threshold[N] {
	t.level.unit = unit
	return t.checked()
}

func (t *Threshold[N]) checked() *Threshold[N] {
	var errs []error
	if t.read == nil {
		errs = append(errs, errors.New("detect: a threshold has no read function: give it one"))
	}
	if t.wrong != "" {
		errs = append(errs, errors.New("detect: "+t.wrong))
	}
	t.problem = errors.Join(append(errs, t.level.problem())...)
	return t
}

// Validate reports a nil read function, a level that is not finite or lies on
// the wrong side of the limit, and a clear method of the other side.
func (t *Threshold[N]) Validate() error { return t.problem }

// Warm loads what a healthy Detect reads. See [Warmer].
func (t *Threshold[N]) Warm() {
	if t.read != nil && t.level.over(0) { // they may lie on two lines
		t.alarm.last.Load()
	}
}

// Detect reads once and judges what it read. It returns at most one finding. A
// threshold that Validate objects to is blind.
func (t *Threshold[N]) Detect(ctx context.Context) ([]Finding, error) {
	if t.problem != nil {
		return nil, t.problem
	}
	v, err := t.read(ctx)
	if err != nil {
		return nil, err // as it is: whoever shows it names the watch
	}
	if !finite(v) {
		return nil, fmt.Errorf("detect: read %v: that is neither healthy nor sick", v)
	}
	return t.alarm.judge(&t.level, v), nil
}
