package incident

import (
	"slices"
	"strconv"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// phase is where an incident stands.
type phase uint8

const (
	pending   phase = iota // waits For
	waiting                // wants to start a rung; perhaps held
	gating                 // the application is asked
	asking                 // a person is asked
	acting                 // Run runs
	retrying               // waits to try the rung again
	settling               // waits for the fix to show
	verifying              // waits for the verdict
	watching               // the ladder is over
	clearing               // well; waits KeepFor
	undoing                // puts measures back
)

// foldedKey is the key of the incident that stands for all keys beyond the bound.
const foldedKey = "(more)"

type watch struct {
	Watch
	aboveSafe bool   // some rung is
	plan      string // fingerprint of the playbook as it was written
	live      []*inc // sorted by key
	keys      map[string]*memory
	open      int // incidents past pending
	folded    int // keys beyond the bound, in the last look
	askedAt   At  // when a look was last asked for
	counted   int // by the storm rail, while it weighs
	removing  bool
	engaged   bool

	blindSince At // of the first blind look since it last saw; -1 when it sees
	blindErr   error
	blindID    string
	blindTold  bool
	breaker    breaker

	at         At
	timerIndex int
}

func (w *watch) timerAt() At                       { return w.at }
func (w *watch) timerOrder() (string, string, int) { return w.Name, "", 0 }
func (w *watch) index() *int                       { return &w.timerIndex }

type inc struct {
	w     *watch
	mem   *memory
	id    string
	key   string
	phase phase
	mark  uint64 // of the look that last named it

	finding detect.Finding
	present bool // when it was last known
	unwell  bool // Step.Verify says that it is not well, whatever the detector says
	below   bool // its limit is a lower one
	back    bool // it came back while measures were being put back
	known   bool // the last look could tell
	stale   bool // it could not, because nobody vouches for what was known
	vouched bool // Step.Verify has said that it is well, and the detector lags behind
	ranAt   At   // when the last Run returned
	knownAt At   // start of the last look that could tell
	found   At
	foundBy At     // start of the look that found it
	seen    uint64 // which look that was
	opened  At     // unset: it is pending
	tellAt  At     // when people are told of it if nobody was

	due   At // what the phase waits for
	fresh At // only what was seen from here on may start a rung

	rung    int // next to climb, or being climbed
	number  int // of attempts
	try     int
	record  []remediate.Attempt
	counted int               // attempts that the breaker has been told of
	outcome remediate.Outcome // of the try that is to be repeated
	healed  bool              // the last rung did, as far as is known
	climb   climb
	asked   bool // Step.Verify has been asked

	over   bool // one climb an incident: this one has had it
	shadow int  // rung that a shadow would climb next

	rail      remediate.Rail
	why       string
	heldSince At
	heldUntil At
	heldTold  bool
	stormed   bool // was held by the storm
	permit    bool
	gateYes   bool
	approved  At // until when; 0: not
	proposal  *Proposal
	proposals int // how many there were: an answer is bound to one

	owed     []*owed
	undoRuns bool
	undoPick pick
	undoThen then
	undoFrom At // since when the undo is due
	undoTold bool
	stuck    bool // an undo failed for good; waits for a person

	told      bool // people were
	informed  bool // those who are told of everything were
	muted     bool // its levels and repeats are
	owedTell  escalate.Reason
	detail    string
	reason    escalate.Reason
	acked     At
	called    bool            // people were told how the ladder ended
	ended     escalate.Reason // why it did
	endedHow  string
	named     bool             // in the notice of a cause or a storm
	toldOf    []remediate.Rail // rails that people were told of since it last acted
	gathered  bool
	evidence  []escalate.Evidence
	samples   samples
	inWaiting bool
	parked    bool // its last attempt ended because the supervisor stops
	unsaved   bool

	at         At
	timerIndex int
}

func (i *inc) timerAt() At                       { return i.at }
func (i *inc) timerOrder() (string, string, int) { return i.w.Name, i.key, 1 }
func (i *inc) index() *int                       { return &i.timerIndex }

func (i *inc) folded() bool { return i.key == foldedKey }

// steps is the ladder of this incident: none for what only escalates.
func (i *inc) steps() []remediate.Step {
	if i.folded() || i.w.Mode == Shadow {
		return nil
	}
	return i.w.Playbook.Steps
}

// step is the rung to climb, or nil past the last.
func (i *inc) step() *remediate.Step {
	if s := i.steps(); i.rung < len(s) {
		return &s[i.rung]
	}
	return nil
}

// sick says whether there is something to act on.
func (i *inc) sick() bool { return i.present || i.unwell }

func (i *inc) attempt() *remediate.Attempt { return &i.record[len(i.record)-1] }

func (w *watch) find(key string) (*inc, int, bool) {
	n, ok := slices.BinarySearchFunc(w.live, key, func(i *inc, k string) int { return strings.Compare(i.key, k) })
	if ok {
		return w.live[n], n, true
	}
	return nil, n, false
}

// found begins the life of an incident: a finding with a key that had none.
func (e *Engine) found(w *watch, f *detect.Finding, severity detect.Severity, started At) {
	_, n, _ := w.find(f.Key)
	e.nextID++
	i := &inc{
		w: w, mem: w.remember(f.Key, e.now), key: f.Key,
		id:   e.o.IDs + strconv.FormatUint(e.nextID, 36),
		mark: e.looks, seen: e.looks, finding: *f, known: true, knownAt: started,
		present: true, below: f.Value < f.Limit,
		found: e.now, foundBy: started, opened: unset, due: e.now + w.For, heldSince: -1, undoFrom: -1,
		at: never, timerIndex: -1,
	}
	i.finding.Severity = severity
	i.mem.inc = i
	w.live = slices.Insert(w.live, n, i)
	e.byID[i.id] = i
	i.sample(e.now)
	e.emit(Event{Kind: EvFound, Watch: w.Name, Key: i.key, Incident: i.id, Finding: i.finding})
	if i.folded() {
		e.emit(Event{Kind: EvDrop, Watch: w.Name, Key: i.key, Incident: i.id, Number: w.folded, Finding: i.finding})
	}
	e.engage(w)
	if w.For == 0 {
		e.open(i)
	}
	e.rearm(i)
}

func (e *Engine) open(i *inc) {
	i.opened, i.tellAt = e.now, e.now+nobodyTold
	i.w.open++
	i.mem.flip(e.now)
	e.emit(Event{Kind: EvOpen, Watch: i.w.Name, Key: i.key, Incident: i.id, Finding: i.finding})
	e.inform(i, escalate.Trigger)
	e.stormCount(i)
	if e.masked(i) && i.w.Mode != Shadow {
		e.tellMasking(i)
	}
	e.wait(i)
}

// wait puts i in line for its next rung.
func (e *Engine) wait(i *inc) {
	i.phase = waiting
	if !i.inWaiting {
		i.inWaiting = true
		e.waiting = append(e.waiting, i)
	}
	if s := i.step(); s != nil && s.Risk == remediate.Safe && s.Measure == "" &&
		i.w.Playbook.Limits.Exclusive == "" && len(i.w.After) == 0 {
		e.tryStart(i)
		return
	}
	e.dirty = true
}

// unwait takes i out of the line.
func (e *Engine) unwait(i *inc) {
	if !i.inWaiting {
		return
	}
	i.inWaiting = false
	if e.reserved > 0 {
		e.recheck() // it may have kept a permit for i
	}
	if n := slices.Index(e.waiting, i); n >= 0 {
		e.waiting = slices.Delete(e.waiting, n, n+1)
	}
}

// drop ends an incident that never opened.
func (e *Engine) drop(i *inc) {
	e.emit(Event{Kind: EvBlip, Watch: i.w.Name, Key: i.key, Incident: i.id, Finding: i.finding})
	e.forget(i)
}

// clear is where the key is well and KeepFor begins.
func (e *Engine) clear(i *inc) {
	e.release(i)
	e.unhold(i)
	i.unwell, i.gateYes, i.approved = false, false, 0
	i.phase = clearing
	i.due = e.now + i.w.KeepFor
	e.touch(i)
	if i.w.KeepFor == 0 || mutant(mutKeepFor) {
		e.kept(i)
	}
}

// kept is where KeepFor is over and the key is still well.
func (e *Engine) kept(i *inc) {
	if e.flapping(i) || mutant(mutNeverCloses) {
		if i.rail != remediate.RailFlapping {
			e.hold(i, remediate.RailFlapping, "it opens and closes again and again", never)
		}
		return
	}
	e.unhold(i)
	e.startUndo(i, everything, closing)
}

// reopen is where the finding came back before the incident was closed.
func (e *Engine) reopen(i *inc) {
	e.unhold(i)
	if i.over {
		i.phase = watching
		e.tellEnd(i)
		return
	}
	e.emit(Event{Kind: EvOpen, Watch: i.w.Name, Key: i.key, Incident: i.id, Finding: i.finding, Again: true})
	if i.healed {
		i.healed = false
		i.mem.heal(e.now, i.w.Playbook.Limits.Heals)
		e.ladderFailed(i)
	}
	i.fresh = i.knownAt
	if s := i.step(); s != nil && s.Risk.AboveSafe() {
		i.fresh = e.now + confirmAfter
	}
	e.wait(i)
}

// close ends an incident that was open.
func (e *Engine) close(i *inc) {
	lim := &i.w.Playbook.Limits
	if i.healed {
		i.mem.heal(e.now, lim.Heals)
		e.ladderHealed(i)
	} else if n := len(i.record); n > 0 && i.record[n-1].Outcome == remediate.Moved {
		e.ladderFailed(i)
	}
	if i.acted() && lim.Cooldown > 0 {
		i.mem.cooldown = max(i.mem.cooldown, e.now+lim.Cooldown)
	}
	i.mem.flip(e.now)
	e.resolve(i)
	e.emit(Event{Kind: EvClose, Watch: i.w.Name, Key: i.key, Incident: i.id, Finding: i.finding, Duration: e.now - i.opened, Healed: i.healed && !i.told})
	i.w.open--
	e.forget(i)
	if i.w.open == 0 {
		e.recheck() // symptoms may go on
	}
}

// acted says whether any rung was really climbed.
func (i *inc) acted() bool {
	for n := range i.record {
		if i.record[n].Outcome != remediate.Skipped {
			return true
		}
	}
	return false
}

func (e *Engine) forget(i *inc) {
	e.release(i)
	e.unask(i)
	e.endTrial(i)
	for _, o := range i.owed { // a person has put it back by hand
		if o.shared != nil {
			e.letGo(i, o.shared)
		}
	}
	e.saveClosed(i)
	i.mem.inc = nil
	i.mem.used = e.now
	delete(e.byID, i.id)
	if _, n, ok := i.w.find(i.key); ok {
		i.w.live = slices.Delete(i.w.live, n, n+1)
	}
	e.rearm(i)
	e.engage(i.w)
	e.gone(i.w)
}

// release gives back what i holds while it climbs.
func (e *Engine) release(i *inc) {
	e.unwait(i)
	if i.permit {
		i.permit = false
		if n := slices.Index(e.running, i); n >= 0 {
			e.running = slices.Delete(e.running, n, n+1)
		}
		e.recheck()
	}
	for name, c := range e.exclusive {
		if c.id == i.id && !c.abandoned {
			delete(e.exclusive, name)
			e.recheck()
		}
	}
}

// engage tells the shell whether looks that find nothing matter.
func (e *Engine) engage(w *watch) {
	on := len(w.live) > 0 || w.blindSince >= 0
	if on != w.engaged {
		w.engaged = on
		e.do(Decision{Kind: DoEngage, Watch: w.Name, On: on})
	}
}

// askLook asks for a look that starts from now on, once an instant.
func (e *Engine) askLook(w *watch) {
	if w.askedAt != e.now {
		w.askedAt = e.now
		e.do(Decision{Kind: DoLook, Watch: w.Name})
	}
}

// recheck lets everything that waits be looked at again in Arbitrate.
func (e *Engine) recheck() { e.dirty = true }
