package goruntime

import (
	"context"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Version is that of the module.
const Version = "v0.1.0"

// Module returns every watch of this package. Starvation is held while collection is
// in trouble, and contention while the process is starved: they are symptoms then.
func Module(o Options) selfheal.Module {
	gc, starved, locks := GCSpiral(o), Starvation(o), LockContention(o)
	starved.After = []string{gc.Name}
	locks.After = []string{starved.Name}
	return selfheal.Module{Name: "goruntime", Version: Version, Watches: []selfheal.Watch{
		GoroutineLeak(o), Memory(o), gc, locks, starved, Threads(o),
	}}
}

// confirmFor is how long trouble with the CPU lasts before anything is done: the
// time of a deploy's warm-up or of a large collection passes by itself.
const confirmFor = 30 * time.Second

// GoroutineLeak watches for goroutines that never end, one key a site. The ladder is
// the application's StopLeak; a site that reaches LeakOptions.Critical is a second
// key, "flood: " and the site, whose ladder ends with a recycle.
func GoroutineLeak(o Options) selfheal.Watch {
	o = o.effective()
	steps := slices.Clone(o.StopLeak)
	for i := range steps {
		fill(&steps[i].Settle, max(0, 4*o.Leak.effective().Window))
	}
	return selfheal.Watch{
		Name: "goroutine-leak", Every: o.Every,
		Detector: &floods{leaks: NewLeakDetector(o.Leak), invalid: o.leakProblem()},
		Playbook: remediate.Playbook{Name: "goroutine-leak", Steps: o.recycle(steps)},
	}
}

// floods tells sites at which a leak has become a danger to the process by a key
// of their own, whose ladder is another.
type floods struct {
	leaks   *LeakDetector
	invalid error
}

func (f *floods) Validate() error { return f.invalid }

func (f *floods) Detect(ctx context.Context) ([]detect.Finding, error) {
	if f.invalid != nil {
		return nil, f.invalid
	}
	found, err := f.leaks.Detect(ctx)
	for i := range len(found) {
		if found[i].Severity != detect.Critical {
			continue
		}
		flood := found[i]
		flood.Key = "flood: " + flood.Key
		flood.Limit = float64(f.leaks.o.Critical)
		found[i].Severity = detect.Warning
		found = append(found, flood)
	}
	return found, err
}

// Memory watches how near the process is to GOMEMLIMIT and to the limits of its
// control groups, version 1 or 2, whichever is nearer. Without either there is
// nothing to judge.
func Memory(o Options) selfheal.Watch {
	o = o.effective()
	steps := append([]remediate.Step{ShrinkCaches(o.Caches)}, o.relief()...)
	steps = append(steps, onlyAcute(FreeMemory()))
	return selfheal.Watch{
		Name: "memory", Every: o.Every, KeepFor: o.RaiseFor,
		Detector: newLeveled(o.memoryProblem(), o.earlyFor(), newMemory(o.Root).watch(o)),
		Playbook: remediate.Playbook{Name: "memory", Steps: o.recycle(o.raise(steps))},
	}
}

// GCSpiral watches the garbage collector's share of the CPU, and its limiter. The
// ladder never forces a collection: that is what there is too much of.
func GCSpiral(o Options) selfheal.Watch {
	o = o.effective()
	steps := append(o.relief(), ShrinkCaches(o.Caches))
	return selfheal.Watch{
		Name: "gc-spiral", Every: o.Every, For: confirmFor, KeepFor: o.RaiseFor,
		Detector: newLeveled(o.gcProblem(), o.earlyFor(), newCollector(o.Window).watch(o)),
		Playbook: remediate.Playbook{Name: "gc-spiral", Steps: o.recycle(o.raise(steps))},
	}
}

// LockContention watches the time that goroutines wait for mutexes against what is
// usual for this process, which it learns for two minutes first. Its ladder is the
// application's Relief; a restart cures no contention.
func LockContention(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "lock-contention", Every: o.Every, For: confirmFor,
		Detector: newLeveled(o.lockProblem(), o.earlyFor(), newLocks(o.Window).watch(o)),
		Playbook: remediate.Playbook{Name: "lock-contention", Steps: o.relief()},
	}
}

// Starvation watches how long goroutines that could run wait for a processor. Its
// ladder is the application's Relief: a restart needs more CPU than it saves. Where
// starvation is so bad that the supervisor itself comes late, its tilt rail holds
// every ladder, this one included.
func Starvation(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "starvation", Every: o.Every, For: confirmFor,
		Detector: newLeveled(o.latencyProblem(), o.earlyFor(), newScheduler(o.Window).watch(o)),
		Playbook: remediate.Playbook{Name: "starvation", Steps: o.relief()},
	}
}

// Threads watches the number of threads, which the runtime never gives back,
// against what ends the process.
func Threads(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "threads", Every: o.Every,
		Detector: newLeveled(o.threadsProblem(), o.earlyFor(), newThreads(o.Root).watch(o)),
		Playbook: remediate.Playbook{Name: "threads", Steps: o.recycle(nil)},
	}
}

// relief is the application's rungs; a warning takes only those that nobody notices.
func (o Options) relief() []remediate.Step {
	steps := make([]remediate.Step, 0, len(o.Relief)+4)
	for _, s := range o.Relief {
		if s.Risk.AboveSafe() {
			s = onlyAcute(s)
		}
		steps = append(steps, s)
	}
	return steps
}

func (o Options) raise(steps []remediate.Step) []remediate.Step {
	if o.RaiseBy == -1 {
		return steps
	}
	return append(steps, onlyAcute(RaiseLimit(RaiseOptions{By: o.RaiseBy, Root: o.Root})))
}

func (o Options) recycle(steps []remediate.Step) []remediate.Step {
	if o.RecycleCode == -1 {
		return steps
	}
	return append(steps, onlyAcute(Recycle(o.RecycleCode)))
}
