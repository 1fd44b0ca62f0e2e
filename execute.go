package selfheal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/remediate"
)

// RecycleError is what Run returns when a step asked for the process to be
// replaced; used as *RecycleError. main ends its own work and exits with Code.
type RecycleError struct {
	Code int
	Why  string
}

// Error says why.
func (e *RecycleError) Error() string {
	return fmt.Sprintf("selfheal: the process is to be replaced (exit code %d): %s", e.Code, e.Why)
}

// execute carries out one decision, on the loop. Nothing here blocks.
func (s *Supervisor) execute(d *incident.Decision) {
	switch d.Kind {
	case incident.DoEmit:
		s.pump.emit(&d.Event)
		return
	case incident.DoTell:
		s.tell(d.Notice)
		return
	case incident.DoReply:
		return
	}
	s.mu.Lock()
	e := s.entries[d.Watch]
	s.mu.Unlock()
	if e == nil || !e.started {
		return
	}
	switch d.Kind {
	case incident.DoLook:
		if e.hung() == 0 {
			s.sched.Wake(&e.task)
		}
	case incident.DoEngage:
		e.engaged.Store(d.On)
	case incident.DoRemoved:
		s.mu.Lock()
		s.forget(e)
		s.mu.Unlock()
	case incident.DoGate:
		s.gate(e, *d)
	case incident.DoRun:
		s.runStep(e, *d)
	case incident.DoVerify:
		s.verifyStep(e, *d)
	case incident.DoUndo:
		s.undoStep(e, *d)
	case incident.DoMute:
		if d.On {
			s.outbox.Input(outbox.Mute{DedupKey: d.Incident})
		} else {
			s.outbox.Input(outbox.Unmute{DedupKey: d.Incident})
		}
	}
}

func (s *Supervisor) gate(e *entry, d incident.Decision) {
	st := &e.watch.Playbook.Steps[d.Step]
	p := Proposal{
		Incident: d.Incident, Watch: e.watch.Name, Key: d.Key, Step: st.Name, Attempt: d.Attempt,
		Risk: st.Risk.Level(), Scope: st.Scope, Finding: d.Finding, Fingerprint: e.watch.Playbook.Fingerprint(),
	}
	s.calls.start(&call{
		where: "Options.Gate for step " + st.Name + " of watch " + e.watch.Name, timeout: gateTimeout,
		f: func(ctx context.Context) error {
			ctx, _ = s.span(ctx, spanOfIncident, d.Incident, d.Attempt)
			if err := s.o.Gate(ctx, p); err != nil {
				return err
			}
			return ctx.Err() // a yes that comes too late is a no
		},
		done: func(err error, abandoned bool) {
			s.post(incident.Input{Kind: incident.InGated, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Err: err})
		},
		stuck: func() { s.abandoned("Options.Gate") },
	})
}

// request is what the action of a step is told.
func (s *Supervisor) request(e *entry, d *incident.Decision, phase remediate.Phase) remediate.Request {
	st := &e.watch.Playbook.Steps[d.Step]
	return remediate.Request{
		Incident: d.Incident, Step: st.Name, Phase: phase, Attempt: d.Attempt, Try: d.Try,
		Finding: d.Finding, Memo: d.Memo,
		Log: s.logger().With("incident", d.Incident, "watch", e.watch.Name, "key", d.Key, "step", st.Name),
	}
}

// stepCall is a call for a step, with what all of them share.
func (s *Supervisor) stepCall(e *entry, d incident.Decision, phase remediate.Phase, f remediate.Action) *call {
	st := &e.watch.Playbook.Steps[d.Step]
	timeout := st.Timeout
	if timeout <= 0 {
		timeout = actionTimeout
	}
	req := s.request(e, &d, phase)
	where := fmt.Sprintf("%v of step %s of watch %s", phase, st.Name, e.watch.Name)
	incidentID, key, attempt := d.Incident, d.Key, d.Attempt
	if phase == remediate.Undo {
		incidentID, key, attempt = d.AnswerTo, d.AnswerKey, d.AnswerAttempt
	}
	c := &call{
		where: where, timeout: timeout, undo: phase == remediate.Undo,
		late: func() {
			s.post(incident.Input{Kind: incident.InReturned, Watch: d.Watch, Key: key, Incident: incidentID, Attempt: attempt})
		},
		stuck: func() {
			s.abandoned(where)
			s.post(incident.Input{Kind: incident.InAbandoned, Watch: d.Watch, Key: key, Incident: incidentID, Attempt: attempt, Note: where})
		},
	}
	if phase == remediate.Run {
		req.Save = func(memo []byte) error {
			if c.state.Load() != callGoing {
				return errors.New("selfheal: save: this try is over; its memo is not kept")
			}
			if len(memo) > maxMemo {
				return fmt.Errorf("selfheal: save: a memo has at most %d bytes, and this one has %d: save where to find the rest", maxMemo, len(memo))
			}
			s.mu.Lock()
			s.step(incident.Input{
				Kind: incident.InSaved, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Memo: append([]byte(nil), memo...),
			})
			w := s.written
			s.mu.Unlock()
			s.poke()
			if err := w.wait(); err != nil {
				return fmt.Errorf("selfheal: save: %w", err)
			}
			return nil
		}
	}
	c.f = func(ctx context.Context) error { return s.traced(ctx, phase, incidentID, attempt, req, f) }
	return c
}

func (s *Supervisor) runStep(e *entry, d incident.Decision) {
	st := &e.watch.Playbook.Steps[d.Step]
	c := s.stepCall(e, d, remediate.Run, st.Run)
	c.done = func(err error, abandoned bool) {
		if err == nil {
			s.ran(d.Incident, d.Attempt)
		}
		s.post(incident.Input{
			Kind: incident.InRan, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Try: d.Try,
			Result: s.result(&err), Err: err, Abandoned: abandoned,
		})
	}
	start := func() { // a halt may have come since it was decided
		s.mu.Lock()
		may := s.engine.MayRun(d.Incident, d.Attempt)
		s.mu.Unlock()
		if may {
			s.calls.start(c)
			return
		}
		s.post(withdrawn(&d))
	}
	if !d.Gather || !s.captures(e) {
		start()
		return
	}
	s.gather(e, *d.Snapshot, d.Attempt, st.Risk.AboveSafe(), start)
}

func (s *Supervisor) verifyStep(e *entry, d incident.Decision) {
	st := &e.watch.Playbook.Steps[d.Step]
	c := s.stepCall(e, d, remediate.Verify, st.Verify)
	c.done = func(err error, abandoned bool) {
		s.post(incident.Input{
			Kind: incident.InVerified, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt,
			Result: result(err), Err: err, Abandoned: abandoned,
		})
	}
	s.calls.start(c)
}

func (s *Supervisor) undoStep(e *entry, d incident.Decision) {
	st := &e.watch.Playbook.Steps[d.Step]
	c := s.stepCall(e, d, remediate.Undo, st.Undo)
	c.done = func(err error, abandoned bool) {
		if errors.Is(err, remediate.ErrSkip) {
			err = nil // there is nothing to put back
		}
		s.post(incident.Input{
			Kind: incident.InUndone, Watch: d.Watch, Key: d.AnswerKey, Incident: d.AnswerTo, Attempt: d.AnswerAttempt,
			Err: err, Abandoned: abandoned,
		})
	}
	s.mu.Lock()
	may := s.engine.MayUndo()
	s.mu.Unlock()
	if !may { // halted since it was decided: it stays owed
		s.post(incident.Input{
			Kind: incident.InUndone, Watch: d.Watch, Key: d.AnswerKey, Incident: d.AnswerTo, Attempt: d.AnswerAttempt,
			Result: incident.Withdrawn,
		})
		return
	}
	s.calls.start(c)
}

// result is how a call ended, in the engine's words.
func result(err error) incident.Result {
	switch {
	case err == nil:
		return incident.OK
	case errors.Is(err, remediate.ErrSkip):
		return incident.Skip
	case errors.Is(err, remediate.ErrEscalate):
		return incident.Escalate
	}
	return incident.Fail
}

// result is [result] for Run, which may also ask for the process to be replaced.
func (s *Supervisor) result(err *error) incident.Result {
	code, ok := remediate.Recycling(*err)
	if !ok {
		return result(*err)
	}
	if why := s.mayRecycle(); why != nil {
		*err = fmt.Errorf("%w: %w", remediate.ErrEscalate, why)
		return incident.Escalate
	}
	s.mu.Lock()
	if s.recycle == nil {
		s.recycle = &RecycleError{Code: code, Why: (*err).Error()}
		close(s.run.recycled)
	}
	s.mu.Unlock()
	*err = nil
	return incident.OK
}

// tell hands a notice to the policies of its watches.
func (s *Supervisor) tell(n *incident.Notice) {
	s.mu.Lock()
	var plans []outbox.Plan
	for _, name := range n.Watches {
		if e := s.entries[name]; e != nil {
			plans = append(plans, *e.plan)
		}
	}
	s.mu.Unlock()
	plan := union(plans)
	if n.Fallback && len(plans) == 0 {
		plan = *s.fallback
	}
	if n.Incident.Reason == escalate.Storm && !s.newToStorm(n, plan) {
		return
	}
	s.gatherForPeople(n)
	n.Incident = s.clean(n.Incident)
	note := escalate.Notification{DedupKey: n.DedupKey, Kind: n.Kind, Incident: n.Incident, At: time.Now()}
	switch {
	case n.Kind == escalate.Resolve:
		s.outbox.Input(outbox.Resolve{DedupKey: n.DedupKey, Incident: n.Incident, At: note.At})
	case n.Inform:
		s.outbox.Input(outbox.Inform{Notification: note, To: plan.Inform})
	default:
		s.outbox.Input(outbox.Escalate{Notification: note, Plan: plan})
	}
}

// newToStorm says whether a notice of a storm tells somebody who was not told of
// it: a storm that grows is one page, and more only for those whom it reaches
// later. Only the loop calls it.
func (s *Supervisor) newToStorm(n *incident.Notice, plan outbox.Plan) bool {
	if n.Kind == escalate.Resolve {
		s.stormTold = nil
		return true
	}
	if n.Kind == escalate.Trigger || s.stormTold == nil {
		s.stormTold = map[string]bool{}
	}
	fresh := false
	for _, l := range plan.Levels {
		for _, name := range l.To {
			fresh = fresh || !s.stormTold[name]
			s.stormTold[name] = true
		}
	}
	return fresh || n.Kind == escalate.Trigger
}

// notifierGone is how long a notice that earlier lives owe waits for its target.
const notifierGone = time.Minute

// deliver calls a notifier.
func (s *Supervisor) deliver(ctx context.Context, target string, n escalate.Notification) (err error) {
	to := s.policy.find(target)
	if to == nil {
		err := fmt.Errorf("selfheal: there is no notifier named %q any longer", target)
		if time.Since(s.born) < notifierGone {
			return err // its watch may yet be added
		}
		return escalate.Permanent(err)
	}
	defer func() {
		if x := recover(); x != nil {
			s.counts.panics.Add(1)
			err = newPanic("notifier "+target, x)
		}
	}()
	n.Links = append(slices.Clip(n.Links), s.linksFor(target, &n)...)
	ctx, end := s.noticed(ctx, target, &n)
	err = errNoReturn
	defer func() { end(err) }()
	err = s.notify(ctx, to, n)
	return err
}

// told takes in what the outbox did.
func (s *Supervisor) told(eff outbox.Effect) {
	switch x := eff.(type) {
	case outbox.Told:
		// The first telling of the first level is the engine's own event.
		if x.Kind == escalate.Trigger && x.People() && (x.Level > 1 || x.Repeat > 0) {
			s.pump.push(func(a About) Event {
				a.Watch, a.Key, a.Incident = x.Incident.Watch, x.Incident.Finding.Key, x.Incident.ID
				return EventPage{About: a, Reason: x.Incident.Reason, Detail: x.Incident.Detail, Level: x.Level, Repeat: x.Repeat}
			})
		}
	case outbox.Undeliverable:
		s.counts.undeliverable.Add(1)
		s.undeliverable(&x.Notification.Incident, x.Target, errors.Join(x.Why, x.Last))
		if x.Lost {
			s.undeliverable(&x.Notification.Incident, "", errNobodyLeft)
		}
	case outbox.Fallback:
		if x.Lost {
			s.undeliverable(&x.Incident, "", errNobodyLeft)
		}
	case outbox.Down:
		s.target(x.Target, true, x.Err)
	case outbox.Up:
		s.target(x.Target, false, nil)
	case outbox.Stuck:
		s.abandoned("notifier " + x.Target)
	}
}

var errNobodyLeft = errors.New("nobody who was to be told could be reached, and nobody is left to try")

func (s *Supervisor) undeliverable(in *escalate.Incident, target string, err error) {
	s.pump.push(func(a About) Event {
		a.Watch, a.Key, a.Incident = in.Watch, in.Finding.Key, in.ID
		return EventUndeliverable{About: a, Target: target, Err: err}
	})
}

func (s *Supervisor) target(name string, down bool, err error) {
	s.pump.push(func(a About) Event {
		a.Watch = incident.Self
		return EventTarget{About: a, Target: name, Down: down, Err: err}
	})
}

// abandoned says that a call ignored its context and still runs.
func (s *Supervisor) abandoned(where string) {
	s.counts.abandoned.Add(1)
	s.pump.push(func(a About) Event {
		a.Watch = incident.Self
		return EventAbandoned{About: a, Where: where}
	})
}
