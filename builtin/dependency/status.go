package dependency

import (
	"fmt"
	"strings"
	"time"
)

// Status is what a [Client] does now and has done so far.
type Status struct {
	Name  string
	State State
	// Why is what tripped the breaker; "" while it is closed.
	Why string
	// TrippedFor is how long ago the breaker tripped, while it has not closed
	// again; TryIn is when it lets a call through, while it is open.
	TrippedFor, TryIn time.Duration
	// LetIn is the share of calls that the breaker lets through.
	LetIn float64
	// Relapses is how often it tripped again on the way back.
	Relapses int
	// Broken, Cut and Muted say which measures of a playbook are in force: Break,
	// Cut and StopRetries.
	Broken, Cut, Muted bool
	// Calls, Failed and Slow are what the window holds and the breaker judges by;
	// Overdue are those of Slow that are still under way.
	Calls, Failed, Slow, Overdue int64
	// InFlight is how many calls are under way, however old.
	InFlight int64
	// Trips, Refused and Retries count since the client was made; Starved how
	// often its readings were dropped because this process stood still.
	Trips, Refused, Retries, Starved int64
}

// Status returns what the client does now. It is current whether or not anybody
// calls.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	b := &c.breaker
	b.advance(now, &c.o)
	c.publish(now)
	t := c.window.totals(now)
	s := Status{
		Name: c.o.Name, State: b.state, Why: b.why, Relapses: b.relapses,
		Broken: c.force > 0, Cut: c.cut > 0, Muted: c.mute > 0,
		Calls: t.calls(), Failed: t.failed, Slow: t.slow, Overdue: t.overdue, InFlight: t.inFlight,
		Trips: c.counts.trips, Refused: c.counts.refused, Retries: c.counts.retries, Starved: c.counts.starved,
	}
	if b.why != "" {
		s.TrippedFor = now - b.since
	}
	switch {
	case s.Broken:
	case b.state == Open:
		s.TryIn = b.until - now
	case b.state == Returning:
		s.LetIn = b.letIn(now)
	case b.state == Closed:
		s.LetIn = 1
	}
	return s
}

// String is the status on one line.
func (s Status) String() string {
	parts := []string{"breaker " + s.State.String()}
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.State == Returning, "%.0f%% of the calls pass", 100*s.LetIn)
	add(s.Why != "", "%s", s.Why)
	add(s.Relapses > 0, "%d relapses", s.Relapses)
	add(s.Broken, "held open")
	add(s.Cut, "concurrency cut")
	add(s.Muted, "retries stopped")
	add(s.InFlight > 0, "%d calls under way", s.InFlight)
	return strings.Join(parts, ", ")
}

// health is what the watches of the pack ask.
type health struct {
	sick     bool
	why      string
	relapses int
	judged   bool // enough calls for the shares to mean something
	failed   float64
	slow     float64
	calls    int64
}

func (c *Client) health() health {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	b := &c.breaker
	b.advance(now, &c.o)
	t := c.window.totals(now)
	h := health{why: b.why, relapses: b.relapses, calls: t.calls()}
	h.sick = b.sick(now, &c.o)
	h.judged = b.state == Closed && c.force == 0 && h.calls >= int64(c.o.MinCalls)
	h.failed, h.slow = share(t.failed, h.calls), share(t.slow, h.calls)
	return h
}
