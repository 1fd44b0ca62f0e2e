package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// The keys of [Clock].
const (
	stepKey = "step"           // the wall clock jumped
	skewKey = "skew"           // it is off, as far as is known
	syncKey = "unsynchronised" // nothing keeps it any more
)

// ClockOptions are for [Clock].
type ClockOptions struct {
	// Early is the offset or jump of which people are warned. 0 means 50 ms (S).
	Early time.Duration
	// Act is the one from which the clock is not to be trusted and people are called.
	// 0 means 500 ms (S). Either ends below half of Early.
	Act time.Duration
	// ShowFor is how long a jump stays a finding. 0 means 2 min.
	ShowFor time.Duration
	// Reference tells how far the wall clock is behind (positive) or ahead of a better
	// one, like [SNTP]. nil means what the kernel was told by the time daemon, if any:
	// the offset that it still has to correct, which is no measurement, and that is 0
	// with chrony.
	Reference func(ctx context.Context) (time.Duration, error)
	// ReferenceEvery is how often Reference is asked. 0 means 64 s, the shortest
	// interval at which NTP clients poll as a rule (RFC 5905); at least 15 s, below
	// which public servers refuse.
	ReferenceEvery time.Duration
	// RequireSync finds a clock that was never synchronised, too. Without it only one
	// that was is missed: many virtual machines are kept by their hypervisor and
	// never say so. With it the watch is blind where the kernel does not tell.
	RequireSync bool
	// Trust is told by the watch how far the clock can be trusted. nil: nobody is.
	Trust *Trust

	read func() reading
	tell func() (kernelClock, error)
}

func (o ClockOptions) effective() ClockOptions {
	fill(&o.Early, 50*time.Millisecond)
	fill(&o.Act, 500*time.Millisecond)
	fill(&o.ShowFor, 2*time.Minute)
	fill(&o.ReferenceEvery, 64*time.Second)
	if o.tell == nil {
		o.tell = kernelTime
	}
	return o
}

func (o Options) clockProblem() error {
	m := o.common()
	c := o.Clock
	if !(c.Early > 0 && c.Early <= c.Act) {
		m.say("the levels of Clock are early %v, act %v: use rising times above 0", c.Early, c.Act)
	}
	m.atLeast("Clock.ShowFor", c.ShowFor, time.Second)
	m.atLeast("Clock.ReferenceEvery", c.ReferenceEvery, 15*time.Second)
	return m.join()
}

// Trust is the state of the clock as the service should take it. Ask it before a
// lease is taken or renewed or a token is issued; durations are safe in any case,
// since Go measures them by the monotonic clock. It is no step of a ladder: it must
// hold for as long as the clock is wrong, and a measure that heals nothing is taken
// back. The zero value trusts. It is safe for concurrent use.
type Trust struct {
	mu  sync.Mutex
	why string
}

// Trusted says whether the clock can be trusted, and if not why.
func (t *Trust) Trusted() (ok bool, why string) {
	if t == nil {
		return true, ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why == "", t.why
}

func (t *Trust) set(why string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.why = why
}

// reading is both clocks at one moment, and for how long the machine has been
// suspended: that is no step, though the wall clock leaps.
type reading struct {
	wall, mono, suspended time.Duration
}

// kernelClock is what the kernel knows of the wall clock (adjtimex(2)).
type kernelClock struct {
	offset time.Duration
	synced bool
}

// clock watches the wall clock (LX-7).
type clock struct {
	o       ClockOptions
	invalid error

	mu      sync.Mutex
	origin  time.Time
	begun   bool
	base    time.Duration // wall less monotonic
	slept   time.Duration
	at      time.Duration // of the last look
	step    time.Duration // the largest jump that is shown
	stepAt  time.Duration
	stepped bool
	skew    stages
	synced  bool // it was, once
	asked   bool
	askedAt time.Duration
	offset  time.Duration
	failed  error
	retry   bool // it failed for the first time
}

func newClock(o Options) *clock {
	c := &clock{o: o.Clock, invalid: o.clockProblem(), origin: time.Now()}
	if c.o.read == nil {
		c.o.read = func() reading {
			now := time.Now()
			return reading{time.Duration(now.UnixNano()), now.Sub(c.origin), suspended()}
		}
	}
	return c
}

func (c *clock) Validate() error { return c.invalid }

func (c *clock) Detect(ctx context.Context) ([]detect.Finding, error) {
	if c.invalid != nil {
		return nil, c.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.consult(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchStep()
	known, offset, synced, err := c.measure()
	var found []detect.Finding
	if c.stepped {
		found = append(found, c.stepFinding())
	}
	if known {
		off := offset.Abs()
		if c.skew.move(off > c.o.Early, off > c.o.Act, off < c.o.Early/2); c.skew.any() {
			found = append(found, c.skewFindings(offset)...)
		}
	}
	switch {
	case synced:
		c.synced = true
	case c.synced || c.o.RequireSync:
		found = append(found, detect.Finding{Key: syncKey, Summary: "nothing synchronises the clock: the kernel has given up on its time daemon"})
	}
	c.trust(found, err)
	return found, err
}

// trust passes on the worst that is known. Where nothing is known any more what was
// last known stands.
func (c *clock) trust(found []detect.Finding, err error) {
	if c.o.Trust == nil {
		return
	}
	for _, f := range found {
		if f.Severity == detect.Critical {
			c.o.Trust.set(f.Summary)
			return
		}
	}
	if err == nil {
		c.o.Trust.set("")
	}
}

// watchStep compares the wall clock with the monotonic one.
func (c *clock) watchStep() {
	r := c.o.read()
	jump := c.jump(r)
	// Between its two readings a starved process may be put aside, which looks like
	// a jump there and one back. The smallest of a few is the true one.
	for n := 0; n < 3 && jump.Abs() > c.tolerance(r.mono); n++ {
		next := c.o.read()
		if j := c.jump(next); j.Abs() < jump.Abs() {
			r, jump = next, j
		}
	}
	if c.stepped && r.mono-c.stepAt >= c.o.ShowFor {
		c.stepped, c.step = false, 0
	}
	if jump.Abs() > c.tolerance(r.mono) {
		if jump.Abs() >= c.step.Abs() {
			c.step = jump
		}
		c.stepped, c.stepAt = true, r.mono
	}
	c.begun, c.base, c.slept, c.at = true, r.wall-r.mono, r.suspended, r.mono
}

func (c *clock) jump(r reading) time.Duration {
	if !c.begun {
		return 0
	}
	jump := r.wall - r.mono - c.base
	if slept := r.suspended - c.slept; slept > 0 {
		jump -= slept
	}
	return jump
}

// tolerance is Early, and what a clock that is slewed gently may gain or lose since
// the last look: 500 ppm, the most that the kernel does by itself.
func (c *clock) tolerance(mono time.Duration) time.Duration {
	return c.o.Early + max(mono-c.at, 0)/2000
}

func (c *clock) stepFinding() detect.Finding {
	way := "forward"
	if c.step < 0 {
		way = "back"
	}
	f := detect.Finding{
		Key: early(stepKey), Summary: fmt.Sprintf("the wall clock jumped %s by %v", way, c.step.Abs().Round(time.Millisecond)),
		Value: c.step.Abs().Seconds(), Limit: c.o.Early.Seconds(), Unit: "s",
	}
	if c.step.Abs() > c.o.Act {
		f.Key, f.Severity, f.Limit = stepKey, detect.Critical, c.o.Act.Seconds()
	}
	return f
}

func (c *clock) skewFindings(offset time.Duration) []detect.Finding {
	way := "behind"
	if offset < 0 {
		way = "ahead"
	}
	l := Levels{Early: c.o.Early.Seconds(), Act: c.o.Act.Seconds(), Clear: c.o.Early.Seconds() / 2}
	text := fmt.Sprintf("the clock is %v %s", offset.Abs().Round(time.Millisecond), way)
	found := c.skew.findings(skewKey, text, "s", l, offset.Abs().Seconds(), 1, func(s float64) string {
		return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
	})
	if c.failed == nil && c.o.Reference != nil {
		for i := range found {
			found[i].Evidence = []slog.Attr{slog.String("measured by", "reference")}
		}
	}
	return found
}

// askAgain is how soon a reference that failed once is asked again: one lost packet is
// not to make the watch blind for long, and a server that fails or refuses is not to be
// pressed.
const askAgain = 15 * time.Second

// consult asks the reference if it is time to, without the lock.
func (c *clock) consult(ctx context.Context) {
	if c.o.Reference == nil || !c.due() {
		return
	}
	offset, err := c.o.Reference(ctx)
	if err != nil {
		err = fmt.Errorf("host: the reference clock: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retry = err != nil && c.failed == nil
	c.offset, c.failed = offset, err
	if err != nil && ctx.Err() != nil {
		c.asked = false // it was not given the time
	}
}

func (c *clock) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := c.o.ReferenceEvery
	if c.retry {
		every = askAgain
	}
	now := time.Since(c.origin)
	if c.asked && now-c.askedAt < every {
		return false
	}
	c.asked, c.askedAt = true, now
	return true
}

// measure says how far the clock is off, if that is known, and whether it is kept.
func (c *clock) measure() (known bool, offset time.Duration, synced bool, err error) {
	k, err := c.o.tell()
	told := err == nil
	if !c.o.RequireSync && (errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission)) {
		err = nil // systemd's ProtectClock= forbids to ask: jumps are seen all the same
	} else if err != nil {
		err = fmt.Errorf("host: the kernel does not tell of its clock: %w", err)
	}
	synced = k.synced || !told // what is not known is not missed
	if c.o.Reference == nil {
		return told && k.synced, k.offset, synced, err
	}
	if c.failed != nil {
		err = errors.Join(err, c.failed)
	}
	return c.failed == nil, c.offset, synced, err
}
