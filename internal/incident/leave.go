package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/remediate"
)

func (e *Engine) remove(w *watch) {
	w.removing = true
	e.unblind(w)
	for _, i := range slices.Clone(w.live) {
		e.leave(i)
	}
	e.gone(w)
}

// gone lets go of a watch that is being removed once nothing of it is left.
func (e *Engine) gone(w *watch) {
	if !w.removing || len(w.live) > 0 || e.watches[w.Name] != w {
		return
	}
	e.unarm(w)
	e.leftBehind(w)
	delete(e.watches, w.Name)
	e.do(Decision{Kind: DoRemoved, Watch: w.Name})
	e.recheck()
}

// stop begins the shutdown: nothing new starts, and what is owed is undone.
func (e *Engine) stop() {
	if mutant(mutGrace) {
		return
	}
	e.stopping = true
	for _, w := range e.sorted() {
		for _, i := range slices.Clone(w.live) {
			e.leave(i)
		}
	}
}

// leave ends the life of an incident whose watch goes away or whose supervisor
// stops: what runs is let run, what is owed is undone.
func (e *Engine) leave(i *inc) {
	switch i.phase {
	case pending:
		e.drop(i)
	case acting, verifying:
		if i.phase == acting || i.asked {
			return // its answer comes back here
		}
		fallthrough
	default:
		e.unask(i)
		if n := len(i.record); n > 0 && i.record[n-1].Outcome == remediate.Running {
			if i.phase == retrying {
				e.finish(i, i.outcome, i.record[n-1].Err)
			} else {
				e.unjudged(i)
			}
		}
		e.release(i)
		if e.stopping && !i.w.removing {
			e.startUndo(i, everything, parking)
		} else {
			e.startUndo(i, everything, closing)
		}
	}
	e.rearm(i)
}

// unjudged ends an attempt without a verdict, because its watch goes away or the
// supervisor stops. Where there is a journal, the next life gives the verdict.
func (e *Engine) unjudged(i *inc) {
	i.parked = e.stopping && !i.w.removing
	e.finish(i, remediate.Unverified, nil)
}

// Idle says that nothing runs and that no undo which could run is owed.
func (e *Engine) Idle() bool {
	for _, i := range e.byID {
		if i.phase == acting || i.asked || i.undoRuns {
			return false
		}
		if e.stopping && i.phase == undoing && e.halt == nil && !i.stuck {
			return false
		}
	}
	return true
}
