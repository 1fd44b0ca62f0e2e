package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Func is a worker. It runs until ctx ends and then returns; context.Cause(ctx)
// says why it should. nil, or an error that wraps [ErrDone], says that its work is
// done for good; any other return before ctx ends, and a panic, is a failure. An
// error of some other context that it got hold of, a deadline of a query for
// one, is a failure like another.
//
// It calls beat at least once in each [Spec.Budget], from whatever goroutine makes
// the progress. beat costs a few nanoseconds and allocates nothing. That of a run
// which was replaced does nothing.
type Func func(ctx context.Context, beat func()) error

// A Server is what suture calls a service.
type Server interface {
	Serve(ctx context.Context) error
}

// Serve adapts a [Server]. It never beats: leave [Spec.Budget] zero.
func Serve(s Server) Func {
	if s == nil {
		return nil
	}
	return func(ctx context.Context, _ func()) error { return s.Serve(ctx) }
}

// Service is the spec of a [Server] as a suture supervisor would run it: it is
// started again whatever it returns, also nil. What ends it for good is said once
// for the group, by [GroupOptions].Done and End:
//
//	g := worker.NewGroup(worker.GroupOptions{Done: suture.ErrDoNotRestart, End: suture.ErrTerminateSupervisorTree})
//	g.Add(worker.Service("mailer", mailer))
func Service(name string, s Server) Spec { return Spec{Name: name, Run: Serve(s), Always: true} }

// A Spec is a worker of a [Group].
type Spec struct {
	// Name is unique in the group: the key of its findings, and the label
	// "selfheal_worker" of its goroutines in profiles.
	Name string
	// Run is the work.
	Run Func
	// Budget is the longest time between two beats. A worker that is silent for
	// [Options].Budgets times as long is stuck. 0: its silence is not watched.
	// Silence is seen in steps of [Options].Every.
	Budget time.Duration
	// Restart says how it is restarted. Zero fields: as the group says.
	Restart Restart
	// Always restarts it also when it returns nil.
	Always bool
	// Essential ends the whole group, with a *[GiveUpError] from Run, when this
	// worker is given up: for a service that is worthless without it.
	Essential bool
}

// Restart says how a worker that failed is started again. The count and the
// pauses are its own: no worker waits because another failed.
//
// The first failure after a calm time restarts at once. The pause of those that
// follow begins with Delay and doubles to MaxDelay; how far it has grown is
// halved by each Decay that the worker was up.
type Restart struct {
	// Intensity and Period are those of OTP: a failure after this many restarts
	// within the last Period gives the worker up. Intensity 0: 10; -1: it is
	// never given up. Period 0: 10 min. With the default pauses a worker that
	// fails at once is given up after about a minute. (OTP's own default, 1 in
	// 5 s, ends a service for two blips.)
	Intensity int
	Period    time.Duration
	// Delay is the first pause. 0: 100 ms; -1: no pauses at all.
	Delay time.Duration
	// MaxDelay is the longest. 0: 30 s.
	MaxDelay time.Duration
	// Jitter spreads each pause by this share to both sides, so that workers
	// which failed together do not come back together. 0: 0.5; -1: none.
	Jitter float64
	// Decay is the half-life of the pause. 0: 30 s, as in suture.
	Decay time.Duration
	// Quarantine is how long a worker that was given up stays down before it is
	// tried once more. It doubles with each trial that fails, to 1 h at most. 0:
	// 5 min; -1: it stays down until [Group.Restart] or [Group.Release].
	Quarantine time.Duration
}

// The defaults of [Restart].
const (
	defaultIntensity  = 10
	defaultPeriod     = 10 * time.Minute
	defaultDelay      = 100 * time.Millisecond
	defaultMaxDelay   = 30 * time.Second
	defaultJitter     = 0.5
	defaultDecay      = 30 * time.Second
	defaultQuarantine = 5 * time.Minute
	maxQuarantine     = time.Hour
)

// or returns r with its zero fields taken from d.
func (r Restart) or(d Restart) Restart {
	if r.Intensity == 0 {
		r.Intensity = d.Intensity
	}
	for _, f := range []struct{ is, def *time.Duration }{
		{&r.Period, &d.Period}, {&r.Delay, &d.Delay}, {&r.MaxDelay, &d.MaxDelay},
		{&r.Decay, &d.Decay}, {&r.Quarantine, &d.Quarantine},
	} {
		if *f.is == 0 {
			*f.is = *f.def
		}
	}
	if r.Jitter == 0 {
		r.Jitter = d.Jitter
	}
	r.MaxDelay = max(r.MaxDelay, r.Delay)
	return r
}

var defaultRestart = Restart{
	Intensity: defaultIntensity, Period: defaultPeriod, Delay: defaultDelay, MaxDelay: defaultMaxDelay,
	Jitter: defaultJitter, Decay: defaultDecay, Quarantine: defaultQuarantine,
}

func (r Restart) validate() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Intensity < -1 {
		bad("Restart.Intensity is %d: use a count, 0 for the default, or -1 to never give up", r.Intensity)
	}
	if r.Period < 0 {
		bad("Restart.Period is %v: use a duration, or 0 for the default", r.Period)
	}
	if r.Delay < -1 {
		bad("Restart.Delay is %v: use a duration, 0 for the default, or -1 for no pauses", r.Delay)
	}
	if r.MaxDelay < 0 {
		bad("Restart.MaxDelay is %v: use a duration, or 0 for the default", r.MaxDelay)
	}
	if r.MaxDelay > 0 && r.Delay > r.MaxDelay {
		bad("Restart.Delay (%v) is above MaxDelay (%v): lower it or raise the other", r.Delay, r.MaxDelay)
	}
	if !(r.Jitter >= 0 && r.Jitter <= 1) && r.Jitter != -1 {
		bad("Restart.Jitter is %v: use a share from 0 to 1, 0 for the default, or -1 for none", r.Jitter)
	}
	if r.Decay < 0 {
		bad("Restart.Decay is %v: use a duration, or 0 for the default", r.Decay)
	}
	if r.Quarantine < -1 {
		bad("Restart.Quarantine is %v: use a duration, 0 for the default, or -1 for until it is released", r.Quarantine)
	}
	return errs
}

// validate says what is wrong with the spec itself.
func (s Spec) validate() error {
	var errs []error
	if why := badName(s.Name); why != "" {
		errs = append(errs, errors.New(why))
	}
	if s.Run == nil {
		errs = append(errs, errors.New("has no Run: set the function that works"))
	}
	if s.Budget < 0 {
		errs = append(errs, fmt.Errorf("its Budget is %v: use the longest time between two beats, or 0 for none", s.Budget))
	}
	errs = append(errs, s.Restart.validate()...)
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("worker %q: %w", s.Name, errors.Join(errs...))
}

const longestName = 200

// badName says why a name cannot be a key.
func badName(name string) string {
	switch {
	case name == "":
		return "has no name: set one that is unique in its group"
	case len(name) > longestName:
		return fmt.Sprintf("its name has %d bytes: use at most %d", len(name), longestName)
	case !utf8.ValidString(name):
		return "its name is not valid UTF-8: use letters, digits and dashes"
	case strings.TrimSpace(name) != name:
		return "its name begins or ends with a space: remove it"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "its name has a character that cannot be printed: use letters, digits and dashes"
	}
	return ""
}

// Strategy says who is restarted beside a worker that failed, as in OTP. The
// order in which workers were added is the order of their dependencies: each may
// need those before it.
type Strategy uint8

// The strategies.
const (
	// OneForOne restarts the one that failed. Workers need nothing of each other.
	OneForOne Strategy = iota
	// RestForOne stops those that were added after the one that failed, the last
	// first, and starts all of them again in order.
	RestForOne
	// OneForAll does so with all workers of the group.
	OneForAll
)

var strategyNames = []string{"one-for-one", "rest-for-one", "one-for-all"}

// String returns "one-for-one", "rest-for-one" or "one-for-all".
func (s Strategy) String() string {
	if int(s) < len(strategyNames) {
		return strategyNames[s]
	}
	return fmt.Sprintf("strategy(%d)", uint8(s))
}
