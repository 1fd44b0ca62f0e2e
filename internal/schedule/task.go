package schedule

import (
	"context"
	"sync/atomic"
	"time"
)

// A Task is one periodic check. Its exported fields are set before Add and not
// changed afterwards. A Task is added to one scheduler, once: after Remove a
// new Task is needed. It must not be copied.
type Task struct {
	// Run makes one check. It is never called twice at once for one task. Its
	// context is cancelled started+Timeout and when Run returns.
	Run func(ctx context.Context, t *Task, started time.Time)
	// Owner is for Run and Hung: with it both can be plain functions that all
	// tasks share, which saves two closures a task and the cache misses on them.
	Owner any
	// Every is the interval between looks; below 1 ms it is taken as 1 ms.
	Every time.Duration
	// Timeout is how long one run may take before it counts as hung. 0 or less
	// means 10 s. Below 1 ms the report may come up to 1 ms later.
	Timeout time.Duration

	// What follows is the scheduler's. All but state is guarded by its mutex, or
	// belongs to the worker that holds the block in which the task lies.
	// So far all that a run needs: one cache line.
	block  *block // where the task lies; nil before its start and after its end
	due    int64  // the next periodic moment, not rounded; nanoseconds since the start
	state  atomic.Uint32
	index  uint8 // its entry in block
	slow   bool  // its latest run took slowAfter or more: the next gets its own goroutine
	rough  bool  // periodic moments are rounded up to the tick
	looked bool  // LookAt was used: the heap of looks may name it

	// Name gives the phase: the same name looks at the same moments of its
	// interval, in every process and after every restart.
	Name string
	// Phase is when in its interval, counted from the start of Run, the task is
	// due. -1 takes it from the name; else 0 <= Phase < Every, kept exactly.
	Phase time.Duration
	// Hung is called once for each run that outlives Timeout, while that run is
	// still going, or has ended this very moment: compare started with the run
	// that is meant. It must be cheap. It may be nil.
	Hung func(t *Task, started time.Time)
}

// The bits of Task.state, the only part of a task that changes without the
// scheduler's mutex: a Wake that changes nothing must cost nothing.
const (
	added   uint32 = 1 << iota
	removed        // no run may start any more
	woken          // asked for, not begun: more wakes change nothing
	begun          // a run began and was not settled yet: a wake needs another run after it
	again          // that other run is owed
)

// begin claims the task for one run; false if it was removed.
func (t *Task) begin() bool {
	for {
		old := t.state.Load()
		if old&removed != 0 {
			return false
		}
		if t.state.CompareAndSwap(old, old&^woken|begun) {
			return true
		}
	}
}

// ask records a wish for a run. It reports whether the task has to be brought
// forward for it; else a run that serves the wish is sure to follow anyway.
func (t *Task) ask() bool {
	for {
		old := t.state.Load()
		switch {
		case old&added == 0 || old&(removed|woken|again) != 0:
			return false
		case old&begun != 0:
			if t.state.CompareAndSwap(old, old|again) {
				return false
			}
		case t.state.CompareAndSwap(old, old|woken):
			return true
		}
	}
}

// plan fixes the moments of the task among n tasks: the first after now.
func (t *Task) plan(now int64, n int) {
	phase := int64(t.Phase)
	if t.Phase < 0 {
		_, t.rough = raster(t.Every, n)
		phase = int64(Phase(t.Name, t.Every, n))
	}
	t.due = phase%int64(t.Every) - int64(t.Every)
	t.skip(now)
}

// Phase is when in its interval a task of that name and without a Phase of its
// own is due, where it is one of n tasks.
func Phase(name string, every time.Duration, n int) time.Duration {
	every = max(every, time.Millisecond)
	grain, _ := raster(every, n)
	return time.Duration(hash(name)%uint64(every/grain)) * grain
}

// skip moves the periodic moment past now. Those in between are missed, not queued.
func (t *Task) skip(now int64) {
	if t.due > now {
		return
	}
	every := int64(t.Every)
	t.due += every
	if t.due <= now {
		t.due += ((now-t.due)/every + 1) * every
	}
}

// at is the periodic moment as the wheel keeps it.
func (t *Task) at() int64 {
	if !t.rough {
		return t.due
	}
	return (t.due + tick - 1) / tick * tick
}

// raster returns the grain of the phases that come from names, and whether
// moments must be rounded up to the tick because the interval is no multiple of
// it. Tasks that are due together share one wake-up, so the grain is as coarse as
// the interval allows: a quarter of it, within 10 and 250 ms. A wake-up of an idle
// process costs as much as a thousand quick checks. Where there are many tasks
// the grain gets finer, or each wake-up would be a burst that the service feels.
func raster(every time.Duration, n int) (grain time.Duration, rough bool) {
	limit := min(max(every/4, 10*time.Millisecond), 250*time.Millisecond)
	switch {
	case n > 200_000:
		limit = 10 * time.Millisecond
	case n > 20_000:
		limit = min(limit, 50*time.Millisecond)
	}
	for _, ms := range [...]time.Duration{250, 125, 50, 25, 20, 10} {
		if g := ms * time.Millisecond; g <= limit && every%g == 0 {
			return g, false
		}
	}
	if every >= 100*time.Millisecond {
		return tick, true
	}
	for _, ms := range [...]time.Duration{5, 2, 1} {
		if g := ms * time.Millisecond; every%g == 0 {
			return g, false
		}
	}
	return every / 10, false
}

// hash is FNV-1a with a final mix: names that differ in their last digit only
// must not get neighbouring phases.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}
