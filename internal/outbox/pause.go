package outbox

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// pauses are why the delays of an entry stand still. An acknowledgement lets
// the newest word through; the others hold it.
type pauses struct {
	stoodAt time.Duration // since when they stand still

	acked    bool
	ackBy    string
	ackEnds  bool // at ackUntil; else when it is resolved
	ackUntil time.Duration

	snoozed     bool
	snoozeBy    string
	snoozeUntil time.Duration
	snoozeAt    detect.Severity // how severe it was

	muted bool

	quiet      bool
	quietUntil time.Duration

	held   *escalate.Kind // what was to be told meanwhile
	ranOut string         // what ran out meanwhile, in words
}

// clockCheck is how often the wall clock is looked at while it decides when
// something is told: somebody may set it.
const clockCheck = 10 * time.Minute

func (p *pauses) paused() bool { return p.acked || p.silent() }
func (p *pauses) silent() bool { return p.snoozed || p.muted || p.quiet }

func (e *entry) clock(now time.Duration) time.Duration {
	if e.paused() {
		now = e.stoodAt
	}
	return now - e.base
}

// change sets what pauses an entry and lets its clock stand or go on.
func (m *Machine) change(e *entry, set func()) {
	was := e.paused()
	set()
	m.touch(e)
	switch is := e.paused(); {
	case is && !was:
		e.stoodAt = m.now
	case was && !is:
		e.base += m.now - e.stoodAt
	}
}

// taken says whether people were handed anything of e that is not over.
func (e *entry) taken() bool {
	return slices.ContainsFunc(e.lanes, func(l *lane) bool { return l.people })
}

func (m *Machine) ack(in Ack) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed || in.For < 0 {
		return
	}
	if e.group != nil {
		// Whoever takes a grouped notice takes what it tells of.
		for _, l := range e.group.sorted() {
			m.ack(Ack{DedupKey: l.entry.key, By: in.By, For: in.For})
		}
		return
	}
	if !e.taken() {
		return
	}
	m.change(e, func() {
		e.acked, e.ackBy, e.ackEnds, e.ranOut = true, in.By, in.For > 0, ""
		e.ackUntil = plus(m.now, in.For)
		e.snoozed = false
	})
	m.loosen(e)
	m.reassess(e)
	m.schedule(e)
}

func (m *Machine) snooze(in Snooze) {
	e := m.entries[in.DedupKey]
	if e == nil || e.closed || in.For <= 0 {
		return
	}
	if e.group != nil {
		for _, l := range e.group.sorted() {
			m.snooze(Snooze{DedupKey: l.entry.key, By: in.By, For: in.For})
		}
		return
	}
	if !e.taken() {
		return
	}
	m.change(e, func() {
		e.snoozed, e.snoozeBy, e.snoozeAt, e.ranOut = true, in.By, e.severity(), ""
		e.snoozeUntil = plus(m.now, in.For)
	})
	m.schedule(e)
}

func (m *Machine) mute(key string) {
	if e := m.entries[key]; e != nil && !e.closed {
		m.change(e, func() { e.muted = true })
		m.schedule(e)
	}
}

func (m *Machine) unmute(key string) {
	e := m.entries[key]
	if e == nil || e.closed || !e.muted {
		return
	}
	m.change(e, func() { e.muted = false })
	m.hush(e)
	m.loosen(e)
	m.advance(e)
	m.schedule(e)
}

// hush lets quiet hours begin or end for e, and a snooze that was meant for
// less.
func (m *Machine) hush(e *entry) {
	if e.closed {
		return
	}
	if e.snoozed && e.severity() > e.snoozeAt {
		m.change(e, func() { e.snoozed = false })
	}
	end, quiet := time.Time{}, false
	if e.severity() < detect.Critical && len(e.plan.Quiet.Windows) > 0 {
		end, quiet = e.plan.Quiet.Until(m.epoch.Add(m.now))
	}
	if quiet {
		e.quietUntil = end.Sub(m.epoch)
	}
	if quiet != e.quiet {
		m.change(e, func() { e.quiet = quiet })
	}
}

// loosen tells what was held, where nothing holds it any longer.
func (m *Machine) loosen(e *entry) {
	if e.silent() {
		return
	}
	if why := e.ranOut; why != "" && !e.acked {
		e.ranOut = ""
		m.touch(e)
		m.again(e, why)
	}
	if kind := e.held; kind != nil {
		e.held = nil
		m.touch(e)
		m.tell(e, *kind)
	}
}

func ranOut(what, by string) string {
	if by == "" {
		return "its " + what + " ran out"
	}
	return "the " + what + " by " + by + " ran out"
}
