package selfheal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/redact"
	"github.com/selfheal-go/selfheal/internal/schedule"
)

// A Supervisor detects, fixes step by step, verifies, undoes temporary measures
// and escalates to people. All of its methods are safe for concurrent use and
// may be called from any callback.
type Supervisor struct {
	o      Options
	redact *redact.Redactor
	alive  atomic.Bool // Run has begun

	// mu guards the engine and what follows; it is never held while user code
	// runs or anything blocks.
	mu       sync.Mutex
	engine   *incident.Engine
	born     time.Time // the engine's zero; that of New until Run begins
	entries  map[string]*entry
	order    []*entry // as registered; what is gone is dropped when it is next read
	watching int      // entries that are looked at
	wiring   []Problem
	todo     []task // for the loop to carry out
	written  *write // the latest records of the engine
	ended    bool
	stop     bool
	trial    bool
	recycle  *RecycleError
	run      *run

	inMu   sync.Mutex // guards inbox, apart from mu so that a check never waits for the engine
	inbox  []incident.Input
	pulses []chan struct{} // closed by the loop's next turn
	wake   chan struct{}

	sched    *schedule.Scheduler
	outbox   *outbox.Driver
	policy   *policies
	fallback *outbox.Plan     // of Options.Escalate
	heart    *heart           // nil without a dead man's switch
	pump     *pump            // events to the log and the observer
	history  *console.History // what happened lately, for the console
	links    *links
	keeper   *keeper // nil: nothing is captured but what watches ask for
	calls    calls
	counts   counts
	meter    *meter
	work     work // of the loop
	// stormTold are the targets that were told of the storm; the loop alone uses it.
	stormTold map[string]bool
}

// entry is a watch as the supervisor keeps it. There may be a million: what a
// look at a healthy one touches comes first, what it seldom needs is behind a
// pointer, and the engine learns of it only when there is something to say.
type entry struct {
	task schedule.Task

	site     uintptr
	problems *[]Problem // why it is not watched
	module   *Module
	off      bool
	started  bool
	removing bool
	known    bool // to the engine
	gone     bool // its name is free

	// What a look needs, beside the task: one cache line.
	s        *Supervisor
	detector detect.Detector
	engaged  atomic.Bool // the engine wants looks that find nothing
	sick     atomic.Bool // the last look was posted
	lastLook atomic.Int64
	lastSeen atomic.Int64 // when it could last tell; both since born in ns, plus 1; 0 before
	culprit  atomic.Pointer[culprit]

	plan  *outbox.Plan
	watch Watch

	_ [48]byte // fills up to whole cache lines
}

// culprit is what a detector did that it should not.
type culprit struct {
	hung     atomic.Int64 // since when the look under way is overdue, plus 1; 0 when it is not
	hangs    atomic.Uint64
	panics   atomic.Uint64
	panicked atomic.Pointer[PanicError]
}

// blame returns the record of what the detector did.
func (e *entry) blame() *culprit {
	if c := e.culprit.Load(); c != nil {
		return c
	}
	e.culprit.CompareAndSwap(nil, new(culprit))
	return e.culprit.Load()
}

// hung says since when the look under way is overdue, plus 1; 0 if it is not.
func (e *entry) hung() int64 {
	if c := e.culprit.Load(); c != nil {
		return c.hung.Load()
	}
	return 0
}

// New returns a supervisor. It starts nothing.
func New(o Options) *Supervisor {
	s := &Supervisor{
		o: o, born: time.Now(), entries: map[string]*entry{},
		wake: make(chan struct{}, 1), policy: newPolicies(), meter: newMeter(),
	}
	s.redact = newRedactor(&s.o)
	s.newHistory()
	s.links = newLinks(&s.o.Console, o.Journal)
	s.engine = incident.New(incident.Options{
		Service: o.Service, IDs: newIDs(), Build: build(),
		MaxConcurrent: o.MaxConcurrent, MaxRisk: o.MaxRisk, Gate: o.Gate != nil, Durable: o.Journal != nil,
	})
	return s
}

// newIDs is a prefix that no other life of any process has.
func newIDs() string {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		return strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	}
	n := uint64(0)
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return strconv.FormatUint(n, 36) + "-"
}

// build names the build of the program, as far as it knows itself.
func build() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	id := b.Main.Version
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			id += "+" + s.Value
		}
	}
	return id
}

// Watch adds watches. It never panics: mistakes are kept for Validate and Run,
// with the place of this call. While the supervisor runs, a sound watch starts
// at once and an unsound one is logged, shown as invalid and escalated.
func (s *Supervisor) Watch(ws ...Watch) {
	site := caller()
	s.record(site, nil, ws)
}

// Install adds the watches of modules, named "module/watch". Names in After
// mean a watch of the same module first.
func (s *Supervisor) Install(ms ...Module) {
	site := caller()
	for _, m := range ms {
		s.mu.Lock()
		s.moduleProblems(&m, site)
		s.mu.Unlock()
		local := map[string]bool{}
		for _, w := range m.Watches {
			local[w.Name] = true
		}
		ws := slices.Clone(m.Watches)
		for i := range ws {
			w := &ws[i]
			if w.Name != "" {
				w.Name = m.Name + "/" + w.Name
			}
			w.After = slices.Clone(w.After)
			for n, a := range w.After {
				if local[a] {
					w.After[n] = m.Name + "/" + a
				}
			}
		}
		s.record(site, &Module{Name: m.Name, Version: m.Version}, ws)
	}
}

// moduleProblems notes what is wrong with the module itself.
func (s *Supervisor) moduleProblems(m *Module, at uintptr) {
	site := place(at)
	if m.Name == "" {
		s.wiring = append(s.wiring, Problem{Site: site, What: "a module has no name: set Module.Name, which its watches are named after"})
		return
	}
	for _, e := range s.entries {
		if e.module != nil && e.module.Name == m.Name && e.site != at {
			s.wiring = append(s.wiring, Problem{Site: site, Other: place(e.site), What: fmt.Sprintf("two modules are named %q: install it once, or rename one", m.Name)})
			return
		}
	}
}

// record keeps watches, and starts the sound ones where Run is under way.
func (s *Supervisor) record(site uintptr, m *Module, ws []Watch) {
	var fresh []*entry
	s.mu.Lock()
	for i := range ws {
		e := &entry{s: s, detector: ws[i].Detector, watch: ws[i], module: m, site: site}
		e.watch.After = slices.Clone(e.watch.After)
		e.watch.Playbook.Steps = slices.Clone(e.watch.Playbook.Steps)
		name := e.watch.Name
		if name == "" {
			s.wiring = append(s.wiring, Problem{Site: place(site), What: fmt.Sprintf("watch %d of this call has no name: set Watch.Name", i+1)})
			continue
		}
		if old := s.entries[name]; old != nil {
			s.wiring = append(s.wiring, Problem{Watch: name, Site: place(site), Other: place(old.site), What: "two watches have this name: rename one, or remove the first before adding the second"})
			continue
		}
		s.entries[name] = e
		s.order = append(s.order, e)
		fresh = append(fresh, e)
	}
	s.mu.Unlock()
	if s.alive.Load() {
		s.startAll(fresh)
	}
}

// Remove takes a watch away: it is looked at no longer, what it owes is undone,
// those who were told are told that it is over, and then its name is free. It
// does not wait for that, so that it can be called from anywhere.
func (s *Supervisor) Remove(name string) error {
	s.mu.Lock()
	e := s.entries[name]
	if e == nil || e.removing {
		s.mu.Unlock()
		return fmt.Errorf("selfheal: remove %q: there is no such watch; Status lists them", name)
	}
	if !e.started {
		s.forget(e)
		s.mu.Unlock()
		return nil
	}
	e.removing = true
	s.watching--
	s.engine.Watching(s.watching)
	if e.known {
		s.step(incident.Input{Kind: incident.InRemove, Watch: name})
	} else {
		s.forget(e)
	}
	s.mu.Unlock()
	s.sched.Remove(&e.task)
	s.unwake(e)
	s.poke()
	return nil
}

// caller is the place that called into this package.
func caller() uintptr {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	return pc[0]
}

// place is its file and line.
func place(pc uintptr) string {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if f.File == "" {
		return "unknown place"
	}
	return shortFile(f.File) + ":" + strconv.Itoa(f.Line)
}

// shortFile keeps the last folder and the file.
func shortFile(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// now is the engine's time. It is cut to whole microseconds, so that what one
// instant sets off within nanoseconds is stamped as one instant.
func (s *Supervisor) now() incident.At {
	if !s.alive.Load() {
		return 0
	}
	return time.Since(s.born).Truncate(time.Microsecond)
}

// since is a moment in the engine's time.
func (s *Supervisor) since(t time.Time) incident.At {
	return max(t.Sub(s.born), 0).Truncate(time.Microsecond)
}

// post hands something to the loop. It never blocks.
func (s *Supervisor) post(in incident.Input) {
	s.inMu.Lock()
	s.inbox = append(s.inbox, in)
	s.inMu.Unlock()
	s.poke()
}

func (s *Supervisor) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ask hands in what a person said and returns the answer. It is in force in
// memory first; an error that wraps [ErrNotDurable] says that a crash would
// forget it.
func (s *Supervisor) ask(in incident.Input) error {
	w, err := s.answer(in)
	s.poke()
	if err != nil {
		return err
	}
	return w.wait()
}

func (s *Supervisor) answer(in incident.Input) (*write, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered(in)
}

// answered is answer with s.mu held.
func (s *Supervisor) answered(in incident.Input) (*write, error) {
	ds := s.engine.Step(s.now(), in)
	var err error
	for _, d := range ds {
		if d.Kind == incident.DoReply {
			err = d.Err
		}
	}
	s.decide(ds)
	return s.written, err
}

// ErrRunTwice is returned by a second Run.
var ErrRunTwice = errors.New("selfheal: this supervisor has run before: make a new one with New")
