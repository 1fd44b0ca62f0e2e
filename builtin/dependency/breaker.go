package dependency

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// State is where a breaker stands.
type State uint8

// The states.
const (
	Closed    State = iota // calls pass
	Open                   // calls are refused
	HalfOpen               // one call at a time is let through to try
	Returning              // a growing share of the calls passes
)

// String returns "closed", "open", "half-open" or "returning".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

var stateNames = [...]string{"closed", "open", "half-open", "returning"}

// MarshalText makes a state readable in JSON and logs.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// breaker is the machine of a client, a function of time and of what is put in.
// The lock of the client guards it.
type breaker struct {
	state    State
	since    time.Duration // when it tripped first, while it has not closed again
	until    time.Duration // Open: when it tries
	level    int           // how often the pause was doubled
	ramp     span
	relapses int // trips in the ramp since it was last closed
	why      string

	trials  uint64        // to tell trials apart
	trial   uint64        // the one under way; 0: none
	triedAt time.Duration // when it began
}

// advance does what only the time brings about.
func (b *breaker) advance(now time.Duration, o *ClientOptions) {
	switch b.state {
	case Open:
		if now >= b.until {
			b.state, b.trial = HalfOpen, 0
		}
	case HalfOpen:
		// A trial that hangs is an answer, and must not be the last one.
		if limit := b.patience(o); b.trial != 0 && now-b.triedAt >= limit {
			b.reopen(b.triedAt+limit, o)
			b.advance(now, o)
		}
	case Returning:
		if b.ramp.at(now) >= 1 {
			*b = breaker{trials: b.trials}
		}
	}
}

// patience is how long a trial may take.
func (b *breaker) patience(o *ClientOptions) time.Duration {
	if o.Slow > 0 {
		return o.Slow
	}
	return o.Window
}

// trip opens a breaker that was closed or returning.
func (b *breaker) trip(now time.Duration, o *ClientOptions, why string) {
	if b.state == Returning {
		b.relapses++
		b.level++
	} else {
		b.since = now
	}
	b.why = why
	b.open(now, o)
}

// reopen is the end of a trial that failed.
func (b *breaker) reopen(now time.Duration, o *ClientOptions) {
	b.level++
	if b.why == "" {
		b.why, b.since = "the first call that was let through failed", now
	}
	b.open(now, o)
}

// open draws the pause from the whole range: whoever was thrown out at the same
// instant does not come back at the same instant.
func (b *breaker) open(now time.Duration, o *ClientOptions) {
	longest := o.OpenFor
	for range min(b.level, 64) {
		if longest >= o.MaxOpen/2 {
			longest = o.MaxOpen
			break
		}
		longest *= 2
	}
	b.state, b.trial = Open, 0
	b.until = now + time.Duration(float64(longest)*(1-rand.Float64()))
}

// try takes the one permit of a half-open breaker.
func (b *breaker) try(now time.Duration) uint64 {
	b.trials++
	b.trial, b.triedAt = b.trials, now
	return b.trial
}

// back begins the way back.
func (b *breaker) back(now time.Duration, o *ClientOptions) {
	b.state, b.trial = Returning, 0
	b.ramp = span{now, time.Duration(float64(o.Ramp) * (1 + rand.Float64()))}
}

// letIn is the share of calls that may pass in a ramp.
func (b *breaker) letIn(now time.Duration) float64 { return rampFrom + (1-rampFrom)*b.ramp.at(now) }

// tripped says that calls are refused because the dependency is taken for sick.
func (b *breaker) tripped() bool { return b.state == Open || b.state == HalfOpen }

// sick is tripped without what nobody can tell any more: half-open, and for so
// long no caller came to try that it has no users to harm.
func (b *breaker) sick(now time.Duration, o *ClientOptions) bool {
	idle := b.state == HalfOpen && b.trial == 0 && now-b.until > o.MaxOpen
	return b.tripped() && b.why != "" && !idle
}

// judge trips the breaker where the window says so. c.mu is held.
func (c *Client) judge(now time.Duration) {
	b := &c.breaker
	if b.tripped() || c.force > 0 {
		return
	}
	t := c.window.totals(now)
	why := c.verdict(&t)
	if why == "" {
		return
	}
	b.trip(now, &c.o, why)
	c.counts.trips++
	c.row.Store(0)
	c.window.forget(now)
	c.publish(now)
}

// verdict says why the breaker should trip; "" where it should not.
func (c *Client) verdict(t *totals) string {
	n := t.calls()
	failed, slow := share(t.failed, n), share(t.slow, n)
	enough := n >= int64(c.o.MinCalls)
	row := c.row.Load() + t.overdue
	few := !enough && c.o.InARow > 0 && row >= int64(c.o.InARow)
	switch {
	case enough && failed >= c.o.FailureRate:
		return fmt.Sprintf("%d of %d calls failed within %v", t.failed, n, c.o.Window)
	case enough && c.o.Slow > 0 && slow >= c.o.SlowRate:
		return fmt.Sprintf("%d of %d calls took %v or more, %d of them are still under way", t.slow, n, c.o.Slow, t.overdue)
	// Beside calls that work a row of failures says little.
	case few && failed+share(t.overdue, n) >= c.o.FailureRate:
		return fmt.Sprintf("%d calls failed or hung in a row", row)
	}
	return ""
}

// refusal says why a call may not pass now. c.mu is held.
func (c *Client) refusal(now time.Duration) error {
	b := &c.breaker
	switch {
	case c.force > 0 || b.state == Open || b.state == HalfOpen && b.trial != 0:
		return c.errOpen
	case b.state == Returning && rand.Float64() >= b.letIn(now):
		return c.errReturning
	}
	if c.cut > 0 || c.uncut.at(now) < 1 {
		over := c.window.inFlight() >= int64(c.o.CutTo)
		if over && (c.cut > 0 || rand.Float64() >= c.uncut.at(now)) {
			return c.errBusy
		}
	}
	return nil
}
