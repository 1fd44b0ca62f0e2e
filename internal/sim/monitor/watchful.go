package monitor

import (
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// slack is for the supervisor to take in what has come due: it may have just been
// busy, or asleep.
const slack = 30 * time.Second

const (
	blindChecks = 3
	blindFor    = time.Minute
	heldTooLong = 15 * time.Minute
	nobodyTold  = time.Hour
	// endTold is how long after its last rung a ladder may take to call people:
	// what had no effect is put back before, which may hang.
	endTold = 10 * time.Minute
)

// Looked is when the supervisor is handed what a detector answered: about a look
// that began at started.
func (q *Machine) Looked(at time.Duration, watch string, started time.Duration, present map[string]bool, err error) {
	x := (*machine)(q)
	l := x.look(watch)
	if l.earlier = append(l.earlier, l.answer); l.handed != at {
		l.earlier = l.earlier[:0]
	}
	l.handed, l.answer = at, answer{started, err, present}
	x.overdue(at, watch)
	if at > x.swept+time.Hour {
		x.swept = at
		x.sweep(at)
	}
}

// overdue checks what must have happened to the incidents of a watch by now.
func (x *machine) overdue(at time.Duration, watch string) {
	w := x.m.watches[watch]
	calm := max(x.calmFrom, x.began)
	if !x.alive || x.stopping || at < calm+slack {
		return
	}
	seen := x.look(watch)
	if b := seen.blindSince; b >= 0 && w.Pages && !seen.isTold && len(w.After) == 0 && !x.quiet(at) &&
		at > max(b, calm)+max(blindFor, blindChecks*w.Every)+slack {
		x.broken(Escalated, "machine %d: %s has been blind for %v, and nobody was told", x.n, watch, at-b)
	}
	var bad findings
	for _, l := range x.ladders {
		if l.res.watch != watch || l.closed {
			continue
		}
		if l.due > 0 && at > max(l.due, calm+endsWithin) {
			bad.add(NobodyWaits, "machine %d: a call for %v ended %v ago, and its attempt goes neither on nor ends", x.n, l.res, at-l.due+endsWithin)
		}
		if since := max(l.opened.at, x.booted) + nobodyTold; w.Pages && l.isOpen && !l.everPage && len(w.After) == 0 && x.stormOn == nil && l.held != remediate.RailStorm &&
			!x.quiet(at) && at > max(since, calm, x.stormEnd+nobodyTold)+slack {
			bad.add(Escalated, "machine %d: %v has been open for %v, and nobody was told", x.n, l.res, at-l.opened.at)
		}
		present, known := seen.sees(l.res.key)
		if !w.Pages || !l.isOpen || !present || !known || x.quiet(at) {
			continue
		}
		if l.lastRung > 0 && !l.everPage && len(w.After) == 0 && at > max(l.lastRung, calm)+endTold {
			bad.add(Escalated, "machine %d: the ladder of %v ended %v ago, and nobody was called", x.n, l.res, at-l.lastRung)
		}
		if l.held != "" && tellable(l.held) && !l.heldTold && at > max(l.heldFrom, calm)+heldTooLong+slack {
			bad.add(Escalated, "machine %d: %v has been held (%s) for %v, and nobody was told", x.n, l.res, l.held, at-l.heldFrom)
		}
	}
	x.brokenIn(bad)
}

// sweep drops what is over and on record.
func (x *machine) sweep(at time.Duration) {
	for id, l := range x.ladders {
		if l.closed && at > l.closing.at+30*time.Minute && (l.closing.at < x.began || l.closing.mark <= x.durable) {
			x.forgetLadder(id)
		}
	}
}
