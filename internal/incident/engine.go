package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
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
	unset         = At(-1 << 63) // of a moment that may lie before the engine's birth
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
	left      map[string]map[string]*memory // keys of watches that are gone, for which a call still runs
	strays    map[string]escalate.Incident  // told of: calls that outlive their incident
	budget    []At                          // when steps above Safe began, within the window
	reserved  int                           // permits kept for those that wait for their fresh look
	asks      map[string]*inc
	looks     uint64
	total     int // watches there are, if the shell said so
	scratch   []*inc
	sorting   []detect.Finding

	halt       *Halted
	silences   []*Silence
	safeMode   condition
	degraded   condition
	healthyAt  At
	stopping   bool
	tilt       tilt
	longestFor At
	storm      storm

	unsaved unsaved
	orphans map[string]*orphan // what an earlier life left of watches that are not here yet
}

// New returns an engine without watches.
func New(o Options) *Engine {
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 1
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 1000
	}
	if o.UncleanEnds == 0 {
		o.UncleanEnds = 3
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
		strays:    map[string]escalate.Incident{},
		left:      map[string]map[string]*memory{},
		asks:      map[string]*inc{},
		healthyAt: never,
		safeMode:  safeModeCondition(),
		degraded:  degradedCondition(),
	}
}

// Step takes in what became known at now and returns what is to be done. The
// result is valid until the next call. Inputs of one call are of one instant:
// they are handled in the order of watch and key. Time never runs backwards: an
// earlier now counts as the latest one seen. ins is put in that order in place.
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
	e.ladderOver()
	return e.out
}

// Pending says whether Arbitrate has anything to do.
func (e *Engine) Pending() bool { return e.dirty }

func (e *Engine) begin(now At) {
	e.now = max(e.now, now)
	clear(e.out)
	e.out = e.out[:0]
}

func (e *Engine) do(d Decision) { e.out = append(e.out, d) }

func (e *Engine) emit(ev Event) {
	ev.At = e.now
	if e.o.Durable && ev.Incident != "" {
		if i := e.byID[ev.Incident]; i != nil {
			e.touch(i)
		}
	}
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
				e.touch(i)
				o.memo = in.Memo
				if o.shared != nil && !o.joined {
					o.shared.memo = in.Memo
				}
			}
		}
	case InGathered:
		if i := e.byID[in.Incident]; i != nil {
			i.evidence = append(i.evidence, in.Evidence...)
			e.touch(i)
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
		e.set(&e.safeMode, in)
	case InDegraded:
		e.set(&e.degraded, in)
	case InUntold:
		e.untold(in.Incident)
	case InStop:
		e.stop()
	case InTick:
	default:
		e.people(in)
	}
}

func (e *Engine) set(c *condition, in *Input) {
	if in.On {
		e.enter(c, in.Note)
	} else {
		e.exit(c)
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
	if e.watches[cfg.Name] != nil {
		return // the shell minds the names; the first one keeps its own
	}
	w := &watch{
		Watch: *cfg, keys: map[string]*memory{}, blindSince: -1, askedAt: -1,
		plan: cfg.Playbook.Fingerprint(), at: never, timerIndex: -1,
	}
	if left := e.left[w.Name]; left != nil {
		w.keys = left
		delete(e.left, w.Name)
	}
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
	e.longestFor = max(e.longestFor, w.For)
	if o := e.orphans[w.Name]; o != nil {
		delete(e.orphans, w.Name)
		e.adopt(w, o)
	}
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

// reply answers a person.
func (e *Engine) reply(err error) { e.do(Decision{Kind: DoReply, Err: err}) }
