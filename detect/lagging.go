package detect

import "time"

// Lagging is a [Detector] that learns late that something is well: monitoring
// says "resolved" minutes after it is. Lag is how late at most; 0 is at once.
//
// A step that is judged by such a detector needs a Verify of its own, or a
// Settle of at least Lag: judged earlier, a fix that worked looks like one that
// did not, and the next step runs for nothing. The Validate of a supervisor
// refuses a step that has neither.
//
// [Any], [All] and [Confirm] lag as their slowest member does.
type Lagging interface{ Lag() time.Duration }

// lagOf is the lag of d, 0 if it has none.
func lagOf(d Detector) time.Duration {
	if l, ok := d.(Lagging); ok {
		return max(l.Lag(), 0)
	}
	return 0
}

// Lag is that of the slowest member.
func (g *group) Lag() time.Duration {
	lag := time.Duration(0)
	for _, d := range g.members {
		lag = max(lag, lagOf(d))
	}
	return lag
}

// Lag is that of the inner detector.
func (c *confirm) Lag() time.Duration { return lagOf(c.o.Detector) }
