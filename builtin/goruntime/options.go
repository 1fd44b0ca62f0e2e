package goruntime

import (
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// Options are for [Module] and for the single watches. The zero value is ready for
// production. Shares lie between 0 and 1.
//
// Each of memory, collection, lock, latency and thread thresholds has an early
// level, an act level and a level below both at which either ends. (S) marks the
// suggested start values of the catalogue of playbooks, to be tuned in Shadow mode.
type Options struct {
	// Every is the interval between looks. 0 means that of the supervisor, 1 s.
	Every time.Duration
	// Root is where the proc and sys file systems are found, so that recorded trees
	// can be read. "" means "/".
	Root string
	// Caches are what the application can do without: the first rung of every
	// ladder about memory. nil means none, and the rung is skipped.
	Caches *Caches
	// Relief are the application's own rungs for too little CPU or memory: shed
	// load, cut concurrency, switch a feature off. They run after the caches were
	// shrunk and before anything drastic; on an early warning only those that are
	// Safe. Give those above Safe an Undo or make them Lasting.
	Relief []remediate.Step
	// StopLeak are the application's own rungs against a leak: cancel the context
	// of the leaking component, switch a feature off, cap admission. A leaked
	// goroutine cannot be ended from outside, so the source is what can be stopped.
	// They run for suspected leaks too, unless they are wrapped in [OnlyProven]. A step
	// without a Settle gets four times Leak.Window, 12 s by default, since the detector
	// looks at goroutines about once in a window. A proven leak stays found whatever
	// they do: stopping the source keeps it from growing, and people are told.
	StopLeak []remediate.Step
	// RecycleCode is the exit code with which the last rung asks for the process to
	// be replaced. 0 means 75, EX_TEMPFAIL of sysexits.h; -1 leaves the rung out.
	RecycleCode int

	// Leak configures the leak detector. For the watch 0 means other values than for
	// the detector alone, since a few goroutines are worth a line and not a call:
	// MinLeaked 10, and MinGrowth 100, which a pool of the usual size does not reach.
	Leak LeakOptions

	// MemoryEarly, MemoryAct and MemoryClear are shares of the limit that is
	// nearer: of GOMEMLIMIT what the runtime cannot do without, of the control
	// group what the kernel cannot take back. 0 means 0.85, 0.95 (S) and 0.80.
	MemoryEarly, MemoryAct, MemoryClear float64
	// RaiseBy is by which share of GOMEMLIMIT the limit may be raised while memory
	// is short, into what the control group has left. 0 means 0.2, -1 leaves the
	// rung out.
	RaiseBy float64
	// RaiseFor is how long the memory must be well before the limit is put back,
	// which is also when the incident closes. 0 means 10 min.
	RaiseFor time.Duration

	// GCEarly, GCAct and GCClear are the collector's share of the CPU time that the
	// process may use, idle time included. 0 means 0.25 (S), 0.40 and 0.15. The
	// runtime's limiter keeps it at 0.5 at most.
	GCEarly, GCAct, GCClear float64

	// LockFactor is how many times the usual wait for locks is early; four times
	// that is acute. 0 means 5 (S).
	LockFactor float64
	// LockFloor is below what wait, in seconds a second and core, contention is
	// never early. 0 means 0.5.
	LockFloor float64

	// LatencyEarly, LatencyAct and LatencyClear are the 99th percentile of the time
	// that a goroutine waits for a processor. 0 means 10 ms, 100 ms (S) and 5 ms.
	LatencyEarly, LatencyAct, LatencyClear time.Duration

	// MaxThreads is at how many threads the runtime ends the process. 0 means
	// 10,000, its own default (debug.SetMaxThreads); -1 leaves that bound out. The
	// pids.max of a control group counts too.
	MaxThreads int
	// ThreadsEarly, ThreadsAct and ThreadsClear are shares of the nearer bound. 0
	// means 0.5, 0.8 and 0.4.
	ThreadsEarly, ThreadsAct, ThreadsClear float64

	// Window is over what time rates are taken: of collection, of lock waits, of
	// latencies. 0 means 30 s. At least 600 ms.
	Window time.Duration
	// EarlyFor is how long an early level must be exceeded before it is a finding.
	// 0 means 5 min, -1 means at once.
	EarlyFor time.Duration
}

const defaultRecycleCode = 75

func (o Options) effective() Options {
	fill(&o.Root, "/")
	fill(&o.RecycleCode, defaultRecycleCode)
	fill(&o.Leak.MinLeaked, 10)
	fill(&o.Leak.MinGrowth, 100)
	fill(&o.MemoryEarly, 0.85)
	fill(&o.MemoryAct, 0.95)
	fill(&o.MemoryClear, 0.80)
	fill(&o.RaiseBy, 0.2)
	fill(&o.RaiseFor, 10*time.Minute)
	fill(&o.GCEarly, 0.25)
	fill(&o.GCAct, 0.40)
	fill(&o.GCClear, 0.15)
	fill(&o.LockFactor, 5)
	fill(&o.LockFloor, 0.5)
	fill(&o.LatencyEarly, 10*time.Millisecond)
	fill(&o.LatencyAct, 100*time.Millisecond)
	fill(&o.LatencyClear, 5*time.Millisecond)
	fill(&o.MaxThreads, 10_000)
	fill(&o.ThreadsEarly, 0.5)
	fill(&o.ThreadsAct, 0.8)
	fill(&o.ThreadsClear, 0.4)
	fill(&o.Window, 30*time.Second)
	fill(&o.EarlyFor, 5*time.Minute)
	return o
}

// earlyFor is EarlyFor as the detectors use it.
func (o Options) earlyFor() time.Duration { return max(o.EarlyFor, 0) }

// mistakes collects what is wrong with effective options.
type mistakes []error

func (m *mistakes) say(format string, args ...any) {
	*m = append(*m, fmt.Errorf("goruntime: "+format, args...))
}

func (m *mistakes) levels(name string, clear, early, act, most float64) {
	if !(clear > 0 && clear <= early && early <= act && act <= most) {
		m.say("the levels of %s are clear %v, early %v, act %v: use rising ones above 0, at most %v", name, clear, early, act, most)
	}
}

// common is what every watch needs.
func (o Options) common() *mistakes {
	m := &mistakes{}
	if o.RecycleCode < -1 || o.RecycleCode > 255 {
		m.say("RecycleCode is %d: use 1 to 255, 0 for %d, or -1 for no such rung", o.RecycleCode, defaultRecycleCode)
	}
	if o.EarlyFor < 0 && o.EarlyFor != -1 {
		m.say("EarlyFor is %v: use a time, 0 for 5m, or -1 for at once", o.EarlyFor)
	}
	if o.Window < 600*time.Millisecond {
		m.say("Window is %v: use 600ms or more, or 0 for 30s", o.Window)
	}
	return m
}

func (m *mistakes) join() error { return errors.Join(*m...) }

func (o Options) leakProblem() error {
	m := o.common()
	return errors.Join(m.join(), o.Leak.effective().problem())
}

func (o Options) memoryProblem() error {
	m := o.common()
	m.levels("memory", o.MemoryClear, o.MemoryEarly, o.MemoryAct, 1)
	o.raiseProblem(m)
	return m.join()
}

func (o Options) raiseProblem(m *mistakes) {
	if o.RaiseBy != -1 && !(o.RaiseBy > 0 && o.RaiseBy <= 1) {
		m.say("RaiseBy is %v: use a share above 0, 0 for 0.2, or -1 for no such rung", o.RaiseBy)
	}
	if o.RaiseFor < 0 {
		m.say("RaiseFor is %v: use a time, or 0 for 10m", o.RaiseFor)
	}
}

func (o Options) gcProblem() error {
	m := o.common()
	m.levels("garbage collection", o.GCClear, o.GCEarly, o.GCAct, 1)
	o.raiseProblem(m)
	return m.join()
}

func (o Options) lockProblem() error {
	m := o.common()
	if !(o.LockFactor >= 1) {
		m.say("LockFactor is %v: use 1 or more, or 0 for 5", o.LockFactor)
	}
	if !(o.LockFloor > 0) {
		m.say("LockFloor is %v: use seconds a second and core above 0, or 0 for 0.5", o.LockFloor)
	}
	return m.join()
}

func (o Options) latencyProblem() error {
	m := o.common()
	m.levels("scheduler latency in seconds", o.LatencyClear.Seconds(), o.LatencyEarly.Seconds(), o.LatencyAct.Seconds(), 3600)
	return m.join()
}

func (o Options) threadsProblem() error {
	m := o.common()
	m.levels("threads", o.ThreadsClear, o.ThreadsEarly, o.ThreadsAct, 1)
	if o.MaxThreads < -1 {
		m.say("MaxThreads is %d: use a count, 0 for 10000, or -1 to leave it out", o.MaxThreads)
	}
	return m.join()
}
