package monitor

import (
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
)

// Halted is when a person halted all healing: from now on, whatever the disk says.
func (q *Machine) Halted(by string) {
	x := (*machine)(q)
	x.halt = halt{on: true, by: by}
}

// HaltAnswered is when that person was answered.
func (q *Machine) HaltAnswered(err error) {
	x := (*machine)(q)
	if x.halt.on && err == nil {
		x.halt.durable = true
	}
}

// Resuming is when a person asks for healing to go on, which may already be on
// record before it is so.
func (q *Machine) Resuming() { (*machine)(q).halt.resuming = true }

// Resumed is when the supervisor goes on. mark is that of the write which says so.
func (q *Machine) Resumed(at time.Duration, mark uint64) {
	x := (*machine)(q)
	if x.halt.on && mark > x.durable {
		x.broken(StopSurvives, "machine %d: it goes on, and that the halt is over is not on record: a crash would halt it again", x.n)
	}
	x.halt, x.resumed = halt{}, at
}

// ResumeRefused is when it says that it stays halted.
func (q *Machine) ResumeRefused() {
	x := (*machine)(q)
	x.halt.resuming, x.halt.durable = false, false
}

// Silenced is when a person silenced something for so long.
func (q *Machine) Silenced(at time.Duration, s incident.Silence, long time.Duration) {
	x := (*machine)(q)
	x.silences[s.ID] = &silence{Silence: s, until: at + long, long: long, latest: at + long, life: x.life}
}

// SilenceAnswered is when that person was answered.
func (q *Machine) SilenceAnswered(id string, err error) {
	if s := (*machine)(q).silences[id]; s != nil && err == nil {
		s.durable = true
	}
}

// Unsilenced is when a silence was lifted. It may come back with a crash.
func (q *Machine) Unsilenced(id string) {
	if s := (*machine)(q).silences[id]; s != nil {
		s.maybe = true
	}
}

// quiet says whether something may be silenced, as far as anybody knows, or was
// a moment ago.
func (x *machine) quiet(at time.Duration) bool {
	for _, s := range x.silences {
		if at <= s.latest+time.Minute {
			return true
		}
	}
	return false
}

// maybeSilenced says whether a resource may be silenced, as far as anybody knows.
func (x *machine) maybeSilenced(r resource, at time.Duration) bool {
	for _, s := range x.silences {
		if at <= s.latest+time.Second && matches(s, r) {
			return true
		}
	}
	return false
}

// endSilences notes which are over, now that the supervisor has taken that in, and
// forgets those of which that is on record.
func (x *machine) endSilences(now fact) {
	for id, s := range x.silences {
		switch {
		case s.over.at == 0 && now.at > s.latest+time.Second:
			s.over = now
		case s.over.at > 0 && s.over.mark <= x.durable && now.at > s.latest+time.Minute:
			delete(x.silences, id)
		}
	}
}

// silencedBefore says whether a silence of an earlier life covers a resource.
func (x *machine) silencedBefore(r resource, at time.Duration) bool {
	for _, s := range x.silences {
		if at < s.until && !s.maybe && matches(s, r) && s.life != x.life {
			return true
		}
	}
	return false
}

// Approved is when a person said yes to what an incident proposes.
func (q *Machine) Approved(at time.Duration, id string) {
	if l := (*machine)(q).ladders[id]; l != nil {
		l.approved = at
	}
}

// Acked is when a person took an incident over, and with it what could not be
// put back.
func (q *Machine) Acked(at time.Duration, mark uint64, id string) {
	x := (*machine)(q)
	for k, u := range x.undos {
		if k.incident == id && u.failed {
			u.done, u.doneAt = true, fact{at, mark}
		}
	}
	if l := x.ladders[id]; l != nil {
		l.known(fact{at, mark})
	}
}
