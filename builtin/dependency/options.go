package dependency

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A Target is one dependency: how to ask it, how it is called, or both. One of
// Check, URL, Addr and Client is required, and at most one of the first three.
type Target struct {
	// Name is the key of its findings: "payments", "orders-db".
	Name string
	// Check is any health check: nil is well. (*sql.DB).PingContext and the
	// functions of health check libraries fit as they are. One that ignores its
	// context is not called again before it returned.
	Check func(ctx context.Context) error
	// URL is asked by HTTP, as [HTTPCheck] does.
	URL string
	// Addr is "host:port", connected to as [TCPCheck] does.
	Addr string
	// Client is what the calls of this process go through. Its breaker counts as a
	// sign, and the ladder works on it.
	Client *Client
}

// Options are for [Module]. At least one target is required: no pack can guess
// what a service depends on. Everything else has a default.
type Options struct {
	// Targets are the dependencies, at most 1,000, each under its own name.
	Targets []Target
	// Every is the interval of the looks. 0: 5 s, our choice: half of a kubelet's
	// probe period.
	Every time.Duration
	// Timeout is how long one probe may take. 0: 1 s (the kubelet's
	// timeoutSeconds).
	Timeout time.Duration
	// Failures is how many probes must fail in a row. 0: 3 (the kubelet's
	// failureThreshold).
	Failures int
	// Successes is how many must succeed in a row for a target to be well again. 0:
	// 2 (our choice: one answer between two silences is no recovery).
	Successes int
	// Phi judges by phi-accrual instead of Failures: a success is a beat, and what
	// is unlikely by the target's own rhythm is a fault. Its zero fields mean a
	// threshold of 8, a first guess of Every and a least deviation of a quarter of
	// Every. nil: Failures.
	Phi *detect.PhiOptions
	// Witness asks peers of this process how they see a target that is down here:
	// over whatever connects them. It is asked at most every 30 s a target, within
	// a second, and again before Unready. What it says stands in the finding; its
	// error says that nobody could be asked. nil: no witnesses.
	Witness func(ctx context.Context, target string) (Opinion, error)
	// WarnRate is the share of failed, or of slow, calls of a Client from which
	// people are told though the breaker holds, where its window has MinCalls. 0: 0.1 (our choice); -1: the watch
	// degraded is left out.
	WarnRate float64
	// PageAfter is how long the ladder's measures are given before people are
	// called. 0: 10 min (PLAYBOOKS.md, XS-1).
	PageAfter time.Duration
	// Unready takes this process out of the balancer, and puts it back. It is a
	// step only where it is set, reaches the peers (a fleet must grant it), and
	// does not apply unless Witness says that the target is well for most of the
	// peers asked: what all of them see is no reason to leave. nil: no such step.
	Unready func(ctx context.Context, unready bool) error
}

// An Opinion is how peers see a target.
type Opinion struct {
	Asked int // peers that answered
	Sick  int // of them, those for which the target is down too
}

// onlyHere says whether most peers see nothing wrong.
func (o Opinion) onlyHere() bool { return o.Asked > 0 && 2*o.Sick < o.Asked }

// Defaults; the fields that they belong to say where they are from.
const (
	defaultEvery     = 5 * time.Second
	defaultTimeout   = time.Second
	defaultFailures  = 3
	defaultSuccesses = 2
	defaultWarnRate  = 0.1
	defaultPageAfter = 10 * time.Minute

	maxTargets   = 1000
	parallel     = 16 // probes at once
	witnessEvery = 30 * time.Second
	witnessTime  = time.Second
)

func (o Options) withDefaults() Options {
	o.Targets = slices.Clone(o.Targets)
	or(&o.Every, defaultEvery)
	or(&o.Timeout, defaultTimeout)
	or(&o.Failures, defaultFailures)
	or(&o.Successes, defaultSuccesses)
	or(&o.WarnRate, defaultWarnRate)
	or(&o.PageAfter, defaultPageAfter)
	if o.Phi != nil {
		phi := *o.Phi
		or(&phi.FirstGap, o.Every)
		or(&phi.MinDeviation, o.Every/4)
		o.Phi = &phi
	}
	return o
}

// problem is everything that is wrong with the options, each with what to do.
func (o *Options) problem() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("dependency: Options."+format, args...))
	}
	if n := len(o.Targets); n == 0 {
		bad("Targets is empty: name what the service depends on, or do not install the pack")
	} else if n > maxTargets {
		bad("Targets has %d targets: use at most %d", n, maxTargets)
	}
	seen := map[string]bool{}
	for i, t := range o.Targets {
		name := fmt.Sprintf("Targets[%d] %q", i, t.Name)
		if t.Name == "" {
			bad("%s has no Name: findings go by it", name)
		} else if why := badName(t.Name); why != "" {
			bad("%s: its Name %s", name, why)
		} else if seen[t.Name] {
			bad("%s: another target has the same Name: rename one", name)
		}
		seen[t.Name] = true
		for _, err := range t.problems() {
			bad("%s: %w", name, err)
		}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Every", o.Every}, {"Timeout", o.Timeout}, {"PageAfter", o.PageAfter}} {
		if d.d < 0 {
			bad("%s is %v: use a positive time, or 0 for the default", d.name, d.d)
		}
	}
	for _, n := range []struct {
		name string
		n, d int
	}{{"Failures", o.Failures, defaultFailures}, {"Successes", o.Successes, defaultSuccesses}} {
		if n.n < 0 {
			bad("%s is %d: use a positive number, or 0 for %d", n.name, n.n, n.d)
		}
	}
	if !(o.WarnRate >= 0 && o.WarnRate <= 1) && o.WarnRate != -1 || math.IsNaN(o.WarnRate) {
		bad("WarnRate is %v: use a share of up to 1, 0 for %v, or -1 for no such watch", o.WarnRate, defaultWarnRate)
	}
	if o.Phi != nil {
		if err := detect.PhiAccrual(*o.Phi).Validate(); err != nil {
			bad("Phi: %w", err)
		}
	}
	if o.Unready != nil && o.Witness == nil {
		bad("Unready is set without Witness: a process leaves only where its peers see nothing wrong, so set Witness too, or drop Unready")
	}
	return errors.Join(errs...)
}

func (t *Target) problems() []error {
	var errs []error
	ways := 0
	for _, set := range []bool{t.Check != nil, t.URL != "", t.Addr != ""} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		errs = append(errs, errors.New("it has more than one of Check, URL and Addr: use one"))
	case ways == 0 && t.Client == nil:
		errs = append(errs, errors.New("it has no Check, URL, Addr or Client: set one"))
	}
	if t.URL != "" {
		if err := checkURL(t.URL); err != nil {
			errs = append(errs, err)
		}
	}
	if t.Addr != "" {
		if _, _, err := net.SplitHostPort(t.Addr); err != nil {
			errs = append(errs, fmt.Errorf("its Addr %q is not host:port: %w", t.Addr, err))
		}
	}
	if t.Client != nil && t.Client.Validate() != nil {
		errs = append(errs, fmt.Errorf("its Client: %w", t.Client.Validate()))
	}
	return errs
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("its URL cannot be parsed: write it in full, with http:// or https://") // the error would quote what may hold a password
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("its URL %q is not one: write it in full, with http:// or https://", u.Redacted())
	}
	return nil
}

// check is how the target is probed; nil where it is not.
func (t *Target) check() func(context.Context) error {
	switch {
	case t.Check != nil:
		return t.Check
	case t.URL != "":
		return HTTPCheck(HTTPOptions{URL: t.URL})
	case t.Addr != "":
		return TCPCheck(t.Addr)
	}
	return nil
}
