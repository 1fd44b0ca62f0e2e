package dependency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// Outcome is what one call says about the dependency.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = iota // it works
	Failure                // it does not
	Ignored                // it says nothing: the caller gave up, or erred itself
)

// ClientOptions are for [NewClient]. The zero value is useful.
type ClientOptions struct {
	// Name is how people call the dependency, in errors and findings.
	Name string
	// Window is the time that the rates are taken over. It slides: it is never
	// cleared at fixed times. 0: 10 s (Hystrix, metrics.rollingStats).
	Window time.Duration
	// MinCalls is how many calls the window must hold before rates are judged. 0:
	// 20 (Hystrix, requestVolumeThreshold).
	MinCalls int
	// InARow is for windows with fewer calls than that: the breaker trips when so
	// many calls failed in a row, however far apart. It is not looked at where
	// rates can be, since it would trip on each blip of a busy service. 0: 5
	// (gobreaker's default); -1: never.
	InARow int
	// FailureRate is the share of calls that fail from which the breaker trips. 0:
	// 0.5 (Hystrix, errorThresholdPercentage).
	FailureRate float64
	// Slow is how long a call may take before it is slow, also while it is still
	// under way: calls that hang are seen before the first of them returns. A call
	// is never called slow before its time, and at most max(Slow/8, Window/100)
	// later. At most half of Window. A Slow of less than a tenth of Window costs two
	// readings of the clock a call. 0: half of Window, at most 5 s (our choice: few
	// calls that somebody waits for take that long); -1: no call is slow.
	Slow time.Duration
	// SlowRate is the share of calls that are slow from which the breaker trips.
	// 0: 0.5 (our choice).
	SlowRate float64
	// Judge says what an error means for the dependency; a nil error is OK. It must
	// be quick and safe for concurrent use. nil: [JudgeError].
	Judge func(err error) Outcome
	// OpenFor bounds the pause after the breaker tripped: it is drawn evenly from
	// 0 to OpenFor (full jitter), so that a fleet does not come back as one. It
	// doubles with each relapse, to MaxOpen. 0: 5 s (Hystrix, sleepWindow).
	OpenFor time.Duration
	// MaxOpen is the longest pause. 0: 1 min (our choice), or OpenFor where that
	// is more.
	MaxOpen time.Duration
	// Ramp is how long the way back takes: 10 % of the calls are let through at
	// first and all at its end. Its length is drawn from Ramp to twice Ramp. 0:
	// 2 min (PLAYBOOKS.md, XS-2: 10 to 100 % over 2-5 min). It cannot be turned
	// off: whoever returns at once, returns with everybody else.
	Ramp time.Duration
	// Retry is how often and with which pauses Do and Transport repeat a failed
	// call. Its Jitter counts as 1 (full) whatever it is. Zero: no retries.
	Retry remediate.Backoff
	// RetryBudget is the share of the calls of the window that may be retries, for
	// all callers together; one in a window may always be. 0: 0.1 (PLAYBOOKS.md,
	// XS-1); -1: no retries.
	RetryBudget float64
	// CutTo is how many calls may be under way at once while [Client.Cut] is in
	// force. 0: 10 (Hystrix, semaphore.maxConcurrentRequests).
	CutTo int
	// Degraded serves Do in place of a call that was refused: from a cache, or with
	// an empty answer. What it returns is what Do returns; it gets an error that
	// wraps [ErrRefused]. nil: Do returns that error.
	Degraded func(ctx context.Context, refused error) error
}

// Defaults of a client; the fields that they belong to say where they are from.
const (
	defaultWindow      = 10 * time.Second
	defaultMinCalls    = 20
	defaultInARow      = 5
	defaultFailureRate = 0.5
	defaultSlow        = 5 * time.Second
	defaultSlowRate    = 0.5
	defaultOpenFor     = 5 * time.Second
	defaultMaxOpen     = time.Minute
	defaultRamp        = 2 * time.Minute
	defaultRetryBudget = 0.1
	defaultCutTo       = 10

	rampFrom = 0.1 // the share that is let through when a ramp begins
	minCell  = time.Millisecond
)

// JudgeError takes every error for a failure of the dependency, except that the
// caller gave up (context.Canceled), which says nothing. A deadline that passed
// is a failure.
func JudgeError(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, context.Canceled):
		return Ignored
	}
	return Failure
}

func (o ClientOptions) withDefaults() ClientOptions {
	or(&o.Window, defaultWindow)
	or(&o.MinCalls, defaultMinCalls)
	or(&o.InARow, defaultInARow)
	or(&o.FailureRate, defaultFailureRate)
	or(&o.Slow, min(o.Window/2, defaultSlow))
	or(&o.SlowRate, defaultSlowRate)
	or(&o.OpenFor, defaultOpenFor)
	or(&o.MaxOpen, max(defaultMaxOpen, o.OpenFor))
	or(&o.Ramp, defaultRamp)
	or(&o.RetryBudget, defaultRetryBudget)
	or(&o.CutTo, defaultCutTo)
	if o.Judge == nil {
		o.Judge = JudgeError
	}
	o.Retry.Jitter = 1
	return o
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns everything that is wrong with the options, nil when nothing
// is.
func (o ClientOptions) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("dependency: ClientOptions."+format, args...))
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Window", o.Window}, {"OpenFor", o.OpenFor}, {"MaxOpen", o.MaxOpen}, {"Ramp", o.Ramp}} {
		if d.d < 0 {
			bad("%s is %v: use a positive time, or 0 for the default", d.name, d.d)
		}
	}
	if o.Window > 0 && o.Window < 100*minCell {
		bad("Window is %v: use at least %v, or 0 for %v", o.Window, 100*minCell, defaultWindow)
	}
	if o.MinCalls < 0 {
		bad("MinCalls is %d: use a positive number, or 0 for %d", o.MinCalls, defaultMinCalls)
	}
	if o.InARow < -1 {
		bad("InARow is %d: use a positive number, 0 for %d, or -1 for never", o.InARow, defaultInARow)
	}
	share := func(name string, v, d float64, minus string) {
		if !(v >= 0 && v <= 1) && !(v == -1 && minus != "") { // also NaN
			bad("%s is %v: use a share of up to 1, or 0 for %v%s", name, v, d, minus)
		}
	}
	share("FailureRate", o.FailureRate, defaultFailureRate, "")
	share("SlowRate", o.SlowRate, defaultSlowRate, "")
	share("RetryBudget", o.RetryBudget, defaultRetryBudget, ", or -1 for no retries")
	e := o.withDefaults()
	switch {
	case o.Slow < 0 && o.Slow != -1:
		bad("Slow is %v: use a positive time, 0 for %v, or -1 for none", o.Slow, defaultSlow)
	case o.Slow > 0 && e.Window > 0 && o.Slow > e.Window/2:
		bad("Slow (%v) is more than half of Window (%v): a call that hangs would leave the window before it is seen: lower Slow or raise Window", o.Slow, e.Window)
	}
	if o.MaxOpen > 0 && e.OpenFor > o.MaxOpen {
		bad("MaxOpen (%v) is shorter than OpenFor (%v): raise MaxOpen or lower OpenFor", o.MaxOpen, e.OpenFor)
	}
	if o.CutTo < 0 {
		bad("CutTo is %d: use a positive number, or 0 for %d", o.CutTo, defaultCutTo)
	}
	retry := o.Retry
	retry.Jitter = 0 // not read
	for _, err := range retry.Validate() {
		bad("Retry: %w", err)
	}
	if why := badName(o.Name); o.Name != "" && why != "" {
		bad("Name %q %s", o.Name, why)
	}
	return errors.Join(errs...)
}
