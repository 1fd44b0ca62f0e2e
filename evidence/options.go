package evidence

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Options are the options of [Default] and [Capture]. Only Store must be set.
type Options struct {
	// Off captures nothing.
	Off bool
	// Store takes the bundles. In selfheal.Options nil is a store of the
	// supervisor's own.
	Store *Store
	// Time bounds a capture, storing included; where the context of Gather ends
	// sooner, that does. A fifth of it is kept for storing, and a part gets half of
	// what is left when its turn comes. 0: 2 s.
	Time time.Duration
	// Bytes bounds a capture before it is compressed. One part that is text has at
	// most 1 MiB of it. 0: 8 MiB.
	Bytes int64
	// Disable names parts to leave out, by their file: "heap.pb.gz".
	Disable []string
	// Parts are the application's own.
	Parts []Part
	// Gatherers are the application's own, which keep what they find. It is listed
	// in the bundle, and returned after it.
	Gatherers []escalate.Gatherer
	// Logs has the log records. nil: there are none in the bundle.
	Logs *LogRing
	// LogQuery says which of them. The zero value: the last 1,000, from 10 min
	// before the incident was opened.
	LogQuery LogQuery
	// Flight writes an execution trace of what just happened: a *Recorder that was
	// started, or the application's own *trace.FlightRecorder. A process can have
	// only one, and it costs something all the time, so nil: none.
	Flight io.WriterTo
	// Root is where proc and sys lie, for pressure and control groups. "": /.
	Root string
	// Link makes an address for people of the ref of a bundle, such as that of a
	// console. nil: Evidence.Ref is the ref, as [Store.Open] takes it.
	Link func(ref string) string
}

const (
	defaultTime  = 2 * time.Second
	defaultBytes = 8 << 20
)

// Default returns a gatherer that captures what this package knows to capture, then
// Options.Parts, Options.Gatherers and the flight recorder, into one bundle:
//
//	incident.json    what is known of the incident
//	logs.jsonl       Options.Logs
//	metrics.txt      all of runtime/metrics
//	system.txt       pressure and control group; on Linux
//	build.txt        versions of Go, of the program and of its modules
//	goroutine.pb.gz  stacks of all goroutines, for go tool pprof
//	goroutines.txt   the same for people: how many have each, the commonest first
//	heap.pb.gz       what was allocated and what is live, as of the last collection
//	mutex.pb.gz      who holds up others, if the program has mutexes profiled
//	block.pb.gz      who waits, if the program has blocking profiled
//	trace.out        Options.Flight, for go tool trace
//
// It answers one [escalate.Evidence] for the bundle, then those of the gatherers.
// Its error says what is missing that should be there; the bundle is kept all the
// same, and has it in its notes.
//
// Gather is safe for concurrent use. Captures into one store go one after the
// other; one that would have to wait for longer than its time gets [ErrBusy]. It is
// back when its time is over, whatever hangs.
//
// The gatherer has a method Validate() error, which names mistakes in the options.
// Gather returns the same and captures nothing.
func Default(o Options) escalate.Gatherer {
	all := &stacks{share: true}
	g := newGatherer(o, []Part{
		IncidentFile(), Logs(o.Logs, o.LogQuery), Metrics(), System(o.Root), Build(),
		all.profile(), all.text(), Heap(), Mutex(), Block(),
	}, []Part{Flight(o.Flight)})
	if o.Logs == nil {
		g.drop("logs.jsonl")
	}
	if o.Flight == nil {
		g.drop("trace.out")
	}
	return g
}

// Capture returns a gatherer that captures Options.Parts and Options.Gatherers
// only, and else is as [Default]. Logs, LogQuery, Flight and Root are not used: use
// the parts [Logs], [Flight] and [System].
func Capture(o Options) escalate.Gatherer { return newGatherer(o, nil, nil) }

type gatherer struct {
	o           Options
	first, last []Part // before and after the application's gatherers
	time        time.Duration
	bytes       int64
	problem     error
}

func newGatherer(o Options, first, last []Part) *gatherer {
	o.Gatherers = slices.Clone(o.Gatherers)
	g := &gatherer{o: o, first: append(first, o.Parts...), last: last, time: o.Time, bytes: o.Bytes}
	if g.time == 0 {
		g.time = defaultTime
	}
	if g.bytes == 0 {
		g.bytes = defaultBytes
		if o.Store != nil {
			g.bytes = min(g.bytes, o.Store.maxBytes/2)
		}
	}
	g.problem = g.check()
	for _, name := range o.Disable {
		g.drop(name)
	}
	return g
}

func (g *gatherer) drop(name string) {
	is := func(p Part) bool { return p.Name == name }
	g.first, g.last = slices.DeleteFunc(g.first, is), slices.DeleteFunc(g.last, is)
}

// Validate says what is wrong with the options, all at once.
func (g *gatherer) Validate() error { return g.problem }

func (g *gatherer) check() error {
	if g.o.Off {
		return nil
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("evidence: "+format, args...)) }
	switch s := g.o.Store; {
	case s == nil:
		bad("Options.Store is nil: open one with evidence.OpenStore")
	case g.bytes > s.maxBytes:
		bad("Options.Bytes is %d and the store holds %d: lower it, or raise StoreOptions.MaxBytes", g.bytes, s.maxBytes)
	}
	if g.time < 0 {
		bad("Options.Time is %v: give a duration, or 0 for %v", g.o.Time, defaultTime)
	}
	if g.bytes < 0 {
		bad("Options.Bytes is %d: give a size, or 0 for %d", g.o.Bytes, int64(defaultBytes))
	}
	if q := g.o.LogQuery; q.Before < 0 || q.Records < 0 || q.Bytes < 0 {
		bad("Options.LogQuery has a negative field: leave it out for its default")
	}
	known := map[string]bool{}
	for _, p := range slices.Concat(g.first, g.last) {
		switch {
		case p.Name == "":
			bad("a part has no Name: give the name of a file")
		case known[p.Name]:
			bad("two parts are named %q: give each a name of its own", p.Name)
		case p.Write == nil:
			bad("part %q has no Write: set it, or drop the part", p.Name)
		}
		known[p.Name] = true
	}
	for i, other := range g.o.Gatherers {
		if other == nil {
			bad("Options.Gatherers[%d] is nil: set a gatherer, or drop it", i)
		}
	}
	for _, name := range g.o.Disable {
		if !known[name] {
			bad("Options.Disable names %q, and there is no such part: it is one of %s", name, strings.Join(names(g.first, g.last), ", "))
		}
	}
	return errors.Join(errs...)
}

func names(parts ...[]Part) []string {
	var all []string
	for _, p := range slices.Concat(parts...) {
		all = append(all, p.Name)
	}
	return all
}
