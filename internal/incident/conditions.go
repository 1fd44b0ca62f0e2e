package incident

import (
	"fmt"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A condition is something about the supervisor itself that stops steps, and of
// which people are told when it begins and when it ends.
type condition struct {
	on      bool
	rail    remediate.Rail
	reason  escalate.Reason
	summary string
	then    string // what it means
	id      string
	why     string
	since   At
	begins  EventKind
	ends    EventKind
}

func safeModeCondition() condition {
	return condition{
		rail: remediate.RailSafeMode, reason: escalate.SafeMode, begins: EvSafeMode, ends: EvSafeModeOver,
		summary: "the process restarts again and again",
		then:    "it observes and calls people, and no step runs until it has lasted " + healthyAfter.String(),
	}
}

func degradedCondition() condition {
	return condition{
		rail: remediate.RailJournal, reason: escalate.Degraded, begins: EvDegraded, ends: EvRecovered,
		summary: "the journal takes no records",
		then:    "what was decided since would be forgotten by a crash, and destructive steps wait until it takes records again; look at the disk of the journal",
	}
}

func (e *Engine) enter(c *condition, why string) {
	if c.on {
		return
	}
	e.nextID++
	c.on, c.why, c.since = true, why, e.now
	c.id = fmt.Sprintf("%sm%d", e.o.IDs, e.nextID)
	e.emit(Event{Kind: c.begins, Watch: Self, Key: string(c.rail), Incident: c.id, Why: why})
	e.tellCondition(c, escalate.Trigger)
	e.recheck()
}

func (e *Engine) exit(c *condition) {
	if !c.on {
		return
	}
	c.on = false
	e.emit(Event{Kind: c.ends, Watch: Self, Key: string(c.rail), Incident: c.id, Duration: e.now - c.since})
	e.tellCondition(c, escalate.Resolve)
	e.recheck()
}

func (e *Engine) tellCondition(c *condition, kind escalate.Kind) {
	in := escalate.Incident{
		ID: c.id, Watch: Self, Service: e.o.Service, State: escalate.Open, Opened: e.wall(c.since),
		Reason: c.reason, Detail: c.why + ": " + c.then,
		Finding: detect.Finding{Key: string(c.rail), Severity: detect.Critical, Summary: c.summary},
	}
	ev := Event{Kind: EvPage, Watch: Self, Key: in.Finding.Key, Incident: in.ID, Reason: in.Reason, Why: in.Detail, Finding: in.Finding}
	if kind == escalate.Resolve {
		in.State, in.Closed = escalate.Closed, e.wall(e.now)
		ev.Kind = EvResolve
	}
	e.do(Decision{Kind: DoTell, Watch: Self, Notice: &Notice{Kind: kind, DedupKey: in.ID, Watches: []string{Self}, Incident: in, Fallback: true}})
	e.emit(ev)
}
