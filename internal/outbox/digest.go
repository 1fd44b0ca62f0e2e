package outbox

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A digest is the one notice at the end of quiet hours for everything that
// began and ended in them, for one target. It is an entry of its own.
type digest struct {
	Target  string          `json:"target"`
	Count   int             `json:"count"`
	Names   []string        `json:"names"` // the first of them
	Worst   detect.Severity `json:"worst,omitempty"`
	Opened  time.Time       `json:"opened"` // the first
	Closed  time.Time       `json:"closed"` // the last
	Until   time.Time       `json:"until"`  // then it is told
	Service string          `json:"service,omitempty"`
}

// digestOf takes what ended in quiet hours, and was held all along, into the
// digests of those who would have been told.
func (m *Machine) digestOf(e *entry, in Resolve) {
	if !e.quiet || e.held == nil || *e.held == escalate.Ask || e.taken() {
		return
	}
	told := map[string]bool{}
	for i, l := range e.plan.Levels {
		if !e.concerns(i) || m.now-e.began < l.After {
			continue
		}
		for _, target := range l.To {
			if !told[target] {
				told[target] = true
				m.digested(target, e, in)
			}
		}
	}
}

func (m *Machine) digested(target string, e *entry, in Resolve) {
	d := m.digests[target]
	if d == nil {
		d = m.newEntry(m.id()+"d", true)
		d.digest = &digest{Target: target}
		m.digests[target] = d
	}
	x := d.digest
	x.Count++
	if len(x.Names) < listed {
		x.Names = append(x.Names, name(in.Incident))
	}
	opened := e.last.Incident.Opened
	if opened.IsZero() {
		opened = m.epoch.Add(e.began)
	}
	if x.Opened.IsZero() || opened.Before(x.Opened) {
		x.Opened = opened
	}
	x.Closed = m.epoch.Add(m.now)
	if until := m.epoch.Add(e.quietUntil); until.After(x.Until) {
		x.Until = until
	}
	x.Worst = max(x.Worst, e.severity())
	if x.Service == "" {
		x.Service = in.Incident.Service
	}
	m.touch(d)
	m.scheduleDigest(d)
}

// turnDigest tells it, when its time has come or when there is no later.
func (m *Machine) turnDigest(e *entry) {
	x, now := e.digest, m.epoch.Add(m.now)
	if m.stopped || e.closed || now.Before(x.Until) && (!m.draining || m.opt.Durable) {
		m.scheduleDigest(e)
		return
	}
	delete(m.digests, x.Target)
	what := "1 incident"
	if x.Count > 1 {
		what = fmt.Sprintf("%d incidents", x.Count)
	}
	m.say(e, escalate.Notification{DedupKey: e.key, At: now, Count: x.Count, Incident: escalate.Incident{
		ID: e.key, Watch: self, Service: x.Service, State: escalate.Closed, Opened: x.Opened, Closed: x.Closed,
		Symptoms: x.Names, Detail: "they needed nobody: this is all that is said of them",
		Finding: detect.Finding{
			Key: "digest", Severity: x.Worst, Value: float64(x.Count), Unit: "incidents",
			Summary: what + " began and ended in quiet hours",
		},
	}})
	e.closed = true
	m.handAll(e, []string{x.Target}, handing{kind: escalate.Resolve, level: 1})
	m.scheduleDigest(e)
	m.forget(e)
}

func (m *Machine) scheduleDigest(e *entry) {
	if e.closed || m.draining {
		m.timers.unset(&e.timer)
		return
	}
	m.timers.set(&e.timer, max(m.now+1, min(e.digest.Until.Sub(m.epoch), m.now+clockCheck)))
}
