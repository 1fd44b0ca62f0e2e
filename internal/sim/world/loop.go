package world

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// step lets the engine take in what happened.
func (p *process) step(ins ...incident.Input) {
	p.decide(p.engine.Step(p.now(), ins...))
}

// decide keeps decisions for the loop, and puts on record what must not be
// forgotten before they are carried out. What the engine says of itself, the
// monitor hears at once.
func (p *process) decide(ds []incident.Decision) {
	if rs := p.engine.Records(); len(rs) > 0 {
		p.written = p.journal.records(rs)
		for n := range rs {
			if l := rs[n].Life; l != nil && l.Healthy {
				p.written.then(func(err error) {
					if err == nil {
						p.m.books.Healthy()
					}
				})
			}
		}
	}
	mark := p.journal.issued
	for n := range ds {
		if ds[n].Kind == incident.DoEmit {
			p.m.w.tellEvent(p.m, &ds[n].Event)
			p.m.books.Event(p.m.local(), mark, &ds[n].Event)
			p.claimed(&ds[n].Event)
		}
		p.todo = append(p.todo, task{Decision: ds[n], after: p.written, mark: mark, decided: p.m.local()})
	}
}

func acts(k incident.DecisionKind) bool { return k == incident.DoRun || k == incident.DoUndo }

// carryOut executes a task, or comes back to it once its records are durable.
func (p *process) carryOut(t *task) {
	if t.after == nil || !acts(t.Kind) || p.m.w.cfg.Planted == "shell: acts before the record is durable" {
		p.execute(t)
		return
	}
	d := *t
	if p.m.w.strikes(PersonHalts, 0.02) {
		// Just when something is to begin.
		p.after(p.m.w.span(PersonHalts, 0, time.Millisecond), func() { p.halt("eve", "stop it") })
		p.m.haltedTill = p.m.w.now + p.m.w.span(PersonHalts, time.Minute, 20*time.Minute)
	}
	t.after.then(func(err error) {
		if p.over {
			return
		}
		trouble := ""
		if err != nil {
			if trouble = p.journal.sick; trouble != "" {
				p.step(incident.Input{Kind: incident.InDegraded, On: true, Note: trouble})
			}
		}
		if d.Kind == incident.DoRun && (err != nil && trouble == "" || !p.engine.MayRun(d.Incident, d.Attempt)) {
			p.step(withdrawn(&d.Decision))
		} else {
			d.after = nil
			p.todo = append(p.todo, d)
		}
		p.poke()
	})
}

func withdrawn(d *incident.Decision) incident.Input {
	return incident.Input{
		Kind: incident.InRan, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Try: d.Try,
		Result: incident.Withdrawn,
	}
}

// post hands something to the loop.
func (p *process) post(in incident.Input) {
	p.inbox = append(p.inbox, in)
	p.poke()
}

// poke lets the loop turn soon; at a bad time, late.
func (p *process) poke() {
	if p.turning || p.over || p.looped {
		return
	}
	p.turning = true
	late := time.Duration(5+p.m.w.noise.IntN(60)) * time.Microsecond
	if p.m.w.strikes(LateLoop, 0.003) {
		late = p.m.w.span(LateLoop, time.Millisecond, 1500*time.Millisecond)
	}
	p.after(late, func() {
		p.turning = false
		if !p.looped {
			p.turn()
		}
	})
}

// turn takes in what happened and carries out what is decided.
func (p *process) turn() {
	p.takeIn()
	p.carryOn()
}

// takeIn hands the engine what is in the inbox.
func (p *process) takeIn() {
	ins := p.introduce()
	for i := range ins {
		if in := &ins[i]; in.Kind == incident.InLook {
			present := make(map[string]bool, len(in.Findings))
			for _, f := range in.Findings {
				present[f.Key] = true
			}
			p.m.books.Looked(p.m.local(), in.Watch, p.born+in.Started, present, in.Err)
		}
	}
	p.step(ins...)
}

// carryOn is the rest of a turn, and all of that in which the engine arbitrates.
func (p *process) carryOn() {
	for !p.over && len(p.todo) > 0 {
		todo := p.todo
		p.todo = nil
		for i := range todo {
			p.carryOut(&todo[i])
			if p.over {
				return
			}
		}
	}
	if p.over {
		return
	}
	if p.engine.Pending() && !p.gathering {
		p.gathering = true
		p.after(time.Microsecond, func() {
			p.gathering = false
			if p.turning {
				p.takeIn()
			}
			p.decide(p.engine.Arbitrate(p.now()))
			p.carryOn()
		})
	}
	p.rearm()
	if p.quiet != nil {
		p.quiet()
	}
}

// introduce puts a watch before the first look that has something to say of it.
func (p *process) introduce() []incident.Input {
	ins := p.inbox
	p.inbox = nil
	var out []incident.Input
	for _, in := range ins {
		if in.Kind == incident.InLook {
			if e := p.byName[in.Watch]; !e.known {
				e.known = true
				out = append(out, incident.Input{Kind: incident.InAdd, Watch: in.Watch, Add: &e.watch.Watch})
			}
		}
		out = append(out, in)
	}
	return out
}

// rearm sets the timer of the engine.
func (p *process) rearm() {
	next, ok := p.engine.Next()
	if !ok {
		p.tickAt = -1
		return
	}
	next = (next + time.Microsecond - 1).Truncate(time.Microsecond)
	at := p.born + next
	if at == p.tickAt {
		return
	}
	p.tickAt = at
	p.m.w.push(p.m.when(max(at, p.m.local()+time.Microsecond)), p, func() {
		if p.tickAt == at {
			p.tickAt = -1
			p.poke()
		}
	})
}

// tilt tells the engine that its readings cannot be trusted for now.
func (p *process) tilt(why string) {
	p.m.w.tell(p.m, "notices that %s", why)
	p.m.books.Tilted(p.m.local())
	p.step(incident.Input{Kind: incident.InTilt, Note: why})
	p.poke()
}

// execute carries out one decision.
func (p *process) execute(t *task) {
	d := &t.Decision
	switch d.Kind {
	case incident.DoEmit, incident.DoReply:
		return
	case incident.DoTell:
		p.tell(d.Notice)
		return
	}
	e := p.byName[d.Watch]
	if e == nil {
		return
	}
	switch d.Kind {
	case incident.DoLook:
		if !e.hung {
			e.wake()
		}
	case incident.DoEngage:
		e.engaged = d.On
	case incident.DoRun:
		p.runStep(e, t)
	case incident.DoVerify:
		p.verifyStep(e, t)
	case incident.DoUndo:
		p.undoStep(e, t)
	case incident.DoMute:
		if d.On {
			p.box.input(outbox.Mute{DedupKey: d.Incident})
		} else {
			p.box.input(outbox.Unmute{DedupKey: d.Incident})
		}
	case incident.DoGate, incident.DoRemoved:
		panic(fmt.Sprintf("decision %d: no world has that", d.Kind))
	}
}

// tell hands a notice to the policies of its watches.
func (p *process) tell(n *incident.Notice) {
	if p.dangerous("before people are told") {
		return
	}
	var plans []outbox.Plan
	for _, name := range n.Watches {
		if e := p.byName[name]; e != nil {
			plans = append(plans, e.watch.plan)
		}
	}
	plan := fallbackPlan
	if len(plans) == 1 {
		plan = plans[0]
	}
	note := escalate.Notification{DedupKey: n.DedupKey, Kind: n.Kind, Incident: n.Incident, At: p.m.clock()}
	switch {
	case n.Kind == escalate.Resolve:
		p.box.input(outbox.Resolve{DedupKey: n.DedupKey, Incident: n.Incident, At: note.At})
	case n.Inform:
		p.box.input(outbox.Inform{Notification: note, To: plan.Inform})
	default:
		p.box.input(outbox.Escalate{Notification: note, Plan: plan})
	}
}

// fallbackPlan is whom the process itself calls, and a shared cause.
var fallbackPlan = outbox.Plan{Levels: []outbox.Level{{To: []string{"pager", "second"}}}, Fallback: 2 * time.Minute}
