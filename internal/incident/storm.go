package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

const (
	stormWithin   = time.Minute
	stormMore     = 5
	stormHalfOf   = 3
	stormCalm     = 5 * time.Minute
	stormAgain    = time.Hour
	stormKeys     = 5
	stormShare    = 0.2
	reserveFor    = 2 * time.Second
	supervisorKey = "storm"
	// Self is the watch under which the supervisor reports on itself.
	Self = "selfheal"
)

// storm is the rail against shared causes: many sick at once.
type storm struct {
	recent  []*stormed // opened, first found within the last minute
	on      bool
	sticky  bool // until a person resumes
	lastNew At
	ended   At   // when the last one did; 0 before the first
	after   bool // one ladder at a time, until those that it held are through
	id      string
	watches []string
	began   At
	count   int
}

type stormed struct {
	found At
	watch *watch
	key   string
}

// stormCount counts an incident that has just opened.
func (e *Engine) stormCount(i *inc) {
	st := &e.storm
	if !i.w.aboveSafe || i.w.Mode == Shadow || i.folded() || e.silenced(i) != nil || e.causeOpen(i.w) != "" {
		return
	}
	st.recent = slices.DeleteFunc(st.recent, func(s *stormed) bool { return s.found+stormWithin < e.now })
	if i.found+stormWithin < e.now && i.w.For == 0 {
		return
	}
	st.recent = append(st.recent, &stormed{found: i.found, watch: i.w, key: i.key})
	if st.on {
		st.lastNew = e.now
		st.count++
		if !slices.Contains(st.watches, i.w.Name) {
			st.watches = append(st.watches, i.w.Name)
		}
		return
	}
	n := e.stormSize()
	total := 0
	for _, w := range e.watches {
		if !w.removing {
			total++
		}
	}
	if n > stormMore || n >= max(stormHalfOf, (total+1)/2) {
		e.stormBegins(n)
	}
}

// stormSize weighs what opened: the keys of one watch count as one up to a
// fifth of the keys it has had (at least 5), else each.
func (e *Engine) stormSize() int {
	perWatch := map[*watch]int{}
	for _, s := range e.storm.recent {
		perWatch[s.watch]++
	}
	n := 0
	for w, keys := range perWatch {
		if keys <= max(stormKeys, int(stormShare*float64(len(w.keys)))) {
			n++
		} else {
			n += keys
		}
	}
	return n
}

func (e *Engine) stormBegins(n int) {
	st := &e.storm
	st.on = true
	st.sticky = st.ended > 0 && e.now < st.ended+stormAgain
	st.began, st.lastNew, st.count = e.now, e.now, len(st.recent)
	st.watches = st.watches[:0]
	for _, s := range st.recent {
		if !slices.Contains(st.watches, s.watch.Name) {
			st.watches = append(st.watches, s.watch.Name)
		}
	}
	slices.Sort(st.watches)
	e.nextID++
	st.id = fmt.Sprintf("%ss%d", e.o.IDs, e.nextID)
	e.emit(Event{Kind: EvStorm, Watch: Self, Key: supervisorKey, Incident: st.id, Why: fmt.Sprintf("%d sick within %v", n, stormWithin)})
	if !mutant(mutStorm) {
		e.tellStorm(escalate.Trigger)
	}
	e.recheck()
}

func (e *Engine) tellStorm(kind escalate.Kind) {
	st := &e.storm
	in := escalate.Incident{
		ID: st.id, Watch: Self, Service: e.o.Service, State: escalate.Open, Opened: e.wall(st.began), Reason: escalate.Storm,
		Finding: detect.Finding{Key: supervisorKey, Severity: detect.Critical, Summary: fmt.Sprintf("%d sick within %v: a shared cause", st.count, stormWithin)},
		Detail:  "steps above safe have stopped until 5 minutes after the last new one; look for what these have in common",
	}
	if st.sticky {
		in.Detail = "the second storm within an hour: steps above safe have stopped until somebody resumes"
	}
	for _, w := range st.watches {
		if x := e.watches[w]; x != nil {
			for _, i := range x.live {
				if i.phase != pending && len(in.Symptoms) < 100 {
					in.Symptoms = append(in.Symptoms, name(w, i.key))
				}
			}
		}
	}
	pages := false
	for _, w := range st.watches {
		if x := e.watches[w]; x != nil && x.Pages {
			pages = true
		}
	}
	if kind == escalate.Resolve {
		in.State, in.Closed = escalate.Closed, e.wall(e.now)
	}
	e.do(Decision{Kind: DoTell, Watch: Self, Notice: &Notice{
		Kind: kind, DedupKey: st.id, Watches: slices.Clone(st.watches), Incident: in,
	}})
	if !pages {
		return
	}
	ev := Event{Kind: EvPage, Watch: Self, Key: supervisorKey, Incident: st.id, Reason: escalate.Storm, Finding: in.Finding}
	if kind == escalate.Resolve {
		ev.Kind = EvResolve
	}
	e.emit(ev)
}

// stormOver lets those that it held go on, one ladder at a time.
func (e *Engine) stormOver() {
	st := &e.storm
	st.on, st.sticky = false, false
	st.ended, st.after = e.now, true
	st.recent = nil
	e.emit(Event{Kind: EvStormOver, Watch: Self, Key: supervisorKey, Incident: st.id, Duration: e.now - st.began})
	if !mutant(mutStorm) {
		e.tellStorm(escalate.Resolve)
	}
	e.recheck()
}

// stormDrained ends the careful time after a storm once those that it held are
// through.
func (e *Engine) stormDrained() {
	if !e.storm.after {
		return
	}
	for _, i := range e.byID {
		if i.stormed && (i.phase == waiting || i.phase == gating || i.phase == asking || i.permit) {
			return
		}
	}
	for _, i := range e.byID {
		i.stormed = false
	}
	e.storm.after = false
	e.recheck()
}

// tilt is the rail against ourselves: late, or with a clock that stepped.
type tilt struct {
	until At // 0: calm
	over  At // what was seen before is not judged
	why   string
	since At
}

// tilted begins or prolongs a tilt.
func (e *Engine) tilted(why string) {
	if e.tilt.until == 0 {
		e.tilt.since = e.now
		e.emit(Event{Kind: EvTilt, Watch: Self, Key: "tilt", Why: why})
	}
	e.tilt.why = why
	e.tilt.until = e.now + calmFor
	e.recheck()
}

// calm ends it: everything is looked at afresh.
func (e *Engine) calm() {
	e.emit(Event{Kind: EvCalm, Watch: Self, Key: "tilt", Duration: e.now - e.tilt.since})
	e.tilt.until, e.tilt.over = 0, e.now
	for _, w := range e.sorted() {
		if w.engaged {
			e.askLook(w)
		}
	}
	e.recheck()
}

func name(watch, key string) string {
	if key == "" {
		return watch
	}
	return watch + "[" + key + "]"
}
