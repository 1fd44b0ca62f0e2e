package remediate

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Backoff says how often a rung is tried and how long the pauses are. The zero
// value is one try.
//
// The pause after the first failed try is Initial, and each further one is
// Multiplier times as long, up to Max. It is a plain value, safe to copy and
// for concurrent use.
type Backoff struct {
	// Tries is the number of tries in all. 0 and 1 mean one.
	Tries int
	// Initial is the first pause. 0 means 1 s.
	Initial time.Duration
	// Max caps the pauses. 0 means 1 min.
	Max time.Duration
	// Multiplier grows the pause from try to try. 0 means 2.
	Multiplier float64
	// Jitter spreads each pause by this share to both sides, 0 to 1. 0 means
	// none: set it where many processes retry against one thing.
	Jitter float64
}

// The defaults of [Backoff].
const (
	defaultInitial    = time.Second
	defaultMax        = time.Minute
	defaultMultiplier = 2
)

// Effective returns b with its defaults filled in. Fields that
// [Backoff.Validate] calls mistakes count as not set, so that a wrong value is
// never a hot loop.
func (b Backoff) Effective() Backoff {
	b.Tries = b.Attempts()
	if b.Initial <= 0 {
		b.Initial = defaultInitial
	}
	if b.Max <= 0 {
		b.Max = defaultMax
	}
	if !(b.Multiplier >= 1) { // also NaN
		b.Multiplier = defaultMultiplier
	}
	if !(b.Jitter >= 0) { // also NaN
		b.Jitter = 0
	}
	b.Jitter = min(b.Jitter, 1)
	return b
}

// Attempts is the number of tries in all, at least 1.
func (b Backoff) Attempts() int { return max(b.Tries, 1) }

// Pause is how long to wait after the given failed try, counted from 1. random
// is a number from [0,1) and chooses where in the range of the jitter the pause
// lies; without jitter it changes nothing. The same arguments give the same
// pause, which is never negative and never above Max, whatever the try.
//
// With jitter the whole range lies below Max, so that pauses at the cap stay
// spread: they lie around Max/(1+Jitter).
func (b Backoff) Pause(try int, random float64) time.Duration {
	b = b.Effective()
	if !(random >= 0 && random < 1) { // a caller's mistake: the middle harms least
		random = 0.5
	}
	limit := float64(b.Max)
	// A power instead of a loop of multiplications: a try of a billion costs
	// what the first costs, and what would overflow becomes +Inf.
	middle := float64(b.Initial) * math.Pow(b.Multiplier, float64(max(try, 1)-1))
	middle = min(middle, limit/(1+b.Jitter))
	// The conversion keeps the compiler from fusing multiplication and addition:
	// a recorded decision gives the same pause on every machine.
	pause := middle + float64(middle*b.Jitter*(2*random-1))
	switch {
	case pause >= limit:
		return b.Max
	case pause > 0:
		return time.Duration(pause)
	}
	return 0
}

// Validate returns what is wrong with b, each with what to do about it, and
// nil when nothing is.
func (b Backoff) Validate() []error {
	var errs []error
	if b.Tries < 0 {
		errs = append(errs, fmt.Errorf("retry: Tries is %d: use the number of tries in all, or 0 for one", b.Tries))
	}
	if b.Initial < 0 {
		errs = append(errs, fmt.Errorf("retry: Initial is %v: use the length of the first pause, or 0 for %v", b.Initial, defaultInitial))
	}
	if b.Max < 0 {
		errs = append(errs, fmt.Errorf("retry: Max is %v: use the longest pause, or 0 for %v", b.Max, defaultMax))
	}
	if e := b.Effective(); e.Max < e.Initial {
		errs = append(errs, fmt.Errorf("retry: Max (%v) is shorter than Initial (%v): raise Max or lower Initial", e.Max, e.Initial))
	}
	if b.Multiplier != 0 && !(b.Multiplier >= 1) || math.IsInf(b.Multiplier, 0) {
		errs = append(errs, fmt.Errorf("retry: Multiplier is %v: use 1 for equal pauses, more for growing ones, or 0 for %v", b.Multiplier, defaultMultiplier))
	}
	if !(b.Jitter >= 0 && b.Jitter <= 1) {
		errs = append(errs, fmt.Errorf("retry: Jitter is %v: use a share from 0 to 1", b.Jitter))
	}
	return errs
}

// String is b for people: "one try" or "3 tries, 1s ×2 to 1m, jitter 10%".
func (b Backoff) String() string {
	if b.Attempts() == 1 {
		return "one try"
	}
	b = b.Effective()
	s := fmt.Sprintf("%d tries, %v ×%v to %v", b.Tries, short(b.Initial), b.Multiplier, short(b.Max))
	if b.Jitter > 0 {
		s += fmt.Sprintf(", jitter %v%%", b.Jitter*100)
	}
	return s
}

// final says whether an error ends all tries.
func final(err error) bool {
	if errors.Is(err, ErrSkip) || errors.Is(err, ErrEscalate) {
		return true
	}
	_, recycle := Recycling(err)
	return recycle
}
