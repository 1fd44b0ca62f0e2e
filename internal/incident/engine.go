package incident

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// Fixed bounds; each is a rail's default in the design.
const (
	confirmAfter  = 100 * time.Millisecond
	askFor        = 15 * time.Minute
	heldTooLong   = 15 * time.Minute
	undoTooLong   = 15 * time.Minute
	nobodyTold    = time.Hour
	tellMaskingIn = 24 * time.Hour
	calmFor       = 30 * time.Second
	blindChecks   = 3
	blindFor      = time.Minute
	never         = At(1<<63 - 1)
)

// Engine is the state machine. It is not safe for concurrent use: the shell
// serialises its inputs.
type Engine struct {
	o   Options
	now At
	out []Decision

	watches map[string]*watch
	byID    map[string]*inc
	nextID  uint64
	timers  timers

	waiting []*inc // those that wait to start a rung
	dirty   bool   // one of them may start, or be held by something else

	running   []*inc // hold a permit
	exclusive map[string]*call
	measures  map[string]*measure
	budget    []At // when steps above Safe began, within the window
	reserved  int  // permits kept for those that wait for their fresh look
	asks      map[string]*inc
	looks     uint64
	scratch   []*inc

	halt     *Halted
	silences []*Silence
	safeMode bool
	stopping bool
	tilt     tilt
	storm    storm
}

// New returns an engine without watches.
func New(o Options) *Engine {
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 1
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 1000
	}
	if o.Budget == 0 {
		o.Budget = 30
	}
	if o.BudgetWindow == 0 {
		o.BudgetWindow = time.Hour
	}
	o.MaxRisk = o.MaxRisk.Level()
	return &Engine{
		o:         o,
		watches:   map[string]*watch{},
		byID:      map[string]*inc{},
		exclusive: map[string]*call{},
		measures:  map[string]*measure{},
		asks:      map[string]*inc{},
	}
}

// Step takes in what became known at now and returns what is to be done. The
// result is valid until the next call. Inputs of one call are of one instant:
// they are handled in the order of watch and key. Time never runs backwards: an
// earlier now counts as the latest one seen.
func (e *Engine) Step(now At, ins ...Input) []Decision {
	e.begin(now)
	if len(ins) > 1 {
		slices.SortStableFunc(ins, func(a, b Input) int {
			if c := strings.Compare(a.Watch, b.Watch); c != 0 {
				return c
			}
			return strings.Compare(a.Key, b.Key)
		})
	}
	e.fire()
	for i := range ins {
		e.handle(&ins[i])
	}
	e.fire()
	return e.out
}

// Pending says whether Arbitrate has anything to do.
func (e *Engine) Pending() bool { return e.dirty }

// Next returns when the engine wants an InTick at the latest.
func (e *Engine) Next() (at At, ok bool) {
	next := never
	if len(e.timers) > 0 {
		next = e.timers[0].timerAt()
	}
	if e.tilt.until > 0 {
		next = min(next, e.tilt.until)
	}
	if e.storm.on && !e.storm.sticky {
		next = min(next, e.storm.lastNew+stormCalm)
	}
	return next, next != never
}

func (e *Engine) begin(now At) {
	e.now = max(e.now, now)
	clear(e.out)
	e.out = e.out[:0]
}

func (e *Engine) do(d Decision) { e.out = append(e.out, d) }

func (e *Engine) emit(ev Event) {
	ev.At = e.now
	e.do(Decision{Kind: DoEmit, Watch: ev.Watch, Event: ev})
}

func (e *Engine) wall(at At) time.Time { return e.o.Epoch.Add(at) }

func (e *Engine) handle(in *Input) {
	switch in.Kind {
	case InLook:
		if w := e.watches[in.Watch]; w != nil {
			e.look(w, in)
		}
	case InRan:
		if i := e.attemptOf(in); i != nil {
			e.ran(i, in)
		}
	case InVerified:
		if i := e.attemptOf(in); i != nil {
			e.verified(i, in)
		}
	case InUndone:
		if i := e.byID[in.Incident]; i != nil {
			e.undone(i, in)
		}
	case InAbandoned:
		e.abandonedForLong(in)
	case InReturned:
		e.returned(in)
	case InSaved:
		if i := e.byID[in.Incident]; i != nil {
			if o := i.owedOf(in.Attempt); o != nil {
				o.memo = in.Memo
				if o.shared != nil && !o.joined {
					o.shared.memo = in.Memo
				}
			}
		}
	case InGathered:
		if i := e.byID[in.Incident]; i != nil {
			i.evidence = append(i.evidence, in.Evidence...)
		}
	case InGated:
		if i := e.byID[in.Incident]; i != nil && i.phase == gating && i.number+1 == in.Attempt {
			e.gated(i, in.Err)
		}
	case InTilt:
		e.tilted(in.Note)
	case InAdd:
		e.add(in.Add)
	case InRemove:
		if w := e.watches[in.Watch]; w != nil {
			e.remove(w)
		}
	case InSafeMode:
		e.safeMode = in.On
		e.recheck()
	case InStop:
		e.stop()
	case InTick:
	default:
		e.people(in)
	}
}

// attemptOf finds the incident whose current attempt an answer belongs to. An
// answer that comes late, for an attempt that has been judged, belongs to none.
func (e *Engine) attemptOf(in *Input) *inc {
	i := e.byID[in.Incident]
	if i == nil || i.number != in.Attempt || in.Kind == InRan && i.try != in.Try {
		return nil
	}
	return i
}

func (e *Engine) add(cfg *Watch) {
	w := &watch{Watch: *cfg, keys: map[string]*memory{}, seenAt: -1, blindSince: -1, at: never, timerIndex: -1}
	l := &w.Playbook.Limits
	l.Cooldown = orDefault(l.Cooldown, 5*time.Minute)
	l.Breaker.Within = orDefault(l.Breaker.Within, time.Hour)
	l.Breaker.OpenFor = orDefault(l.Breaker.OpenFor, 30*time.Minute)
	l.Heals.Within = orDefault(l.Heals.Within, 24*time.Hour)
	if l.Breaker.Failures == 0 {
		l.Breaker.Failures = 3
	}
	if l.Heals.N == 0 {
		l.Heals.N = 5
	}
	for _, s := range w.Playbook.Steps {
		w.aboveSafe = w.aboveSafe || s.Risk.AboveSafe() && !w.Disabled[s.Name]
	}
	e.watches[w.Name] = w
}

func (e *Engine) remove(w *watch) {
	w.removing = true
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
	e.sight(w)
	e.unarm(w)
	delete(e.watches, w.Name)
	e.do(Decision{Kind: DoRemoved, Watch: w.Name})
	e.recheck()
}

// stop begins the shutdown: nothing new starts, and what is owed is undone.
func (e *Engine) stop() {
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
			e.finish(i, remediate.Unverified, nil)
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

func (e *Engine) sorted() []*watch {
	ws := make([]*watch, 0, len(e.watches))
	for _, w := range e.watches {
		ws = append(ws, w)
	}
	slices.SortFunc(ws, func(a, b *watch) int { return strings.Compare(a.Name, b.Name) })
	return ws
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// A timed is something that wants to be called at a time.
type timed interface {
	timerAt() At
	timerOrder() (watch, key string)
	index() *int
}

type timers []timed

func (t timers) Len() int { return len(t) }
func (t timers) Less(a, b int) bool {
	x, y := t[a].timerAt(), t[b].timerAt()
	if x != y {
		return x < y
	}
	w, k := t[a].timerOrder()
	v, l := t[b].timerOrder()
	if w != v {
		return w < v
	}
	return k < l
}
func (t timers) Swap(a, b int) {
	t[a], t[b] = t[b], t[a]
	*t[a].index(), *t[b].index() = a, b
}
func (t *timers) Push(x any) {
	v := x.(timed)
	*v.index() = len(*t)
	*t = append(*t, v)
}
func (t *timers) Pop() any {
	old := *t
	v := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	*v.index() = -1
	return v
}

// rearm puts i where its next moment is. It is called after everything that
// may have changed it, and costs a comparison when nothing did.
func (e *Engine) rearm(i *inc) {
	at := never
	if e.byID[i.id] == i {
		at = i.nextMoment(e)
	}
	if at == i.at {
		return
	}
	i.at = at
	e.place(i, at)
}

func (e *Engine) rearmWatch(w *watch) {
	at := never
	if w.blindSince >= 0 && !w.blindTold && e.watches[w.Name] == w {
		at = w.blindSince + max(blindFor, blindChecks*w.Every)
	}
	if at != w.at {
		w.at = at
		e.place(w, at)
	}
}

func (e *Engine) unarm(w *watch) {
	w.at = never
	e.place(w, never)
}

func (e *Engine) place(t timed, at At) {
	switch n := *t.index(); {
	case n < 0 && at != never:
		heap.Push(&e.timers, t)
	case n >= 0 && at == never:
		heap.Remove(&e.timers, n)
	case n >= 0:
		heap.Fix(&e.timers, n)
	}
}

// fire handles every moment that has come.
func (e *Engine) fire() {
	if e.tilt.until > 0 && e.now >= e.tilt.until {
		e.calm()
	}
	if e.storm.on && !e.storm.sticky && e.now >= e.storm.lastNew+stormCalm {
		e.stormOver()
	}
	for len(e.timers) > 0 && e.timers[0].timerAt() <= e.now {
		switch t := e.timers[0].(type) {
		case *inc:
			e.moment(t)
			if t.at <= e.now && t.timerIndex >= 0 {
				// Its moment is past and it did not ask for a later one.
				t.at = never
				e.place(t, never)
			}
		case *watch:
			e.blindForLong(t)
			if t.at <= e.now {
				e.unarm(t)
			}
		}
	}
}

// reply answers a person.
func (e *Engine) reply(err error) { e.do(Decision{Kind: DoReply, Err: err}) }
