package incident

import (
	"fmt"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// look takes in what a detector answered.
func (e *Engine) look(w *watch, in *Input) {
	if w.removing || e.stopping {
		return
	}
	e.looks++
	w.folded = 0
	var worst detect.Severity
	fs := e.inOrder(in.Findings)
	for n := 0; n < len(fs); n++ {
		f := &fs[n]
		severity := f.Severity
		for n+1 < len(fs) && fs[n+1].Key == f.Key { // the first stands, the worst severity counts
			n++
			severity = max(severity, fs[n].Severity)
		}
		if !e.see(w, f, severity, in.Started) {
			w.folded++
			worst = max(worst, severity)
		}
	}
	if w.folded > 0 {
		f := detect.Finding{Key: foldedKey, Summary: fmt.Sprintf("and %d more", w.folded), Value: float64(w.folded)}
		e.see(w, &f, worst, in.Started)
	}
	stale, only := in.Err.(*detect.StaleError) // of some keys nobody vouches for what is known
	e.scratch = append(e.scratch[:0], w.live...)
	for _, i := range e.scratch {
		if i.mark == e.looks {
			continue
		}
		i.stale = only && stale.Has(i.key)
		if in.Err != nil && (!only || i.stale) {
			e.unknown(i)
		} else {
			e.absent(i, in.Started)
		}
		e.rearm(i)
	}
	if in.Err != nil && !only {
		e.blind(w, in.Err)
	} else {
		e.sight(w)
	}
	clear(e.scratch)
}

// inOrder returns findings in the order of their keys, so that a detector that
// ranges over a map decides nothing by it.
func (e *Engine) inOrder(fs []detect.Finding) []detect.Finding {
	byKey := func(a, b detect.Finding) int { return strings.Compare(a.Key, b.Key) }
	if slices.IsSortedFunc(fs, byKey) {
		return fs
	}
	e.sorting = append(e.sorting[:0], fs...)
	slices.SortStableFunc(e.sorting, byKey)
	return e.sorting
}

// see takes in one finding and says whether there was room for its key.
func (e *Engine) see(w *watch, f *detect.Finding, severity detect.Severity, started At) bool {
	i, _, ok := w.find(f.Key)
	switch {
	case !ok && f.Key != foldedKey && e.o.MaxKeys > 0 && w.kept() >= e.o.MaxKeys && !mutant(mutCardinality):
		return false
	case !ok:
		e.found(w, f, severity, started)
	default:
		i.mark = e.looks
		e.present(i, f, severity, started)
		e.rearm(i)
	}
	return true
}

// kept is how many keys have an incident of their own.
func (w *watch) kept() int {
	if _, _, ok := w.find(foldedKey); ok {
		return len(w.live) - 1
	}
	return len(w.live)
}

// starved says that a look began while the supervisor was late: it starts and
// keeps incidents, and nothing is concluded from it.
func (e *Engine) starved(started At) bool { return e.tilt.until > 0 || started < e.tilt.over }

func (e *Engine) present(i *inc, f *detect.Finding, severity detect.Severity, started At) {
	turned := severity != i.finding.Severity
	i.finding = *f
	i.finding.Severity = severity
	i.present, i.known, i.knownAt, i.stale = true, true, started, false
	i.sample(e.now)
	if turned && !mutant(mutApproval) {
		i.approved, i.gateYes = 0, false // they were given for another finding
	}
	switch i.phase {
	case pending:
		if started >= i.found+i.w.For {
			e.open(i)
		}
	case waiting:
		if turned || recheckedByLook(i.rail) || i.rail == remediate.RailSilence && e.silenced(i) == nil {
			e.wait(i)
		}
	case asking:
		if turned { // the approval was bound to another finding
			e.unask(i)
			e.wait(i)
		}
	case verifying:
		if !i.asked && started >= i.fresh && !e.starved(started) {
			e.judge(i)
		}
	case clearing:
		if !e.starved(started) {
			e.reopen(i)
		}
	case undoing:
		if i.undoThen == closing && !e.starved(started) {
			i.back = true
			if !i.undoRuns {
				e.undoNext(i)
			}
		}
	}
}

func (e *Engine) absent(i *inc, started At) {
	if e.starved(started) {
		return
	}
	i.present, i.known, i.knownAt = false, true, started
	switch i.phase {
	case pending:
		e.drop(i)
	case waiting, gating, asking:
		if i.unwell && !e.wordLapsed(i) {
			e.dirty = true
			break
		}
		e.unask(i)
		e.clear(i)
	case watching:
		e.clear(i)
	case undoing:
		i.back = false
	case verifying:
		if !i.asked && (started >= i.fresh || mutant(mutClaim)) {
			e.judge(i)
		}
	case clearing:
		if i.rail != "" || i.due == never && started >= i.fresh || started >= i.due {
			e.kept(i)
		}
	}
}

// wordLapsed says that the word of Step.Verify against a clear detector counts
// no longer: no rung may follow it, people know, and nobody asks again.
func (e *Engine) wordLapsed(i *inc) bool {
	return toldAtOnce(i.rail) != "" && e.now >= i.heldSince+max(i.w.KeepFor, blindFor)
}

func (e *Engine) unknown(i *inc) {
	i.known = false
	if i.phase == waiting {
		e.dirty = true
	}
}

// blind takes in that the detector failed: for the whole watch, not for a key.
func (e *Engine) blind(w *watch, err error) {
	first := w.blindSince < 0
	w.blindErr = err
	if first {
		w.blindSince = e.now
		e.emit(Event{Kind: EvBlind, Watch: w.Name, Err: err})
		e.engage(w)
	}
	e.rearmWatch(w)
}

func (e *Engine) sight(w *watch) {
	if w.blindSince < 0 {
		return
	}
	e.emit(Event{Kind: EvSight, Watch: w.Name, Duration: e.now - w.blindSince})
	e.unblind(w)
}

// unblind forgets that w was blind; people who were told are told.
func (e *Engine) unblind(w *watch) {
	if w.blindSince < 0 {
		return
	}
	if w.blindTold {
		in := e.blindIncident(w)
		in.State, in.Closed = escalate.Closed, e.wall(e.now)
		e.tellWatch(w, escalate.Resolve, in)
		e.touchWatch(w)
	}
	w.blindSince, w.blindErr, w.blindTold = -1, nil, false
	e.rearmWatch(w)
	e.engage(w)
}

// blindForLong is where people are told that a detector cannot see.
func (e *Engine) blindForLong(w *watch) {
	if w.blindSince < 0 || w.blindTold || mutant(mutBlindTold) {
		return
	}
	if e.causeOpen(w) != "" || e.silencedWatch(w) {
		w.at = e.now + blindFor
		e.place(w, w.at)
		return
	}
	w.blindTold = true
	e.touchWatch(w)
	e.nextID++
	w.blindID = fmt.Sprintf("%sb%d", e.o.IDs, e.nextID)
	e.tellWatch(w, escalate.Trigger, e.blindIncident(w))
}

func (e *Engine) blindIncident(w *watch) escalate.Incident {
	return escalate.Incident{
		ID: w.blindID, Watch: w.Name, Service: e.o.Service, State: escalate.Open, Opened: e.wall(w.blindSince),
		Finding: detect.Finding{Severity: detect.Critical, Summary: "blind: " + w.blindErr.Error()},
		Reason:  escalate.Blind,
		Detail:  fmt.Sprintf("its detector has failed for %v, so nothing it watches is healed; mend the detector", e.now-w.blindSince),
		Runbook: w.Runbook,
	}
}
