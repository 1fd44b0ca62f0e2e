package monitor

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
)

const (
	uncleanEnds   = 3
	uncleanWithin = time.Hour
	healthyAfter  = 10 * time.Minute
	calmFor       = 30 * time.Second
)

// Began is when a process begins its life, with what it found on the disk.
func (q *Machine) Began(at time.Duration, found []incident.Record) {
	x := (*machine)(q)
	if x.spoilt {
		x.forgetAll()
	}
	x.life++
	x.alive, x.began, x.durable, x.degraded, x.stopping = true, at, 0, false, false
	x.calmFrom, x.tiltUntil, x.safeMode = at, 0, 0
	clear(x.permits)
	clear(x.calls)
	x.restored(found)
	if x.unsure {
		x.booted = at
		for _, s := range x.silences {
			s.latest = max(s.latest, at+s.long)
		}
	}
	unclean := 0
	for _, l := range slices.Backward(x.lives) {
		if l.healthy || at-l.began > uncleanWithin {
			break
		}
		if !l.clean {
			unclean++
		}
	}
	if unclean >= uncleanEnds {
		x.safeMode = at + healthyAfter - rounding
	}
	x.lives = append(x.lives, lifeFact{began: at})
	x.halt.before = x.halt.on
}

// restored checks that every act that the world saw is in what a life finds, and
// every measure that is to be put back.
func (x *machine) restored(found []incident.Record) {
	var bad findings
	keys := map[resource]*incident.IncidentRecord{}
	for i := range found {
		if r := found[i].Incident; r != nil {
			keys[resource{r.Snapshot.Watch, r.Snapshot.Finding.Key}] = r
		}
	}
	for _, l := range x.ladders {
		r := keys[l.res]
		if l.isOpen && l.closing.at > 0 && (r == nil || r.Snapshot.ID != l.id || r.Closed) {
			l.isOpen, l.closed = false, true // it had closed, and died before that was acknowledged
		}
		if l.closed || l.attempt == 0 || l.loose {
			continue
		}
		if r == nil || r.Snapshot.ID != l.id || len(r.Snapshot.Attempts) < l.attempt {
			bad.add(RecordedFirst, "machine %d: attempt %d on %v was made, and after the crash nothing is on record of it", x.n, l.attempt, l.res)
		}
	}
	for k, u := range x.undos {
		r := keys[resource{u.watch, u.key}]
		l := x.ladders[k.incident]
		if u.done || u.failed || u.self || l == nil || l.loose {
			continue
		}
		settled := r != nil && r.Snapshot.ID == k.incident && (r.Closed || len(r.Snapshot.Attempts) >= k.attempt && r.Snapshot.Attempts[k.attempt-1].Undone)
		if settled {
			u.done = true // it was put back, and died before it could say so
			continue
		}
		n := -1
		if r != nil && r.Snapshot.ID == k.incident {
			n = slices.IndexFunc(r.Owed, func(o incident.OwedRecord) bool { return o.Attempt == k.attempt })
		}
		if n >= 0 {
			u.failed = r.Owed[n].Failed // it died before it could say so
			continue
		}
		bad.add(RecordedFirst, "machine %d: a measure on %s[%s] is to be put back, and after the crash nothing is on record of it", x.n, u.watch, u.key)
	}
	x.brokenIn(bad)
}

// Rebooted is when the machine begins anew. How long ago something was that is on
// record from before, nobody can tell then, and what waits, waits in full.
func (q *Machine) Rebooted() { (*machine)(q).unsure = true }

// Durable is when the journal acknowledged its writes up to a mark.
func (q *Machine) Durable(mark uint64) { (*machine)(q).durable = mark }

// Degraded is when the process is told that nothing is on record any more, or
// that all is again.
func (q *Machine) Degraded(on bool) {
	x := (*machine)(q)
	x.degraded = on
	if !on {
		for _, l := range x.ladders {
			l.loose = false // the snapshot has it
		}
	}
}

// Tilted is when the process learns that it was late, or that its clock stepped.
func (q *Machine) Tilted(at time.Duration) {
	x := (*machine)(q)
	x.tiltUntil = at + calmFor - rounding
}

// Paused is when a process goes on that was stopped for a while.
func (q *Machine) Paused(at time.Duration) {
	x := (*machine)(q)
	x.calmFrom = at
	for _, l := range x.ladders {
		if l.due > 0 {
			l.due = max(l.due, at+endsWithin)
		}
	}
}

// Healthy is when a life has lasted for long enough, and that is on record.
func (q *Machine) Healthy() {
	if x := (*machine)(q); len(x.lives) > 0 {
		x.lives[len(x.lives)-1].healthy = true
	}
}

// Stopping is when the process shuts down.
func (q *Machine) Stopping() { (*machine)(q).stopping = true }

// Ended is when a process ends in order.
func (q *Machine) Ended(at time.Duration) { (*machine)(q).over(at, true) }

// Died is when a process ends otherwise. What was not durable may be forgotten.
func (q *Machine) Died(at time.Duration) { (*machine)(q).over(at, false) }

// Damaged is when somebody spoilt what is on the disk: the next life cannot be held
// to what is no longer there.
func (q *Machine) Damaged() { (*machine)(q).spoilt = true }

// forgetAll begins new books.
func (x *machine) forgetAll() {
	fresh := newMachine(x.m, x.n)
	fresh.life, fresh.silences, fresh.booted, fresh.unsure = x.life, x.silences, x.booted, true
	for _, s := range fresh.silences {
		s.maybe = true
	}
	*x = *fresh
}

func (x *machine) over(at time.Duration, clean bool) {
	if !x.alive {
		return // it died before it had read its journal
	}
	x.alive = false
	clear(x.calls)
	clear(x.permits)
	x.moot()
	if n := len(x.lives); n > 0 {
		// Where it may be on record that it lasted, or ended in order, it counts so.
		x.lives[n-1].clean = clean || x.stopping
		x.lives[n-1].healthy = x.lives[n-1].healthy || at+rounding > x.began+healthyAfter
		if x.durable == 0 {
			x.lives = x.lives[:n-1] // not even its beginning is on record
		}
	}
	lost := func(f fact) bool { return f.at >= x.began && f.mark > x.durable }
	for k, u := range x.undos {
		if u.self {
			delete(x.undos, k)
			continue
		}
		u.returned = false
		u.done = u.done && !lost(u.doneAt)
		u.failed = u.failed && !lost(u.failedAt)
	}
	for id, l := range x.ladders {
		switch {
		case l.loose:
			x.forgetLadder(id)
		case lost(l.opened) && l.attempt == 0 || !l.isOpen && !l.closed:
			delete(x.ladders, id)
		case l.closed && lost(l.closing):
			l.closed, l.isOpen = false, true
		}
		l.crashed = l.crashed || l.running
		l.acted = l.acted || l.running
		l.running, l.due, l.lastRung, l.released, l.held, l.unwell = false, 0, 0, 0, "", false
		if lost(l.paged) {
			l.everPage = false
		}
		if l.approved < 0 && l.spentOn > 0 && lost(l.spent) {
			l.approved = l.spentOn // what it was good for never began
		}
		if l.closed && at > l.closing.at+24*time.Hour {
			delete(x.ladders, id)
		}
	}
	clear(x.looks)
	x.budget = slices.DeleteFunc(x.budget, lost)
	x.storm = slices.DeleteFunc(x.storm, func(o opened) bool { return lost(o.fact) })
	for r, c := range x.cooldowns {
		for c != nil && lost(c.fact) {
			c = c.before
		}
		x.cooldowns[r] = c
	}
	for w, b := range x.breakers {
		for b != nil && lost(b.fact) {
			b = b.before
		}
		x.breakers[w] = b
	}
	if x.stormOn != nil && lost(*x.stormOn) {
		x.stormOn, x.stormEnd = nil, at
	}
	for id, s := range x.silences {
		s.maybe = s.maybe || !s.durable
		if s.over.at > 0 && !lost(s.over) {
			delete(x.silences, id)
		}
		s.over = fact{}
	}
	x.unsure = x.unsure && x.durable == 0
	if x.halt.on && (!x.halt.durable || x.halt.resuming) {
		x.halt = halt{}
	}
	x.notices.forget(x.durable)
}

// forgetLadder drops what nobody can know any longer, because the journal took no
// records when it happened.
func (x *machine) forgetLadder(id string) {
	delete(x.ladders, id)
	for k := range x.undos {
		if k.incident == id {
			delete(x.undos, k)
		}
	}
}
