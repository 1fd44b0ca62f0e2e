package incident

import (
	"fmt"
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A measure is a temporary measure that several incidents may share. It exists
// from the start of the Run that takes it to the end of the Undo that puts it
// back.
type measure struct {
	taker   call // whose identity its Undo has
	memo    []byte
	taking  bool // Run has not ended
	leaving bool // Undo is under way
	holders []*inc
}

// owed is an undo that i owes for one of its attempts.
type owed struct {
	attempt int
	step    int
	tries   int
	memo    []byte
	shared  *measure // nil: a measure of this incident alone
	joined  bool     // taken by another
	failed  bool     // tried for good
}

// pick says which of the owed undos are meant.
type pick uint8

const (
	nothing pick = iota
	noEffect
	last
	everything
)

// then says what follows when they are done.
type then uint8

const (
	closing  then = iota
	telling       // the ladder is over: tell people, and watch
	climbing      // the next rung
	parking       // the supervisor stops
)

// owe notes that the rung under way owes an undo from now on.
func (e *Engine) owe(i *inc, s *remediate.Step) {
	if mutant(mutUndoLost) {
		return
	}
	o := &owed{attempt: i.number, step: i.rung}
	if s.Measure != "" {
		o.shared = &measure{
			taker:   call{id: i.id, attempt: i.number, watch: i.w.Name, key: i.key},
			taking:  true,
			holders: []*inc{i},
		}
		e.measures[s.Measure] = o.shared
	}
	i.owed = append(i.owed, o)
	i.attempt().Owed = true
}

// join holds a measure that another incident has taken: nothing runs, and the
// verdict is that of a rung all the same.
func (e *Engine) join(i *inc, s *remediate.Step, m *measure) {
	m.holders = append(m.holders, i)
	i.owed = append(i.owed, &owed{attempt: i.number, step: i.rung, shared: m, joined: true})
	i.attempt().Owed = true
	i.phase = settling
	i.due = e.now + settle(s, i.w.Every)
	e.rearm(i)
}

func (i *inc) owedOf(attempt int) *owed {
	for _, o := range i.owed {
		if o.attempt == attempt {
			return o
		}
	}
	return nil
}

func (i *inc) joined(attempt int) bool {
	o := i.owedOf(attempt)
	return o != nil && o.joined
}

// disown forgets the undo of an attempt that did nothing.
func (e *Engine) disown(i *inc, attempt int) {
	n := slices.IndexFunc(i.owed, func(o *owed) bool { return o.attempt == attempt })
	if n < 0 {
		return
	}
	if m := i.owed[n].shared; m != nil {
		e.letGo(i, m)
	}
	i.owed = slices.Delete(i.owed, n, n+1)
	i.record[attempt-1].Owed = false
}

// taken lets others join the shared measure of the rung under way.
func (e *Engine) taken(i *inc) {
	if o := i.owedOf(i.number); o != nil && o.shared != nil && o.shared.taking && !o.joined {
		o.shared.taking = false
		e.recheck()
	}
}

// letGo takes i off the holders of m and says whether it was the last.
func (e *Engine) letGo(i *inc, m *measure) bool {
	if n := slices.Index(m.holders, i); n >= 0 {
		m.holders = slices.Delete(m.holders, n, n+1)
	}
	if len(m.holders) > 0 {
		return false
	}
	for name, x := range e.measures {
		if x == m {
			delete(e.measures, name)
		}
	}
	e.recheck()
	return true
}

// startUndo puts back what is picked, in reverse order, and goes on.
func (e *Engine) startUndo(i *inc, p pick, t then) {
	e.unhold(i)
	e.touch(i)
	i.phase = undoing
	i.due = 0
	i.undoPick, i.undoThen = p, t
	if i.undoFrom < 0 || !i.undoTold {
		i.undoFrom = e.now
	}
	if !i.undoRuns {
		e.undoNext(i)
	}
}

// undoNext puts back the newest of what is picked.
func (e *Engine) undoNext(i *inc) {
	for {
		if i.back && i.undoThen == closing && !i.w.removing && !e.stopping {
			i.back, i.stuck, i.due = false, false, 0
			i.undoFrom = -1
			e.reopen(i)
			return
		}
		o := i.nextUndo()
		if o == nil {
			e.undoDone(i)
			return
		}
		if m := o.shared; m != nil && len(m.holders) > 1 {
			e.letGo(i, m)
			e.settled(i, o, false)
			continue
		}
		if wait, why := e.undoWaits(i, o); wait {
			e.tellMeanwhile(i)
			if !i.undoTold && e.halt != nil {
				i.undoTold = true
				e.page(i, escalate.UndoOwed, why)
			}
			return
		}
		e.undo(i, o)
		return
	}
}

// tellMeanwhile tells people why the ladder ended while an undo keeps waiting.
func (e *Engine) tellMeanwhile(i *inc) {
	if i.undoThen == telling && (!i.known || i.sick()) {
		e.tellEnd(i)
	}
}

// undoWaits says whether something keeps o from being put back now.
func (e *Engine) undoWaits(i *inc, o *owed) (bool, string) {
	if e.halt != nil && !mutant(mutUndoHalted) {
		return true, "healing is halted by " + e.halt.By + ": step " + i.w.Playbook.Steps[o.step].Name + " stays in force until it is resumed"
	}
	for _, c := range e.abandonedOf(o, i) {
		if c.abandoned && !mutant(mutUndoEarly) {
			return true, "a call that ignored its context still runs"
		}
	}
	return false, ""
}

func (e *Engine) abandonedOf(o *owed, i *inc) []*call {
	if o.shared != nil && o.joined {
		if m := e.keysOf(o.shared.taker.watch)[o.shared.taker.key]; m != nil {
			return m.abandoned
		}
	}
	return i.mem.abandoned
}

func (e *Engine) undo(i *inc, o *owed) {
	o.tries++
	i.undoRuns = true
	e.touch(i)
	d := Decision{
		Kind: DoUndo, Watch: i.w.Name, Incident: i.id, Key: i.key, Step: o.step,
		Attempt: o.attempt, Try: o.tries, Finding: i.finding, Memo: o.memo,
		AnswerTo: i.id, AnswerKey: i.key, AnswerAttempt: o.attempt,
	}
	if m := o.shared; m != nil {
		m.leaving = true
		d.Incident, d.Attempt = m.taker.id, m.taker.attempt
		if o.joined {
			d.Memo = m.memo
		}
	}
	e.do(d)
}

// MayUndo says whether an undo that was decided, and whose Undo was put off until
// that is on record, may still run now.
func (e *Engine) MayUndo() bool { return e.halt == nil || mutant(mutUndoHalted) }

func (i *inc) nextUndo() *owed {
	for n := len(i.owed) - 1; n >= 0; n-- {
		o := i.owed[n]
		if o.failed {
			continue
		}
		switch i.undoPick {
		case everything:
			return o
		case last:
			if o.attempt == i.number {
				return o
			}
		case noEffect:
			switch i.record[o.attempt-1].Outcome {
			case remediate.NoEffect, remediate.Failed, remediate.Moved, remediate.InForce:
				return o
			}
		}
	}
	return nil
}

// settled notes that o is owed no longer.
func (e *Engine) settled(i *inc, o *owed, undone bool) {
	e.touch(i)
	if n := slices.Index(i.owed, o); n >= 0 {
		i.owed = slices.Delete(i.owed, n, n+1)
	}
	a := &i.record[o.attempt-1]
	a.Owed, a.Undone = false, undone
}

// undone takes in that Undo returned, or did not in time.
func (e *Engine) undone(i *inc, in *Input) {
	o := i.owedOf(in.Attempt)
	if o == nil || !i.undoRuns {
		return
	}
	defer e.rearm(i)
	i.undoRuns = false
	if in.Result == Withdrawn { // it was halted before Undo was called: it stays owed
		o.tries--
		if o.shared != nil {
			o.shared.leaving = false
		}
		e.touch(i)
		e.undoNext(i)
		return
	}
	s := &i.w.Playbook.Steps[o.step]
	a := &i.record[o.attempt-1]
	a.UndoErr = in.Err
	if m := o.shared; m != nil {
		m.leaving = false
		e.recheck()
	}
	if in.Abandoned {
		e.abandon(i, o.attempt)
	}
	if in.Err != nil && !in.Abandoned && o.tries < s.Retry.Attempts() {
		i.due = e.now + max(s.Retry.Pause(o.tries, i.random()), 1)
		e.tellMeanwhile(i)
		return
	}
	ev := Event{Kind: EvUndo, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, Number: o.attempt, Err: in.Err}
	if in.Err == nil {
		if o.shared != nil {
			e.letGo(i, o.shared)
		}
		if mutant(mutUndoTwice) && o.tries == 1 {
			e.undo(i, o)
			return
		}
		e.settled(i, o, true)
		ev.Attempt = *a
		e.emit(ev)
	} else {
		o.failed = true
		ev.Attempt = *a
		e.emit(ev)
		e.page(i, escalate.UndoFailed, fmt.Sprintf("step %s is still in force: its undo failed: %v; put it back by hand, then acknowledge", s.Name, in.Err))
	}
	e.undoNext(i)
}

// undoDone goes on once nothing that was picked is left to put back.
func (e *Engine) undoDone(i *inc) {
	i.undoFrom, i.undoTold = -1, false
	switch i.undoThen {
	case telling:
		e.afterLadder(i)
	case climbing:
		i.fresh = e.now
		e.next(i)
	case parking:
		i.phase = watching
	default:
		if len(i.owed) > 0 && !i.w.removing {
			i.stuck = true // what failed stays owed until a person has taken it
			return
		}
		e.close(i)
	}
}

// resumeUndos goes on with undos that something kept waiting.
func (e *Engine) resumeUndos() {
	for _, w := range e.sorted() {
		for _, i := range slices.Clone(w.live) {
			if i.phase == undoing && !i.undoRuns && !i.stuck && i.due == 0 {
				e.undoNext(i)
				e.rearm(i)
			}
		}
	}
}
