package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/remediate"
)

const (
	overdue      = 100 * time.Millisecond // that a call may take to heed its context
	abandonAfter = 5 * time.Second
	gatherBudget = 2 * time.Second
)

// call is a call of an action: what it does to the world, and when it returns.
type call struct {
	p       *process
	res     *resource
	step    int
	seen    *monitor.Call
	given   bool
	ended   bool
	timeout time.Duration
	done    func(err error, abandoned bool)
	late    func()
	stuck   func()
}

func (p *process) act(e *entry, t *task, phase remediate.Phase) monitor.Act {
	return monitor.Act{
		Watch: t.Watch, Key: t.Key, Incident: t.Incident, Step: t.Step, Attempt: t.Attempt, Try: t.Try,
		Phase: phase, Decided: t.decided, Mark: t.mark,
	}
}

func (p *process) newCall(e *entry, t *task, phase remediate.Phase) *call {
	st := &e.watch.Playbook.Steps[t.Step]
	id, key, attempt := t.Incident, t.Key, t.Attempt
	if phase == remediate.Undo {
		id, key, attempt = t.AnswerTo, t.AnswerKey, t.AnswerAttempt
	}
	c := &call{p: p, res: p.m.resource(e.watch, t.Key), step: t.Step, timeout: st.Timeout}
	watch, where := t.Watch, fmt.Sprintf("%v of step %s of watch %s", phase, st.Name, t.Watch)
	c.late = func() {
		p.post(incident.Input{Kind: incident.InReturned, Watch: watch, Key: key, Incident: id, Attempt: attempt})
	}
	c.stuck = func() {
		p.post(incident.Input{Kind: incident.InAbandoned, Watch: watch, Key: key, Incident: id, Attempt: attempt, Note: where})
	}
	return c
}

func (p *process) runStep(e *entry, t *task) {
	d := t.Decision
	c := p.newCall(e, t, remediate.Run)
	c.done = func(err error, abandoned bool) {
		p.post(incident.Input{
			Kind: incident.InRan, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Try: d.Try,
			Result: result(err), Err: err, Abandoned: abandoned,
		})
	}
	task := *t
	begin := func() {
		if !p.engine.MayRun(d.Incident, d.Attempt) {
			p.post(withdrawn(&d))
			return
		}
		if p.dangerous("before an action begins") {
			return
		}
		p.start(c, p.act(e, &task, remediate.Run))
	}
	if !d.Gather || !e.watch.gathers {
		begin()
		return
	}
	p.after(time.Duration(p.m.w.noise.Int64N(int64(gatherBudget))), begin)
}

func (p *process) verifyStep(e *entry, t *task) {
	d := t.Decision
	c := p.newCall(e, t, remediate.Verify)
	c.done = func(err error, abandoned bool) {
		p.post(incident.Input{
			Kind: incident.InVerified, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt,
			Result: result(err), Err: err, Abandoned: abandoned,
		})
	}
	p.start(c, p.act(e, t, remediate.Verify))
}

func (p *process) undoStep(e *entry, t *task) {
	d := t.Decision
	c := p.newCall(e, t, remediate.Undo)
	c.done = func(err error, abandoned bool) {
		if errors.Is(err, remediate.ErrSkip) {
			err = nil
		}
		p.post(incident.Input{
			Kind: incident.InUndone, Watch: d.Watch, Key: d.AnswerKey, Incident: d.AnswerTo, Attempt: d.AnswerAttempt,
			Err: err, Abandoned: abandoned,
		})
	}
	if p.dangerous("before something is put back") {
		return
	}
	if !p.engine.MayUndo() {
		p.post(incident.Input{
			Kind: incident.InUndone, Watch: d.Watch, Key: d.AnswerKey, Incident: d.AnswerTo, Attempt: d.AnswerAttempt,
			Result: incident.Withdrawn,
		})
		return
	}
	p.start(c, p.act(e, t, remediate.Undo))
}

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

// start runs a call. How it goes is chance.
func (p *process) start(c *call, a monitor.Act) {
	m, w := p.m, p.m.w
	w.stats.Acts++
	c.seen = m.books.Begin(m.local(), a)
	w.tell(m, "%v of %s on %s[%s] begins (attempt %d, try %d, incident %s)", a.Phase, c.res.watch.Playbook.Steps[a.Step].Name, a.Watch, a.Key, a.Attempt, a.Try, a.Incident)
	p.calls = append(p.calls, c)
	takes, works, err := 50*time.Millisecond+time.Duration(w.noise.Int64N(int64(3*time.Second))), true, error(nil)
	hung := false
	switch {
	case w.strikes(HungAction, 0.04):
		takes, hung = c.timeout+w.span(HungAction, 2*overdue, 20*time.Minute), true
	case w.strikes(SlowAction, 0.05):
		if takes = w.span(SlowAction, time.Second, 2*c.timeout); takes > c.timeout {
			takes, works, err = c.timeout, w.among(SlowAction, 2) == 0, context.DeadlineExceeded
		}
	case w.strikes(FailingAction, 0.08):
		works, err = w.among(FailingAction, 3) == 0, errors.New("it failed")
	case w.strikes(PanickingAction, 0.03):
		works, err = false, &remediate.PanicError{Where: "an action", Value: "out of luck"}
	case w.strikes(LyingAction, 0.08):
		works = false
	case a.Phase == remediate.Run && w.strikes(SkippingAction, 0.04):
		works, err = false, remediate.ErrSkip
		if w.among(SkippingAction, 3) == 0 {
			err = remediate.ErrEscalate
		}
	case a.Phase == remediate.Run && w.strikes(HarmfulAction, 0.04):
		c.res.value, c.res.critical = 100, true
	}
	if a.Phase == remediate.Verify && err == nil && c.res.sick() {
		err = errors.New("it is still sick")
	}
	early := w.noise.IntN(2) == 0
	if works && early {
		c.res.treated(a.Phase, c.step)
	}
	if p.dangerous("while an action runs") {
		return
	}
	m.touched(c.res.watch)
	p.after(takes, func() {
		if works && !early {
			c.res.treated(a.Phase, c.step)
		}
		c.end(err)
	})
	if hung || takes > c.timeout+overdue {
		p.after(c.timeout+overdue, func() { c.giveUp() })
	}
}

func (c *call) end(err error) {
	p := c.p
	if p.dangerous("after an action did its work") {
		return
	}
	c.ended = true
	p.calls = slices.DeleteFunc(p.calls, func(x *call) bool { return x == c })
	p.m.w.tell(p.m, "an action on %s[%s] ends: %v", c.res.watch.Name, c.res.key, err)
	p.m.books.End(p.m.local(), c.seen, result(err))
	if err != nil {
		p.m.failed(c.res.watch, c.step)
	}
	if c.given {
		c.late()
		return
	}
	c.done(err, false)
}

func (c *call) giveUp() {
	if c.ended {
		return
	}
	c.given = true
	c.p.m.books.GivenUp(c.p.m.local(), c.seen)
	c.p.after(abandonAfter-overdue, func() {
		if !c.ended {
			c.stuck()
		}
	})
	c.done(fmt.Errorf("no answer within %v: %w", c.timeout, context.DeadlineExceeded), true)
}
