package incident

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Restore takes in what earlier lives left, before the first look of this one.
// now is the machine's clock. Limits hold for what is left of them; an attempt
// that was under way counts as spent and gets one fresh look; what is owed is
// carried out. Watches that are added within a minute take up what is theirs.
func (e *Engine) Restore(saved *Saved, now Moment) []Decision {
	e.begin(e.now)
	if h := saved.halt; h.Record != nil && h.Record.On {
		e.halt = &Halted{By: h.Record.By, Reason: h.Record.Reason, At: e.now - h.Record.Ago - now.Since(h.At)}
	}
	if b := saved.budget; b.Record != nil {
		e.budget = ats(e.now-now.Since(b.At), b.Record.Ago)
		e.trimBudget()
		e.unsaved.budget = !now.tells(b.At)
	}
	e.restoreSilences(saved, now)
	if s := saved.storm; s.Record != nil {
		r, ago := s.Record, now.Since(s.At)
		e.unsaved.storm = !now.tells(s.At)
		st := &e.storm
		st.on, st.sticky, st.id, st.watches, st.count, st.after = r.On, r.Sticky, r.ID, slices.Clone(r.Watches), r.Count, r.HeldAfter
		st.began, st.lastNew = e.now-r.BeganAgo-ago, e.now-r.NewAgo-ago
		if r.Ended {
			st.ended = e.now - r.EndedAgo - ago
		}
	}
	e.restoreStrays(saved)
	e.beginLife(saved, now)
	for name, left := range e.orphansOf(saved, now) {
		if w := e.watches[name]; w != nil {
			e.adopt(w, left)
		} else {
			e.orphans[name] = left
		}
	}
	e.recheck()
	return e.out
}

// restoreSilences takes up those that still hold. One that ended while no process
// lived is noted as over: after a reboot nobody could tell that it is.
func (e *Engine) restoreSilences(saved *Saved, now Moment) {
	for _, id := range slices.Sorted(maps.Keys(saved.silences)) {
		r, at := saved.silences[id].Record, saved.silences[id].At
		ago := now.Since(at)
		s := &Silence{
			ID: r.ID, Watch: r.Watch, Key: r.Key, Labels: r.Labels, By: r.By, Reason: r.Reason,
			At: e.now - r.Ago - ago, Until: e.now + r.In - ago,
		}
		if s.Until > e.now {
			e.silences = append(e.silences, s)
		}
		if (s.Until <= e.now || !now.tells(at)) && !mutant(mutSilenceForEver) {
			e.touchSilence(s)
		}
	}
}

// restoreStrays tells people that calls which outlived their incidents ended with
// the process that they ran in.
func (e *Engine) restoreStrays(saved *Saved) {
	for _, of := range slices.Sorted(maps.Keys(saved.strays)) {
		in := saved.strays[of].Incident
		in.State, in.Closed = escalate.Closed, e.wall(e.now)
		in.Detail = "the process that the call ran in has ended"
		e.touchStray(of, in, true)
		e.do(Decision{Kind: DoTell, Watch: in.Watch, Notice: &Notice{Kind: escalate.Resolve, DedupKey: in.ID, Watches: []string{in.Watch}, Incident: in}})
	}
}

// adopt gives a watch what an earlier life left of it.
func (e *Engine) adopt(w *watch, o *orphan) {
	by := e.now - o.since
	if r := o.record; r != nil {
		r = r.aged(by)
		b := &w.breaker
		b.failed, b.half, b.opened = ats(e.now, r.FailedAgo), r.Half, r.Opened
		if r.OpenIn > 0 {
			b.until = e.now + r.OpenIn
		}
		if r.BlindID != "" {
			w.blindTold, w.blindID, w.blindSince, w.blindErr = true, r.BlindID, e.now, errNotYet
			e.engage(w)
		}
		if o.again {
			e.touchWatch(w)
		}
	}
	for _, r := range o.keys {
		r = r.aged(by)
		m := w.remember(r.Snapshot.Finding.Key, e.now)
		m.last = r.Snapshot.ID
		m.cooldown = e.now + r.CooldownIn
		if mutant(mutCooldownForgotten) {
			m.cooldown = 0
		}
		m.heals, m.flips = ats(e.now, r.HealsAgo), ats(e.now, r.FlipsAgo)
		if r.MaskTold {
			m.maskTold = e.now - r.MaskToldAgo
		}
		switch {
		case !r.Closed && m.inc == nil:
			e.revive(w, m, r)
		case r.Closed && o.again:
			e.unsaved.closed = append(e.unsaved.closed, *r)
		}
	}
}

var errNotYet = fmt.Errorf("it has not answered since the process started")

// revive continues an incident of an earlier life. Its finding is known from then
// and no longer counts: a fresh look decides what comes next.
func (e *Engine) revive(w *watch, m *memory, r *IncidentRecord) {
	in := &r.Snapshot
	i := &inc{
		w: w, mem: m, key: in.Finding.Key, id: in.ID, finding: in.Finding, below: in.Finding.Value < in.Finding.Limit,
		knownAt: unset, found: e.now, foundBy: unset, opened: e.now - r.OpenedAgo, tellAt: never, fresh: e.now,
		heldSince: -1, undoFrom: -1, due: never, at: never, timerIndex: -1,
		rung: r.Rung, number: len(in.Attempts), counted: r.Counted, record: slices.Clone(in.Attempts),
		healed: r.Healed, over: r.Over, told: r.Told, informed: r.Informed, called: r.Called, named: r.Named, gathered: r.Gathered,
		ended: r.Ended, endedHow: r.EndedHow, owedTell: r.OwedTell, toldOf: slices.Clone(r.ToldOf), proposals: r.Asked,
		reason: in.Reason, detail: in.Detail, evidence: slices.Clone(in.Evidence),
		undoPick: pick(r.UndoPick), undoThen: then(r.UndoThen), undoTold: r.UndoTold,
	}
	switch {
	case r.AckedIn > 0:
		i.acked = e.now + r.AckedIn
	case r.Acked:
		i.acked = 1
	case !i.told:
		i.tellAt = max(i.opened+nobodyTold, e.now)
	}
	if r.ApprovedIn > 0 && r.Plan == w.plan && r.Build == e.o.Build {
		i.approved = e.now + r.ApprovedIn
	}
	if r.Plan != w.plan {
		i.rung = nextRung(i)
	}
	m.inc = i
	_, n, _ := w.find(i.key)
	w.live = slices.Insert(w.live, n, i)
	w.open++
	e.byID[i.id] = i
	e.reviveOwed(i, r)
	e.engage(w)
	e.touch(i)
	e.goOn(i, r)
	e.rearm(i)
	e.askLook(w)
}

// goOn puts a revived incident where it goes on from.
func (e *Engine) goOn(i *inc, r *IncidentRecord) {
	if r.Parked {
		i.attempt().Outcome = remediate.Running
	}
	if mutant(mutAttemptAgain) && len(i.record) > 0 && i.attempt().Outcome == remediate.Running {
		i.number, i.record = i.number-1, i.record[:len(i.record)-1]
	}
	flying := len(i.record) > 0 && i.attempt().Outcome == remediate.Running
	if !flying && (!r.Undoing || i.undoThen != climbing) {
		i.rung = max(i.rung, nextRung(i)) // that life may have ended between a rung and the next
	}
	switch {
	case flying && !i.over && i.w.Mode != Shadow && i.stepIs(i.attempt().Step):
		e.reverify(i)
	case flying:
		e.finish(i, remediate.Unverified, nil)
		i.rung = nextRung(i)
		e.wait(i)
	case r.Undoing:
		if i.undoThen == parking {
			// What the end of that life put back is put back; the ladder goes on, if it
			// was not over.
			if i.over {
				e.afterLadder(i)
				return
			}
			i.phase = waiting
			e.wait(i)
			return
		}
		e.startUndo(i, i.undoPick, i.undoThen)
	case r.Clearing:
		i.phase = clearing
		i.due = e.now + r.ClearIn
	case i.over:
		i.phase = watching
	default:
		e.wait(i)
	}
}

// reverify asks one fresh look for the verdict on an attempt that was under way
// when the process ended. It is spent, whatever it did.
func (e *Engine) reverify(i *inc) {
	s := i.step()
	i.try = s.Retry.Attempts() // it is not tried again
	i.climb = climb{began: e.now, far: i.distance(), growth: math.Inf(1), severe: i.finding.Severity, look: math.MaxUint64}
	if s.Risk.AboveSafe() {
		i.permit = true
		e.running = append(e.running, i)
	}
	if x := i.w.Playbook.Limits.Exclusive; x != "" && e.exclusive[x] == nil {
		e.exclusive[x] = &call{id: i.id, attempt: i.number, watch: i.w.Name, key: i.key}
	}
	i.phase = verifying
	i.due = e.now + max(blindFor, blindChecks*i.w.Every)
}

// stepIs says whether the rung to climb is the step of that name.
func (i *inc) stepIs(name string) bool {
	s := i.step()
	return s != nil && s.Name == name
}

// nextRung is the rung after the last one that was climbed, by name: the playbook
// may have changed since.
func nextRung(i *inc) int {
	rung := 0
	for _, a := range i.record {
		if n := slices.IndexFunc(i.w.Playbook.Steps, func(s remediate.Step) bool { return s.Name == a.Step }); n >= rung {
			rung = n + 1
		}
	}
	return rung
}

// reviveOwed takes up the undos that are still owed. What a step changed in its
// own process went with that process.
func (e *Engine) reviveOwed(i *inc, r *IncidentRecord) {
	for _, x := range r.Owed {
		if x.Attempt < 1 || x.Attempt > len(i.record) {
			continue
		}
		a := &i.record[x.Attempt-1]
		n := slices.IndexFunc(i.w.Playbook.Steps, func(s remediate.Step) bool { return s.Name == x.Step })
		switch {
		case x.Scope == remediate.Self:
			a.Owed, a.Undone = false, true
			continue
		case n < 0 || i.w.Playbook.Steps[n].Undo == nil:
			a.Owed = false
			e.codeGone(i.w.Name, i.key, i.id, x)
			continue
		}
		o := &owed{attempt: x.Attempt, step: n, tries: x.Tries, memo: x.Memo, failed: x.Failed, joined: x.Joined}
		if x.Measure != "" {
			m := e.measures[x.Measure]
			if m == nil {
				m = &measure{taker: call{id: x.TakerID, attempt: x.TakerAttempt, watch: x.TakerWatch, key: x.TakerKey}, memo: x.Memo}
				e.measures[x.Measure] = m
			}
			m.holders = append(m.holders, i)
			o.shared = m
		}
		i.owed = append(i.owed, o)
	}
}
