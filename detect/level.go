package detect

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Number is what a threshold can compare: every integer and every float, and
// with them [time.Duration].
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr |
		~float32 | ~float64
}

// level is a limit with its hysteresis. Thresholds, rates and keyed thresholds
// judge through it, so that one number means the same everywhere.
type level[N Number] struct {
	limit                        N
	below, hasClear, hasCritical bool
	clear, critical              N
	unit                         string
}

// over tells whether v raises an alarm by itself.
func (l *level[N]) over(v N) bool {
	if l.below {
		return v < l.limit
	}
	return v > l.limit
}

// cleared tells whether v ends one. Between the two, what was before stays.
func (l *level[N]) cleared(v N) bool {
	switch {
	case !l.hasClear:
		return !l.over(v)
	case l.below:
		return v > l.clear
	default:
		return v < l.clear
	}
}

func (l *level[N]) isCritical(v N) bool {
	if !l.hasCritical {
		return false
	}
	if l.below {
		return v < l.critical
	}
	return v > l.critical
}

func (l *level[N]) finding(key string, v N) Finding {
	f := Finding{Key: key, Summary: l.summary(v), Unit: l.unit}
	if l.isCritical(v) {
		f.Severity = Critical
	}
	f.Value, f.Limit = float64(v), float64(l.limit)
	if isDuration[N]() {
		if f.Unit == "" {
			f.Unit = "s"
		}
		one := float64(timeUnit(f.Unit))
		f.Value, f.Limit = f.Value/one, f.Limit/one
	}
	return f
}

func (l *level[N]) summary(v N) string {
	ref, words := l.limit, " is above "
	switch over := l.over(v); {
	case l.below && over:
		words = " is below "
	case l.below:
		ref, words = l.clear, " is not yet above "
	case !over:
		ref, words = l.clear, " is not yet below "
	}
	b := appendNumber(make([]byte, 0, 48), v, ref)
	if l.unit != "" && !isDuration[N]() { // a duration carries its own unit
		if !strings.HasPrefix(l.unit, "/") {
			b = append(b, ' ')
		}
		b = append(b, l.unit...)
	}
	b = append(b, words...)
	return string(appendNumber(b, ref, ref))
}

// problem says everything that is wrong with the level.
func (l *level[N]) problem() error {
	var errs []error
	if !finite(l.limit) {
		errs = append(errs, fmt.Errorf("detect: the limit is %v: use a finite number", l.limit))
	}
	if l.hasClear {
		switch {
		case !finite(l.clear):
			errs = append(errs, fmt.Errorf("detect: the clear level is %v: use a finite number", l.clear))
		case l.below && l.clear < l.limit:
			errs = append(errs, fmt.Errorf("detect: the clear level %v lies below the limit %v: what is sick below the limit heals at or above it", l.clear, l.limit))
		case !l.below && l.clear > l.limit:
			errs = append(errs, fmt.Errorf("detect: the clear level %v lies above the limit %v: what is sick above the limit heals at or below it", l.clear, l.limit))
		}
	}
	if l.hasCritical {
		switch {
		case !finite(l.critical):
			errs = append(errs, fmt.Errorf("detect: the critical level is %v: use a finite number", l.critical))
		case l.below && l.critical > l.limit:
			errs = append(errs, fmt.Errorf("detect: the critical level %v lies above the limit %v: worse than the limit is below it", l.critical, l.limit))
		case !l.below && l.critical < l.limit:
			errs = append(errs, fmt.Errorf("detect: the critical level %v lies below the limit %v: worse than the limit is above it", l.critical, l.limit))
		}
	}
	if isDuration[N]() && l.unit != "" && timeUnit(l.unit) == 0 {
		errs = append(errs, fmt.Errorf("detect: a duration cannot be given in %q: use ns, us, ms, s, m, h or d", l.unit))
	}
	return errors.Join(errs...)
}

func timeUnit(name string) time.Duration {
	switch name {
	case "ns":
		return time.Nanosecond
	case "us", "µs":
		return time.Microsecond
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m", "min":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return 24 * time.Hour
	}
	return 0
}

// latch remembers one alarm: nil is healthy. The verdict is never changed once
// it was stored, so readers of an older answer are safe without a lock.
type latch[N Number] struct{ last atomic.Pointer[verdict[N]] }

type verdict[N Number] struct {
	value N
	out   [1]Finding
}

// judge moves the latch by one finite reading and returns what to report.
func (t *latch[N]) judge(l *level[N], v N) []Finding {
	for {
		last := t.last.Load()
		var next *verdict[N]
		switch {
		case last == nil && !l.over(v):
			return nil
		case last != nil && last.value == v:
			return last.out[:]
		case last == nil || !l.cleared(v):
			next = &verdict[N]{value: v, out: [1]Finding{l.finding("", v)}}
		}
		if t.last.CompareAndSwap(last, next) {
			if next == nil {
				return nil
			}
			return next.out[:]
		}
	}
}
