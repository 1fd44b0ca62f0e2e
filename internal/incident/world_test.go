package incident

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// world plays the shell around an engine, and everything that the shell talks
// to, in virtual time: detectors, steps, gates and people. What is due at one
// instant is handed to Step together; then Arbitrate has its turn, as the
// contract of the package says.
type world struct {
	e       *Engine
	now     At
	due     []due // a heap
	seq     int
	in      []Input
	next    []Input // second looks of one watch, so that the books can follow
	watches map[string]*watched
	monitor *monitor
	failed  string // the first invariant that was broken
	inputs  int
	stopped bool
	reborn  bool              // an earlier life left something
	wrote   func(rs []Record) // what a journal gets before anything is carried out

	// What the world does. Each has a quiet default.
	look   func(w *watched) (took At, findings []detect.Finding, err error)
	run    func(d *Decision, s *watched) answer
	verify func(d *Decision, s *watched) answer
	undo   func(d *Decision, s *watched) answer
	gate   func(d *Decision) (took At, err error)

	asked   func(ev *Event)
	onTell  func(n *Notice)
	lines   []line           // the timeline, where it is kept
	keep    bool             // keep the timeline
	trace   *strings.Builder // every decision, whole
	story   *strings.Builder // inputs and decisions, in short
	record  *[]recorded
	replies []error
	runs    map[string]int // how often each step ran
}

// answer is how a call of user code goes: when it ends and how.
type answer struct {
	took      At
	result    Result
	abandoned bool // it is given up after took, and
	late      At   // ends that much later; never if 0
}

type due struct {
	at  At
	seq int
	do  func()
}

// watched is a watch in the world.
type watched struct {
	cfg     Watch
	sick    map[string]detect.Finding
	blind   error
	engaged bool
	looking bool
	again   bool // look once more when this look is over
	queued  bool // a look starts at this instant
	leaving bool // it is being removed
	gone    bool
}

// recorded is a call of the engine.
type recorded struct {
	at        At
	ins       []Input
	arbitrate bool
}

func newWorld(o Options) *world {
	w := &world{e: New(o), watches: map[string]*watched{}, runs: map[string]int{}}
	w.monitor = newMonitor(w, o)
	w.look = func(s *watched) (At, []detect.Finding, error) { return 0, s.findings(), s.blind }
	w.run = func(*Decision, *watched) answer { return answer{} }
	w.verify = func(*Decision, *watched) answer { return answer{} }
	w.undo = func(*Decision, *watched) answer { return answer{} }
	w.gate = func(*Decision) (At, error) { return 0, nil }
	return w
}

func (s *watched) findings() []detect.Finding {
	if len(s.sick) == 0 {
		return nil
	}
	fs := make([]detect.Finding, 0, len(s.sick))
	for _, f := range s.sick {
		fs = append(fs, f)
	}
	slices.SortFunc(fs, func(a, b detect.Finding) int { return cmp.Compare(a.Key, b.Key) })
	return fs
}

// add watches cfg from now on, looking at its interval and first at once.
func (w *world) add(cfg Watch) *watched {
	s := &watched{cfg: cfg, sick: map[string]detect.Finding{}}
	w.watches[cfg.Name] = s
	w.put(Input{Kind: InAdd, Watch: cfg.Name, Add: &cfg})
	w.after(0, func() { w.every(s) })
	return s
}

func (w *world) every(s *watched) {
	if s.gone {
		return
	}
	w.startLook(s)
	w.after(s.cfg.Every, func() { w.every(s) })
}

func (w *world) startLook(s *watched) {
	if s.gone {
		return
	}
	if s.looking {
		s.again = true
		return
	}
	started := w.now
	took, fs, err := w.look(s)
	s.looking = true
	end := func() {
		s.looking = false
		if s.gone {
			return
		}
		// The shell posts nothing that finds nothing unless it is asked to.
		if len(fs) > 0 || err != nil || s.engaged {
			w.put(Input{Kind: InLook, Watch: s.cfg.Name, Started: started, Findings: fs, Err: err})
		}
		if s.again {
			s.again = false
			w.askLook(s)
		}
	}
	if took == 0 {
		end()
		return
	}
	w.after(took, end)
}

func (w *world) askLook(s *watched) {
	if s.queued {
		return
	}
	s.queued = true
	w.after(0, func() {
		s.queued = false
		w.startLook(s)
	})
}

// put hands something to the engine at this instant.
func (w *world) put(in Input) {
	if in.Kind == InLook && slices.ContainsFunc(w.in, func(x Input) bool { return x.Kind == InLook && x.Watch == in.Watch }) {
		w.next = append(w.next, in)
		return
	}
	w.in = append(w.in, in)
}

func (w *world) after(d At, f func()) { w.at(w.now+d, f) }

// at does f at a time of the world.
func (w *world) at(at At, f func()) {
	w.seq++
	w.due = append(w.due, due{max(at, w.now), w.seq, f})
	for n := len(w.due) - 1; n > 0; {
		up := (n - 1) / 2
		if !w.due[n].before(w.due[up]) {
			break
		}
		w.due[n], w.due[up] = w.due[up], w.due[n]
		n = up
	}
}

func (a due) before(b due) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (w *world) pop() due {
	top := w.due[0]
	last := len(w.due) - 1
	w.due[0] = w.due[last]
	w.due[last] = due{}
	w.due = w.due[:last]
	for n := 0; ; {
		small := n
		for _, c := range []int{2*n + 1, 2*n + 2} {
			if c < last && w.due[c].before(w.due[small]) {
				small = c
			}
		}
		if small == n {
			return top
		}
		w.due[n], w.due[small] = w.due[small], w.due[n]
		n = small
	}
}

// until lets time pass, and stops early where an invariant was broken.
func (w *world) until(end At) {
	for w.failed == "" {
		w.instant()
		next := never
		if len(w.due) > 0 {
			next = w.due[0].at
		}
		if at, ok := w.e.Next(); ok {
			next = min(next, at)
		}
		if next > end {
			w.now = end
			return
		}
		if next < w.now {
			w.fail("timers", "the engine wants to be called in the past, at %v", next)
		}
		w.now = next
	}
}

// instant does everything that is due now, and what that sets off at once.
func (w *world) instant() {
	for spins := 0; w.failed == ""; spins++ {
		if spins > 10_000 {
			w.fail("timers", "this instant never ends")
			return
		}
		if at, ok := w.e.Next(); ok && at <= w.now {
			w.step(Input{Kind: InTick})
			continue
		}
		for len(w.due) > 0 && w.due[0].at <= w.now {
			w.pop().do()
		}
		switch {
		case len(w.in) > 0:
			ins := w.in
			next := w.next
			w.in, w.next = nil, nil
			for _, in := range next {
				w.put(in)
			}
			w.step(ins...)
		case w.e.Pending():
			if w.record != nil {
				*w.record = append(*w.record, recorded{at: w.now, arbitrate: true})
			}
			ds := w.e.Arbitrate(w.now)
			w.write()
			w.carryOut(ds)
		default:
			w.mind((*monitor).settled)
			return
		}
	}
}

func (w *world) step(ins ...Input) {
	w.inputs += len(ins)
	if w.record != nil {
		*w.record = append(*w.record, recorded{at: w.now, ins: slices.Clone(ins)})
	}
	if w.story != nil {
		w.tellInputs(ins)
	}
	w.mind(func(m *monitor) { m.inputs(ins) })
	ds := w.e.Step(w.now, ins...)
	w.write()
	w.carryOut(ds)
}

// mind asks the monitor, which knows one life only.
func (w *world) mind(f func(*monitor)) {
	if !w.reborn {
		f(w.monitor)
	}
}

func (w *world) write() {
	if rs := w.e.Records(); w.wrote != nil && len(rs) > 0 {
		w.wrote(rs)
	}
}

func (w *world) carryOut(ds []Decision) {
	for n := range ds {
		d := &ds[n]
		if w.trace != nil {
			w.trace.WriteString(tell(w.now, d))
		}
		if w.story != nil {
			w.tellDecision(d)
		}
		w.mind(func(m *monitor) { m.decision(d) })
		s := w.watches[d.Watch]
		switch d.Kind {
		case DoLook:
			w.askLook(s)
		case DoEngage:
			s.engaged = d.On
		case DoRemoved:
			s.gone = true
			if w.watches[d.Watch] == s {
				delete(w.watches, d.Watch)
			}
		case DoReply:
			w.replies = append(w.replies, d.Err)
		case DoEmit:
			if d.Event.Kind == EvAsk && w.asked != nil {
				w.asked(&d.Event)
			}
			if w.keep {
				w.line(&d.Event)
			}
		case DoTell:
			if w.onTell != nil {
				w.onTell(d.Notice)
			}
		case DoGate:
			took, err := w.gate(d)
			in := Input{Kind: InGated, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Err: err}
			w.after(took, func() { w.put(in) })
		case DoRun:
			w.runs[s.cfg.Playbook.Steps[d.Step].Name]++
			w.call(d, d.Incident, d.Key, d.Attempt, w.run(d, s), InRan)
		case DoVerify:
			w.call(d, d.Incident, d.Key, d.Attempt, w.verify(d, s), InVerified)
		case DoUndo:
			w.call(d, d.AnswerTo, d.AnswerKey, d.AnswerAttempt, w.undo(d, s), InUndone)
		}
	}
}

var (
	errFailed      = errors.New("it failed")
	errFailedToSee = errors.New("no route")
)

// call lets a call of user code end as its answer says.
func (w *world) call(d *Decision, incident, key string, attempt int, a answer, kind InputKind) {
	in := Input{Kind: kind, Watch: d.Watch, Key: key, Incident: incident, Attempt: attempt, Try: d.Try, Result: a.result, Abandoned: a.abandoned}
	if a.abandoned {
		in.Result = Fail
	}
	if in.Result != OK {
		in.Err = errFailed
	}
	back := Input{Kind: InReturned, Watch: d.Watch, Key: key, Incident: incident, Attempt: attempt}
	w.after(a.took, func() {
		w.put(in)
		if a.abandoned && a.late > 0 {
			w.after(a.late, func() { w.put(back) })
		}
	})
}

func (w *world) fail(invariant, format string, args ...any) {
	if w.failed == "" {
		w.failed = invariant
		w.monitor.detail = fmt.Sprintf("%v: ", w.now) + fmt.Sprintf(format, args...)
	}
}

// silence, say and the like are what people do.
func (w *world) say(in Input) { w.put(in) }

func (w *world) silence(id, watch, key string, until At) {
	w.put(Input{Kind: InSilence, Silence: &Silence{ID: id, Watch: watch, Key: key, By: "ann", Reason: "work", Until: until}})
}

// sicken and mend change the state of the world.
func (s *watched) sicken(key string, value, limit float64) {
	f := s.sick[key]
	f.Key, f.Value, f.Limit = key, value, limit
	f.Summary = fmt.Sprintf("%g is above %g", value, limit)
	s.sick[key] = f
}

func (s *watched) severe(key string, v detect.Severity) {
	f := s.sick[key]
	f.Key, f.Severity = key, v
	s.sick[key] = f
}

func (s *watched) mend(key string) { delete(s.sick, key) }

func secs(n float64) At { return At(n * float64(time.Second)) }
