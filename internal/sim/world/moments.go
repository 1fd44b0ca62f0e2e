package world

import (
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// Here are the moments at which a fault does most harm. At random times the same
// faults would find little: each promise has a moment at which it is in danger.

// claimed is when the supervisor has just said something of itself.
func (p *process) claimed(ev *incident.Event) {
	m, w := p.m, p.m.w
	switch ev.Kind {
	case incident.EvHold:
		switch ev.Rail {
		case remediate.RailTilt, remediate.RailCooldown, remediate.RailConcurrency, remediate.RailExclusive, remediate.RailBudget:
			m.maybeBlind(p.byName[ev.Watch].watch, 0.04, 6*time.Hour) // nobody is told of these for a while
		}
	case incident.EvStorm:
		if w.strikes(Kill, 1) {
			p.after(w.span(Kill, time.Millisecond, 3*time.Minute), func() { m.crash(Kill, "in a storm") })
		}
	}
}

// sickDisk is when the disk has failed an effect: what is thought to be on it may
// not be.
func (m *machine) sickDisk() {
	if m.w.strikes(PowerCut, 0.5) {
		m.w.after(m.w.span(PowerCut, time.Millisecond, time.Minute), func() { m.crash(PowerCut, "soon after its disk has failed") })
	}
}

// touched is when a step has begun to work on what a watch looks at: for a while,
// its detector may fail or lag.
func (m *machine) touched(x *watch) {
	m.busy[x.n] = m.w.now + 2*time.Minute
	m.maybeBlind(x, 0.05, 2*time.Minute)
}

// failed is when a step has failed, and may be tried again soon.
func (m *machine) failed(x *watch, step int) {
	if x.Playbook.Steps[step].Retry.Attempts() > 1 {
		m.maybeBlind(x, 0.5, 2*time.Minute)
	}
}

func (m *machine) maybeBlind(x *watch, p float64, most time.Duration) {
	if m.w.strikes(BlindDetector, p) {
		m.goesBlind(x, m.w.span(BlindDetector, time.Second, most))
	}
}

// goesBlind lets a detector fail for a while. It knows, and asks to be looked at.
func (m *machine) goesBlind(x *watch, d time.Duration) {
	w := m.w
	w.tell(m, "the detector of %s is blind for %v", x.Name, d.Round(time.Second))
	m.blind[x.n] = max(m.blind[x.n], w.now+d)
	if p := m.p; p != nil && !p.over {
		if e := p.byName[x.Name]; e != nil {
			p.after(w.span(BlindDetector, 0, 5*time.Second), e.wake)
		}
	}
}
