package outbox

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A group is one notice for many keys, an entry of its own with one lane. It is
// told at most once a minute, later and later, and resolved when the last of
// its members is.
type group struct {
	entry   *entry
	members map[*lane]struct{} // that are open
	count   int                // all that it ever told of
	saying  int                // count, when it was last sent
	known   int                // count, when it was last delivered
	level   int                // the highest level that it stands for
	worst   detect.Severity
	opened  time.Time
	service string
	notes   []string // what its members have to add
	told    bool
	fresh   bool // there is more to say
	again   bool // it is to be repeated
	every   time.Duration
	next    time.Duration // not before
}

const (
	listed    = 100 // names in a grouped notice or a digest
	mostNotes = 5
	mostEvery = 16 * time.Minute
	// self is the watch under which notices stand that are of no single watch.
	self = "selfheal"
)

func (g *group) lane() *lane { return g.entry.lanes[0] }

// sorted are the members, in the order in which they came.
func (g *group) sorted() []*lane {
	return slices.SortedFunc(maps.Keys(g.members), func(a, b *lane) int { return cmp.Compare(a.joined, b.joined) })
}

func (g *group) note(s string) {
	if s != "" && len(g.notes) < mostNotes && !slices.Contains(g.notes, s) {
		g.notes = append(g.notes, s)
	}
}

// paged lets the group stand for the level that e has reached.
func (g *group) paged(people bool, e *entry) {
	if people {
		g.level = max(g.level, e.reached())
	}
}

func (g *group) began(e *entry) {
	in := e.last.Incident
	at := in.Opened
	if at.IsZero() {
		at = e.last.At
	}
	if g.opened.IsZero() || at.Before(g.opened) {
		g.opened = at
	}
	g.service = cmp.Or(g.service, in.Service)
	g.worst = max(g.worst, e.severity())
}

// incident stands for all members.
func (g *group) incident() escalate.Incident {
	in := escalate.Incident{
		ID: g.entry.key, Watch: self, Service: g.service, State: escalate.Open, Reason: escalate.Storm,
		Opened: g.opened,
		Detail: "more began at once than are told of one by one; each is in the status of the supervisor, and this notice ends with the last of them",
		Finding: detect.Finding{
			Key: "grouped", Severity: detect.Warning, Value: float64(len(g.members)), Unit: "incidents",
			Summary: fmt.Sprintf("%d incidents at once", g.count),
		},
	}
	if len(g.members) < g.count {
		in.Finding.Summary += fmt.Sprintf(", %d still open", len(g.members))
	}
	members := g.sorted()
	for _, l := range members {
		in.Finding.Severity = max(in.Finding.Severity, l.entry.severity())
	}
	g.worst = max(g.worst, in.Finding.Severity)
	for _, severity := range []detect.Severity{detect.Critical, detect.Warning} {
		for _, l := range members {
			if l.entry.severity() == severity && len(in.Symptoms) < listed {
				in.Symptoms = append(in.Symptoms, name(l.entry.last.Incident))
			}
		}
	}
	return in
}

// name is an incident as timelines name it.
func name(in escalate.Incident) string {
	if in.Finding.Key == "" {
		return in.Watch
	}
	return in.Watch + "[" + in.Finding.Key + "]"
}

// turnGroup hands what there is to say, unless it is too early.
func (m *Machine) turnGroup(e *entry) {
	g := e.group
	kind := escalate.Update
	switch {
	case e.closed || m.stopped || m.now < g.next && !m.draining || !g.unsaid():
		m.schedule(e)
		return
	case !g.told || g.again:
		kind = escalate.Trigger
	}
	note := sentence(g.notes...)
	g.told, g.fresh, g.again, g.notes = true, false, false, nil
	g.next = plus(m.now, g.every)
	g.every = min(2*g.every, mostEvery)
	t := g.lane().target
	t.said, t.saidAt = true, m.now
	m.say(e, escalate.Notification{DedupKey: e.key, At: m.epoch.Add(m.now), Incident: g.incident(), Count: g.count})
	m.handAll(e, []string{t.name}, handing{kind: kind, level: g.level, note: note})
	m.schedule(e)
}

func (g *group) unsaid() bool { return !g.told || g.fresh || g.again }

func (m *Machine) scheduleGroup(e *entry) {
	g := e.group
	if e.closed || m.draining || !g.unsaid() {
		m.timers.unset(&e.timer)
		return
	}
	// What comes a moment later is said with it.
	at := max(g.next, plus(m.now, stormGather))
	if e.timer.place == 0 || e.timer.at > at {
		m.timers.set(&e.timer, at)
	}
}

// endGroup tells the target that it is over.
func (m *Machine) endGroup(g *group) {
	e, l := g.entry, g.lane()
	if l.target.group == e {
		l.target.group = nil
	}
	at := m.epoch.Add(m.now)
	in := g.incident()
	in.State, in.Closed = escalate.Closed, at
	in.Finding.Severity = g.worst
	m.say(e, escalate.Notification{DedupKey: e.key, At: at, Incident: in, Count: g.count})
	e.closed = true
	if !m.stopped {
		l.target.said, l.target.saidAt = true, m.now
		m.handAll(e, []string{l.target.name}, handing{kind: escalate.Resolve, level: g.level, note: sentence(g.notes...)})
	}
	m.schedule(e)
	m.forget(e)
}
