package incident

import (
	"github.com/selfheal-go/selfheal/escalate"
)

// page tells people why i needs them. What is silenced waits until the silence
// ends; what a policy tells nobody of is not told.
func (e *Engine) page(i *inc, why escalate.Reason, detail string) {
	i.reason, i.detail = why, detail
	if e.silenced(i) != nil && !mutant(mutSilence) {
		i.owedTell = why
		e.touch(i)
		e.rearm(i)
		return
	}
	i.owedTell = ""
	if mutant(mutSilentEnd) && why == escalate.Exhausted {
		return
	}
	if !i.w.Pages {
		e.inform(i, escalate.Update)
		return
	}
	kind := escalate.Trigger
	if i.told {
		kind = escalate.Update
	}
	i.told = true
	e.do(Decision{Kind: DoTell, Watch: i.w.Name, Key: i.key, Notice: &Notice{
		Kind: kind, DedupKey: i.id, Watches: []string{i.w.Name}, Incident: *e.snapshot(i),
	}})
	e.emit(Event{Kind: EvPage, Watch: i.w.Name, Key: i.key, Incident: i.id, Reason: why, Why: detail, Finding: i.finding})
	e.emitInform(i)
	for _, j := range e.waiting {
		j.named = j.named || j.waitsFor(i.w)
	}
}

// tellOwed tells what a silence kept back.
func (e *Engine) tellOwed(i *inc) {
	switch why := i.owedTell; why {
	case escalate.UndoFailed, escalate.UndoOwed, escalate.Abandoned:
	default:
		if i.phase == clearing {
			// It went away meanwhile: nobody needs to be called unless it comes back.
			i.owedTell, i.called, i.toldOf = "", false, i.toldOf[:0]
			e.touch(i)
			return
		}
	}
	e.page(i, i.owedTell, i.detail)
}

// mute stops the levels and repeats of what was told while it is silenced.
func (e *Engine) mute(i *inc) {
	if on := i.told && e.silenced(i) != nil; on != i.muted {
		i.muted = on
		e.do(Decision{Kind: DoMute, Incident: i.id, Watch: i.w.Name, On: on})
	}
}

// tellAsk asks the first level for an answer.
func (e *Engine) tellAsk(i *inc) {
	i.told = i.told || i.w.Pages
	e.do(Decision{Kind: DoTell, Watch: i.w.Name, Key: i.key, Notice: &Notice{
		Kind: escalate.Ask, DedupKey: i.id, Watches: []string{i.w.Name}, Incident: *e.snapshot(i),
	}})
	e.emitInform(i)
}

// inform tells those who are told of everything and whom nobody pages.
func (e *Engine) inform(i *inc, kind escalate.Kind) {
	if !i.w.Informs || e.silenced(i) != nil {
		return
	}
	i.informed = true
	e.touch(i)
	e.do(Decision{Kind: DoTell, Watch: i.w.Name, Key: i.key, Notice: &Notice{
		Kind: kind, Inform: true, DedupKey: i.id, Watches: []string{i.w.Name}, Incident: *e.snapshot(i),
	}})
	e.emitInform(i)
}

// emitInform writes down that they were; every notice goes to them too.
func (e *Engine) emitInform(i *inc) {
	if i.w.Informs {
		e.emit(Event{Kind: EvInform, Watch: i.w.Name, Key: i.key, Incident: i.id})
	}
}

// resolve tells everybody who was told that it is over.
func (e *Engine) resolve(i *inc) {
	in := e.snapshot(i)
	in.State, in.Closed = escalate.Closed, e.wall(e.now)
	if i.told && i.w.Pages {
		e.do(Decision{Kind: DoTell, Watch: i.w.Name, Key: i.key, Notice: &Notice{
			Kind: escalate.Resolve, DedupKey: i.id, Watches: []string{i.w.Name}, Incident: *in,
		}})
		e.emit(Event{Kind: EvResolve, Watch: i.w.Name, Key: i.key, Incident: i.id, Finding: i.finding})
		e.emitInform(i)
		return
	}
	if i.informed {
		e.do(Decision{Kind: DoTell, Watch: i.w.Name, Key: i.key, Notice: &Notice{
			Kind: escalate.Resolve, Inform: true, DedupKey: i.id, Watches: []string{i.w.Name}, Incident: *in,
		}})
		e.emitInform(i)
	}
}

// tellWatch tells the people of w about the watch itself.
func (e *Engine) tellWatch(w *watch, kind escalate.Kind, in escalate.Incident) {
	e.do(Decision{Kind: DoTell, Watch: w.Name, Notice: &Notice{
		Kind: kind, DedupKey: in.ID, Watches: []string{w.Name}, Incident: in,
	}})
	if !w.Pages {
		return
	}
	ev := Event{Kind: EvPage, Watch: w.Name, Incident: in.ID, Reason: in.Reason, Finding: in.Finding}
	if kind == escalate.Resolve {
		ev.Kind = EvResolve
	}
	e.emit(ev)
}
