package incident

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// orphanFor is how long a watch of an earlier life may take to be here again.
const orphanFor = time.Minute

// forgetAfter is when nothing of a watch that stays away can matter any more: the
// longest wait there is, and the longest window.
const forgetAfter = 48 * time.Hour

// An orphan is what an earlier life left of a watch, until that is added again.
type orphan struct {
	watch  string
	record *WatchRecord
	keys   []*IncidentRecord // sorted by key; their distances count from since
	since  At
	told   bool // people were, of what it owes
}

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
	}
	for _, s := range saved.silences {
		if in := s.Record.In - now.Since(s.At); in > 0 {
			r := s.Record
			e.silences = append(e.silences, &Silence{
				ID: r.ID, Watch: r.Watch, Key: r.Key, Labels: r.Labels, By: r.By, Reason: r.Reason,
				At: e.now - r.Ago - now.Since(s.At), Until: e.now + in,
			})
		}
	}
	slices.SortFunc(e.silences, func(a, b *Silence) int { return strings.Compare(a.ID, b.ID) })
	if s := saved.storm; s.Record != nil {
		r, ago := s.Record, now.Since(s.At)
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

// orphansOf gathers what is left by watch, as if all of it had been written now.
func (e *Engine) orphansOf(saved *Saved, now Moment) map[string]*orphan {
	left := map[string]*orphan{}
	e.orphans = map[string]*orphan{}
	of := func(name string) *orphan {
		o := left[name]
		if o == nil {
			o = &orphan{watch: name, since: e.now}
			left[name] = o
		}
		return o
	}
	for name, w := range saved.watches {
		of(name).record = w.Record.aged(now.Since(w.At))
	}
	for k, r := range saved.keys {
		if by := now.Since(r.At); by < forgetAfter || !r.Record.Closed {
			o := of(k.watch)
			aged := r.Record.aged(by)
			if !now.tells(r.At) {
				aged.ApprovedIn = 0 // a wait is served in full, but a permission may be over
			}
			o.keys = append(o.keys, aged)
		}
	}
	for _, o := range left {
		slices.SortFunc(o.keys, func(a, b *IncidentRecord) int {
			return strings.Compare(a.Snapshot.Finding.Key, b.Snapshot.Finding.Key)
		})
	}
	return left
}

// aged is the record as it would have been written so much later.
func (r *WatchRecord) aged(by time.Duration) *WatchRecord {
	c := *r
	c.OpenIn = max(c.OpenIn-by, 0)
	c.FailedAgo = older(c.FailedAgo, by)
	c.BlindAgo += by
	return &c
}

func (r *IncidentRecord) aged(by time.Duration) *IncidentRecord {
	c := *r
	c.OpenedAgo += by
	c.ClearIn = max(c.ClearIn-by, 0)
	c.ApprovedIn = max(c.ApprovedIn-by, 0)
	c.CooldownIn = max(c.CooldownIn-by, 0)
	c.HealsAgo, c.FlipsAgo = older(c.HealsAgo, by), older(c.FlipsAgo, by)
	c.MaskToldAgo += by
	if c.AckedIn > 0 && c.AckedIn <= by {
		c.Acked, c.AckedIn = false, 0
	} else if c.AckedIn > 0 {
		c.AckedIn -= by
	}
	return &c
}

func older(as []Ago, by time.Duration) []Ago {
	if by == 0 {
		return as
	}
	out := slices.Clone(as)
	for n := range out {
		out[n] += by
	}
	return out
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
		if !r.Closed && m.inc == nil {
			e.revive(w, m, r)
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
		i.record[len(i.record)-1].Outcome = remediate.Failed
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

// codeGone tells people of an undo whose step is no longer there.
func (e *Engine) codeGone(watch, key, id string, x OwedRecord) {
	in := escalate.Incident{
		ID: fmt.Sprintf("%s-owed-%d", id, x.Attempt), Watch: watch, Service: e.o.Service, State: escalate.Open, Opened: e.wall(e.now),
		Reason: escalate.UndoOwed,
		Detail: fmt.Sprintf("undo of step %s (attempt %d of incident %s) is owed and its code is gone: put it back by hand", x.Step, x.Attempt, id),
	}
	in.Finding.Key = key
	in.Finding.Summary = "undo of step " + x.Step + " owed, code gone"
	e.do(Decision{Kind: DoTell, Watch: watch, Key: key, Notice: &Notice{
		Kind: escalate.Trigger, DedupKey: in.ID, Watches: []string{watch}, Incident: in, Fallback: true,
	}})
	e.emit(Event{Kind: EvPage, Watch: watch, Key: key, Incident: in.ID, Reason: in.Reason, Why: in.Detail, Finding: in.Finding})
}

// orphansDue is when people are told of what nobody has taken up; never without.
func (e *Engine) orphansDue() At {
	due := never
	for _, o := range e.orphans {
		if !o.told {
			due = min(due, o.since+orphanFor)
		}
	}
	return due
}

// tellOrphans tells people of undos whose code is gone, and those who were told
// of an incident that nobody watches it any longer.
func (e *Engine) tellOrphans() {
	if e.orphansDue() > e.now {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.orphans)) {
		o := e.orphans[name]
		if o.told {
			continue
		}
		o.told = true
		for _, r := range o.keys {
			if r.Closed {
				continue
			}
			for _, x := range r.Owed {
				if x.Scope != remediate.Self {
					e.codeGone(name, r.Snapshot.Finding.Key, r.Snapshot.ID, x)
				}
			}
			in := r.Snapshot
			in.State, in.Closed = escalate.Closed, e.wall(e.now)
			in.Detail = "its watch is gone since the process was started again: nobody looks after it any longer"
			if r.Told || r.Informed {
				e.do(Decision{Kind: DoTell, Watch: name, Key: in.Finding.Key, Notice: &Notice{
					Kind: escalate.Resolve, Inform: !r.Told, DedupKey: in.ID, Watches: []string{name}, Incident: in, Fallback: true,
				}})
			}
			r.Closed = true
			c := *r.aged(e.now - o.since)
			e.unsaved.closed = append(e.unsaved.closed, c)
		}
	}
}

// Knows says whether a notice under this id is about something that goes on: an
// incident, a blind detector, a storm, or what an earlier life left and nobody has
// taken up yet.
func (e *Engine) Knows(id string) bool {
	if e.byID[id] != nil || e.blindWith(id) != nil || e.storm.on && e.storm.id == id {
		return true
	}
	if e.safeMode.on && e.safeMode.id == id || e.degraded.on && e.degraded.id == id {
		return true
	}
	for _, in := range e.strays {
		if in.ID == id {
			return true
		}
	}
	for _, o := range e.orphans {
		for _, r := range o.keys {
			if !r.Closed && r.Snapshot.ID == id {
				return true
			}
		}
	}
	return false
}

// Untold returns the ids of what goes on and is recorded as told, but not as those
// who deliver it know it: the process died in between. said is what they know: the
// reason that they last told of an id, and whether they know of it at all.
func (e *Engine) Untold(said func(id string) (escalate.Reason, bool)) []string {
	var ids []string
	for id, i := range e.byID {
		why, known := said(id)
		if i.told && i.w.Pages && i.owedTell == "" && (known && why != i.reason || !known && i.acked == 0) {
			ids = append(ids, id)
		}
	}
	for _, w := range e.watches {
		if _, known := said(w.blindID); w.blindTold && w.Pages && !known {
			ids = append(ids, w.blindID)
		}
	}
	if _, known := said(e.storm.id); e.storm.on && !known {
		ids = append(ids, e.storm.id)
	}
	slices.Sort(ids)
	return ids
}

// untold tells people again of what was recorded as told and never reached those
// who deliver it: the process died in between.
func (e *Engine) untold(id string) {
	if i := e.byID[id]; i != nil {
		i.told = false
		why := i.reason
		if why == "" {
			why = escalate.NobodyTold
		}
		e.page(i, why, i.detail)
		e.rearm(i)
	} else if w := e.blindWith(id); w != nil {
		e.tellWatch(w, escalate.Trigger, e.blindIncident(w))
	} else if e.storm.on && e.storm.id == id {
		e.tellStorm(escalate.Trigger)
	}
}
