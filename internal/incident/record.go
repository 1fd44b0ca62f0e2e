package incident

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Record is what must survive a crash, of one thing, as it stood when the
// record was written: the newest of a thing is the one that counts. Moments are
// kept as distances from that time, so that no clock of another life matters.
type Record struct {
	Incident *IncidentRecord `json:"incident,omitempty"`
	Watch    *WatchRecord    `json:"watch,omitempty"`
	Budget   *BudgetRecord   `json:"budget,omitempty"`
	Halt     *HaltRecord     `json:"halt,omitempty"`
	Silence  *SilenceRecord  `json:"silence,omitempty"`
	Storm    *StormRecord    `json:"storm,omitempty"`
	Stray    *StrayRecord    `json:"stray,omitempty"`
	Life     *LifeRecord     `json:"life,omitempty"`
}

// Name is what r is about, and whether nothing is left to say of it: a later
// record of a name replaces an earlier one. Lives have no name: all of them count.
func (r *Record) Name() (name string, over bool) {
	switch {
	case r.Incident != nil:
		in := &r.Incident.Snapshot
		return "key/" + in.Watch + "\x00" + in.Finding.Key, false
	case r.Watch != nil:
		return "watch/" + r.Watch.Watch, false
	case r.Budget != nil:
		return "budget", false
	case r.Halt != nil:
		return "halt", false
	case r.Silence != nil:
		return "silence/" + r.Silence.ID, r.Silence.In == 0
	case r.Storm != nil:
		return "storm", false
	case r.Stray != nil:
		return "stray/" + r.Stray.Of, r.Stray.Over
	}
	return "", false
}

// IncidentRecord is an incident that has opened, and what is remembered of its
// key.
type IncidentRecord struct {
	Snapshot escalate.Incident `json:"snapshot"`
	Closed   bool              `json:"closed,omitempty"` // only what is remembered of the key counts
	Plan     string            `json:"plan,omitempty"`   // fingerprint of the playbook
	Build    string            `json:"build,omitempty"`
	Rung     int               `json:"rung"`
	Number   int               `json:"number"`
	Counted  int               `json:"counted,omitempty"`
	Healed   bool              `json:"healed,omitempty"`
	Over     bool              `json:"over,omitempty"`
	Told     bool              `json:"told,omitempty"`
	Informed bool              `json:"informed,omitempty"`
	Called   bool              `json:"called,omitempty"`
	Named    bool              `json:"named,omitempty"`
	Gathered bool              `json:"gathered,omitempty"`
	Ended    escalate.Reason   `json:"ended,omitempty"`
	EndedHow string            `json:"ended_how,omitempty"`
	OwedTell escalate.Reason   `json:"owed_tell,omitempty"`
	ToldOf   []remediate.Rail  `json:"told_of,omitempty"`
	Asked    int               `json:"asked,omitempty"` // proposals so far

	OpenedAgo   time.Duration `json:"opened_ago"`
	ClearIn     time.Duration `json:"clear_in,omitempty"` // while it clears: until KeepFor is over
	Clearing    bool          `json:"clearing,omitempty"`
	ApprovedIn  time.Duration `json:"approved_in,omitempty"` // for how much longer
	AckedIn     time.Duration `json:"acked_in,omitempty"`    // for how much longer; 0 with Acked: until it closes
	Acked       bool          `json:"acked,omitempty"`
	Parked      bool          `json:"parked,omitempty"` // its last attempt ended with that life, not with a verdict
	Undoing     bool          `json:"undoing,omitempty"`
	UndoPick    uint8         `json:"undo_pick,omitempty"`
	UndoThen    uint8         `json:"undo_then,omitempty"`
	UndoTold    bool          `json:"undo_told,omitempty"`
	Owed        []OwedRecord  `json:"owed,omitempty"`
	CooldownIn  time.Duration `json:"cooldown_in,omitempty"`
	HealsAgo    []Ago         `json:"heals_ago,omitempty"`
	MaskTold    bool          `json:"mask_told,omitempty"`
	MaskToldAgo time.Duration `json:"mask_told_ago,omitempty"`
	FlipsAgo    []Ago         `json:"flips_ago,omitempty"`
}

// Ago is how long before its record something was.
type Ago = time.Duration

// OwedRecord is an undo that is owed.
type OwedRecord struct {
	Attempt int             `json:"attempt"`
	Step    string          `json:"step"`
	Tries   int             `json:"tries,omitempty"`
	Memo    []byte          `json:"memo,omitempty"`
	Failed  bool            `json:"failed,omitempty"`
	Scope   remediate.Scope `json:"scope"`
	Measure string          `json:"measure,omitempty"`
	Joined  bool            `json:"joined,omitempty"`
	// The identity under which a shared measure was taken.
	TakerID      string `json:"taker_id,omitempty"`
	TakerAttempt int    `json:"taker_attempt,omitempty"`
	TakerWatch   string `json:"taker_watch,omitempty"`
	TakerKey     string `json:"taker_key,omitempty"`
}

// WatchRecord is what the rails remember of a watch.
type WatchRecord struct {
	Watch     string        `json:"watch"`
	FailedAgo []Ago         `json:"failed_ago,omitempty"`
	OpenIn    time.Duration `json:"open_in,omitempty"` // for how much longer its breaker is open
	Half      bool          `json:"half,omitempty"`
	Opened    int           `json:"opened,omitempty"`
	// BlindID is the incident under which people were told that it is blind.
	BlindID  string        `json:"blind_id,omitempty"`
	BlindAgo time.Duration `json:"blind_ago,omitempty"`
}

// BudgetRecord is when steps above Safe began, within the window.
type BudgetRecord struct {
	Ago []Ago `json:"ago"`
}

// HaltRecord is the kill switch.
type HaltRecord struct {
	On     bool   `json:"on"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	Ago    Ago    `json:"ago,omitempty"`
}

// SilenceRecord is a silence; In 0 says that it is over.
type SilenceRecord struct {
	ID     string            `json:"id"`
	Watch  string            `json:"watch,omitempty"`
	Key    string            `json:"key,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	By     string            `json:"by,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Ago    Ago               `json:"ago,omitempty"`
	In     time.Duration     `json:"in,omitempty"` // for how much longer
}

// StormRecord is the rail against shared causes.
type StormRecord struct {
	On        bool     `json:"on,omitempty"`
	Sticky    bool     `json:"sticky,omitempty"`
	ID        string   `json:"id,omitempty"`
	Watches   []string `json:"watches,omitempty"`
	Count     int      `json:"count,omitempty"`
	BeganAgo  Ago      `json:"began_ago,omitempty"`
	NewAgo    Ago      `json:"new_ago,omitempty"`
	Ended     bool     `json:"ended,omitempty"`
	EndedAgo  Ago      `json:"ended_ago,omitempty"`
	HeldAfter bool     `json:"held_after,omitempty"`
}

// StrayRecord is a notice about a call that outlived its incident. It ends with
// the process that the call ran in.
type StrayRecord struct {
	Of       string            `json:"of"` // the incident
	Incident escalate.Incident `json:"incident"`
	Over     bool              `json:"over,omitempty"`
}

// unsaved is what changed since Records was last called.
type unsaved struct {
	incidents []*inc
	closed    []IncidentRecord
	watches   []*watch
	silences  []*Silence
	strays    []StrayRecord
	lives     []LifeRecord
	budget    bool
	halt      bool
	storm     bool
}

// touch notes that i changed in a way that must survive.
func (e *Engine) touch(i *inc) {
	if e.o.Durable && !i.unsaved {
		i.unsaved = true
		e.unsaved.incidents = append(e.unsaved.incidents, i)
	}
}

func (e *Engine) touchWatch(w *watch) {
	if e.o.Durable && !slices.Contains(e.unsaved.watches, w) {
		e.unsaved.watches = append(e.unsaved.watches, w)
	}
}

func (e *Engine) touchSilence(s *Silence) {
	if e.o.Durable && !mutant(mutSilenceForgotten) {
		e.unsaved.silences = append(e.unsaved.silences, s)
	}
}

func (e *Engine) touchStray(of string, in escalate.Incident, over bool) {
	if e.o.Durable {
		e.unsaved.strays = append(e.unsaved.strays, StrayRecord{Of: of, Incident: in, Over: over})
	}
}

// Records returns what changed since it was last called and must be durable
// before any decision of the same step is carried out that acts or tells. It is
// empty unless Options.Durable is set.
func (e *Engine) Records() []Record {
	u := &e.unsaved
	if !e.o.Durable || len(u.incidents)+len(u.closed)+len(u.watches)+len(u.silences)+len(u.strays)+len(u.lives) == 0 && !u.budget && !u.halt && !u.storm {
		return nil
	}
	var rs []Record
	for n := range u.lives {
		rs = append(rs, Record{Life: &u.lives[n]})
	}
	for n := range u.closed {
		rs = append(rs, Record{Incident: &u.closed[n]})
	}
	for _, i := range u.incidents {
		i.unsaved = false
		if e.byID[i.id] == i && i.phase != pending {
			rs = append(rs, Record{Incident: e.incidentRecord(i)})
		}
	}
	for _, w := range u.watches {
		if mutant(mutBreakerForgotten) {
			break
		}
		rs = append(rs, Record{Watch: e.watchRecord(w)})
	}
	for _, s := range u.silences {
		rs = append(rs, Record{Silence: e.silenceRecord(s)})
	}
	for n := range u.strays {
		rs = append(rs, Record{Stray: &u.strays[n]})
	}
	if u.budget && !mutant(mutBudgetForgotten) {
		rs = append(rs, Record{Budget: e.budgetRecord()})
	}
	if u.halt && !mutant(mutHaltForgotten) {
		rs = append(rs, Record{Halt: e.haltRecord()})
	}
	if u.storm && !mutant(mutStormForgotten) {
		rs = append(rs, Record{Storm: e.stormRecord()})
	}
	*u = unsaved{}
	return rs
}

func (e *Engine) incidentRecord(i *inc) *IncidentRecord {
	r := &IncidentRecord{
		Snapshot: *e.snapshot(i), Plan: i.w.plan, Build: e.o.Build, Rung: i.rung, Number: i.number, Counted: i.counted,
		Healed: i.healed, Over: i.over, Told: i.told, Informed: i.informed, Called: i.called, Named: i.named, Gathered: i.gathered,
		Ended: i.ended, EndedHow: i.endedHow, OwedTell: i.owedTell, ToldOf: slices.Clone(i.toldOf), Asked: i.proposals,
		OpenedAgo: e.now - i.opened, Acked: i.acked > 0,
		Parked: i.parked, Undoing: i.phase == undoing, UndoPick: uint8(i.undoPick), UndoThen: uint8(i.undoThen), UndoTold: i.undoTold,
	}
	if i.acked > 1 {
		r.AckedIn = max(i.acked-e.now, 1)
	}
	if i.phase == clearing {
		r.Clearing = true
		if i.due != never {
			r.ClearIn = max(i.due-e.now, 0)
		}
	}
	if i.approved > e.now {
		r.ApprovedIn = i.approved - e.now
	}
	for _, o := range i.owed {
		if mutant(mutUndoUnrecorded) {
			break
		}
		x := OwedRecord{Attempt: o.attempt, Step: i.w.Playbook.Steps[o.step].Name, Tries: o.tries, Scope: i.w.Playbook.Steps[o.step].Scope, Memo: o.memo, Failed: o.failed, Joined: o.joined}
		if m := o.shared; m != nil {
			x.Measure = i.w.Playbook.Steps[o.step].Measure
			x.TakerID, x.TakerAttempt, x.TakerWatch, x.TakerKey = m.taker.id, m.taker.attempt, m.taker.watch, m.taker.key
			if o.joined {
				x.Memo = m.memo
			}
		}
		r.Owed = append(r.Owed, x)
	}
	e.keyRecord(r, i.mem)
	return r
}

func (e *Engine) keyRecord(r *IncidentRecord, m *memory) {
	r.CooldownIn = max(m.cooldown-e.now, 0)
	r.HealsAgo, r.FlipsAgo = agos(e.now, m.heals), agos(e.now, m.flips)
	if m.maskTold != unset {
		r.MaskTold, r.MaskToldAgo = true, e.now-m.maskTold
	}
}

// saveClosed keeps what outlives an incident that ends.
func (e *Engine) saveClosed(i *inc) {
	if !e.o.Durable || i.opened == unset {
		return
	}
	r := IncidentRecord{Closed: true, Snapshot: escalate.Incident{ID: i.id, Watch: i.w.Name}}
	r.Snapshot.Finding.Key = i.key
	e.keyRecord(&r, i.mem)
	i.mem.last = i.id
	e.unsaved.closed = append(e.unsaved.closed, r)
}

func (e *Engine) watchRecord(w *watch) *WatchRecord {
	b := &w.breaker
	r := &WatchRecord{
		Watch: w.Name, FailedAgo: agos(e.now, b.failed), OpenIn: max(b.until-e.now, 0), Half: b.half, Opened: b.opened,
	}
	if w.blindTold {
		r.BlindID, r.BlindAgo = w.blindID, e.now-w.blindSince
	}
	return r
}

func (e *Engine) budgetRecord() *BudgetRecord {
	e.trimBudget()
	return &BudgetRecord{Ago: agos(e.now, e.budget)}
}

func (e *Engine) haltRecord() *HaltRecord {
	if e.halt == nil {
		return &HaltRecord{}
	}
	return &HaltRecord{On: true, By: e.halt.By, Reason: e.halt.Reason, Ago: e.now - e.halt.At}
}

func (e *Engine) silenceRecord(s *Silence) *SilenceRecord {
	return &SilenceRecord{
		ID: s.ID, Watch: s.Watch, Key: s.Key, Labels: s.Labels, By: s.By, Reason: s.Reason,
		Ago: e.now - s.At, In: max(s.Until-e.now, 0),
	}
}

func (e *Engine) stormRecord() *StormRecord {
	st := &e.storm
	return &StormRecord{
		On: st.on, Sticky: st.sticky, ID: st.id, Watches: slices.Clone(st.watches), Count: st.count,
		BeganAgo: e.now - st.began, NewAgo: e.now - st.lastNew, Ended: st.ended != 0, EndedAgo: e.now - st.ended, HeldAfter: st.after,
	}
}

func agos(now At, moments []At) []Ago {
	if len(moments) == 0 {
		return nil
	}
	as := make([]Ago, len(moments))
	for n, at := range moments {
		as[n] = now - at
	}
	return as
}

func ats(now At, as []Ago) []At {
	if len(as) == 0 {
		return nil
	}
	moments := make([]At, len(as))
	for n, a := range as {
		moments[n] = now - a
	}
	return moments
}
