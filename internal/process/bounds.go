package process

import "time"

const (
	defaultMaxOutput = 64 << 10
	defaultGrace     = time.Second
	defaultWaitDelay = 2 * time.Second
)

// Bounds limit what one run of a program may take.
type Bounds struct {
	// MaxOutput bounds what is kept of standard output and standard error
	// together, in bytes: the first half and the last half. 0 means 64 KiB.
	MaxOutput int
	// Grace is how long the group may take to end after SIGTERM before it gets
	// SIGKILL. 0 means 1 s, or half of WaitDelay if that is less; -1 means SIGKILL
	// at once.
	Grace time.Duration
	// WaitDelay is how long the output is waited for after the program ended or
	// ctx did. 0 means 2 s.
	WaitDelay time.Duration
}

// Effective fills in the defaults. It is asked once: a Grace of 0 that it returns
// means SIGKILL at once.
func (b Bounds) Effective() Bounds {
	if b.MaxOutput == 0 {
		b.MaxOutput = defaultMaxOutput
	}
	if b.WaitDelay == 0 {
		b.WaitDelay = defaultWaitDelay
	}
	switch b.Grace {
	case 0:
		b.Grace = min(defaultGrace, b.WaitDelay/2)
	case -1:
		b.Grace = 0
	}
	return b
}

// Check tells bad what is wrong with bounds that were not made effective yet, each
// mistake with the name of its field and what to do about it.
func (b Bounds) Check(bad func(format string, args ...any)) {
	if b.MaxOutput < 0 {
		bad("MaxOutput is %d: use a number of bytes, or 0 for %d", b.MaxOutput, defaultMaxOutput)
	}
	if b.Grace < 0 && b.Grace != -1 {
		bad("Grace is %v: use a duration, 0 for %v, or -1 for none", b.Grace, defaultGrace)
	}
	if b.WaitDelay < 0 {
		bad("WaitDelay is %v: use a duration, or 0 for %v", b.WaitDelay, defaultWaitDelay)
	}
	if e := b.Effective(); b.WaitDelay >= 0 && e.Grace >= e.WaitDelay {
		bad("Grace (%v) is not shorter than WaitDelay (%v): raise WaitDelay or lower Grace", e.Grace, e.WaitDelay)
	}
}
