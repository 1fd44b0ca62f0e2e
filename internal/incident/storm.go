package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
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
	recent  []*stormed // that opened, by when they were first found
	weigh   bool       // one came since they were last weighed
	on      bool
	sticky  bool // until a person resumes
	lastNew At
	ended   At   // when the last one did; 0 before the first
	after   bool // one ladder at a time, until those that it held are through
	ladder  *inc // that one
	id      string
	watches []string
	began   At
	count   int
}

type stormed struct {
	inc    *inc
	mem    *memory
	watch  *watch
	found  At
	counts bool // as far as was last known while it lived
}

// stormCount notes an incident that has just opened. Whether it counts is
// weighed in Arbitrate, once all of this instant is known: its cause may open
// after it.
func (e *Engine) stormCount(i *inc) {
	if !i.w.aboveSafe || i.w.Mode == Shadow || i.folded() {
		return
	}
	st := &e.storm
	n, _ := slices.BinarySearchFunc(st.recent, i.found, func(s *stormed, at At) int {
		if s.found <= at {
			return -1
		}
		return 1
	})
	st.recent = slices.Insert(st.recent, n, &stormed{inc: i, mem: i.mem, watch: i.w, found: i.found, counts: true})
	st.weigh = true
	e.recheck()
}

// stormWeigh says whether a storm begins, or goes on, with those that opened.
func (e *Engine) stormWeigh() {
	st := &e.storm
	if !st.weigh {
		return
	}
	st.weigh = false
	// What opens from now on was found no longer ago than the longest For, give
	// or take the look that opened it.
	st.recent = slices.DeleteFunc(st.recent, func(s *stormed) bool { return s.found+e.longestFor+stormCalm < e.now })
	for _, s := range st.recent {
		if e.byID[s.inc.id] == s.inc {
			s.counts = e.silenced(s.inc) == nil && e.causeOpen(s.watch) == ""
		}
	}
	if st.on {
		e.stormGrows()
		return
	}
	n, from, to := e.stormSize()
	total := e.total
	if total == 0 {
		for _, w := range e.watches {
			if !w.removing {
				total++
			}
		}
	}
	if n > stormMore || n >= max(stormHalfOf, (total+1)/2) {
		e.stormBegins(n, st.recent[from:to])
	}
}

// stormSize weighs the heaviest minute of what opened, recent[from:to]: the
// keys of one watch count as one up to a fifth of the keys it has had (at least
// 5), else each. A key that fell sick twice in that minute counts once.
func (e *Engine) stormSize() (most, from, to int) {
	recent, size, first := e.storm.recent, 0, 0
	add := func(s *stormed, d int) {
		if !s.counts {
			return
		}
		before := s.mem.counted > 0
		s.mem.counted += d
		if before == (s.mem.counted > 0) {
			return
		}
		size -= s.watch.weight()
		s.watch.counted += d
		size += s.watch.weight()
	}
	for n, s := range recent {
		for ; recent[first].found+stormWithin < s.found; first++ {
			add(recent[first], -1)
		}
		add(s, 1)
		if size > most {
			most, from, to = size, first, n+1
		}
	}
	for _, s := range recent {
		s.watch.counted, s.mem.counted = 0, 0
	}
	return most, from, to
}

// weight is what the counted keys of w count for.
func (w *watch) weight() int {
	if w.counted <= max(stormKeys, int(stormShare*float64(len(w.keys)))) {
		return min(w.counted, 1)
	}
	return w.counted
}

func (e *Engine) stormBegins(n int, members []*stormed) {
	st := &e.storm
	st.on, st.after, st.ladder = true, false, nil
	e.unsaved.storm = true
	st.sticky = st.ended != 0 && e.now < st.ended+stormAgain
	st.began, st.lastNew, st.count = e.now, e.now, 0
	st.watches = st.watches[:0]
	keys := map[*memory]bool{}
	for _, s := range members {
		if s.counts {
			keys[s.mem] = true
			st.count = len(keys)
			if !slices.Contains(st.watches, s.watch.Name) {
				st.watches = append(st.watches, s.watch.Name)
			}
		}
	}
	slices.Sort(st.watches)
	st.recent = nil
	e.nextID++
	st.id = fmt.Sprintf("%ss%d", e.o.IDs, e.nextID)
	e.emit(Event{Kind: EvStorm, Watch: Self, Key: supervisorKey, Incident: st.id, Why: fmt.Sprintf("%d sick within %v", n, stormWithin)})
	if !mutant(mutStorm) {
		e.tellStorm(escalate.Trigger)
	}
	e.recheck()
}

// stormGrows takes in what opened while a storm is on. The people of a watch
// that had no part in it yet are told too.
func (e *Engine) stormGrows() {
	st := &e.storm
	known := len(st.watches)
	e.unsaved.storm = true
	for _, s := range st.recent {
		if !s.counts {
			continue
		}
		st.lastNew = e.now
		st.count++
		if !slices.Contains(st.watches, s.watch.Name) {
			st.watches = append(st.watches, s.watch.Name)
		}
	}
	st.recent = nil
	if len(st.watches) > known {
		e.tellStorm(escalate.Update)
	}
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
					i.named = true
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
	if !pages || kind == escalate.Update {
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
	e.unsaved.storm = true
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
	e.ladderOver()
	for _, i := range e.byID {
		if i.stormed && i.climbs() {
			return
		}
	}
	for _, i := range e.byID {
		i.stormed = false
	}
	e.storm.after, e.storm.ladder = false, nil
	e.unsaved.storm = true
	e.recheck()
}

// climbs says whether i is on its ladder, or waits for nothing but its turn.
func (i *inc) climbs() bool {
	switch i.phase {
	case gating, acting, retrying, settling, verifying:
		return true
	case waiting:
		return i.rail == "" || i.rail == remediate.RailConcurrency || i.rail == remediate.RailExclusive
	}
	return false
}

// othersLadder says whether i has to wait until another ladder is over, since a
// storm has just ended.
func (e *Engine) othersLadder(i *inc) bool {
	return e.storm.after && e.storm.ladder != nil && e.storm.ladder != i
}

// ladderOver lets the next one go on where the one that goes first is through,
// or is held by something else.
func (e *Engine) ladderOver() {
	if i := e.storm.ladder; i != nil && (e.byID[i.id] != i || !i.climbs()) {
		e.storm.ladder = nil
		e.recheck()
	}
}

func name(watch, key string) string {
	if key == "" {
		return watch
	}
	return watch + "[" + key + "]"
}
