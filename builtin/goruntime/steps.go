package goruntime

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// showFor is the time that memory needs to show: a collection or two.
const showFor = 10 * time.Second

// ShrinkCaches is a step that asks every cache to shrink. It is Safe: what is given
// up can be had again.
func ShrinkCaches(c *Caches) remediate.Step {
	return remediate.Step{Name: "shrink-caches", Run: c.Shrink, Settle: showFor, Risk: remediate.Safe}
}

// freeGap is the least time between two collections that are forced. One that does
// not help helps no better when it is repeated, and holds the cores meanwhile.
const freeGap = 10 * time.Minute

// FreeMemory is a step that forces one collection and gives what it frees back to
// the operating system (debug.FreeOSMemory). It costs the CPU of a collection and
// cannot be interrupted. It skips within 10 min of the last time.
func FreeMemory() remediate.Step {
	var mu sync.Mutex
	var last time.Time
	run := func(ctx context.Context, _ remediate.Request) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		mu.Lock()
		defer mu.Unlock()
		if since := time.Since(last); !last.IsZero() && since < freeGap {
			return fmt.Errorf("goruntime: a collection was forced %v ago: %w", since.Round(time.Second), remediate.ErrSkip)
		}
		debug.FreeOSMemory()
		last = time.Now()
		return nil
	}
	return remediate.Step{Name: "free-os-memory", Run: remediate.Once(run), Lasting: true, Settle: showFor}
}

// RaiseOptions are for [RaiseLimit].
type RaiseOptions struct {
	// By is the share of the present limit by which it is raised at most. 0 means
	// 0.2. Above 0, at most 1.
	By float64
	// Reserve is the share of the control group's limit that is left free. 0 means
	// 0.05.
	Reserve float64
	// Root is where the proc and sys file systems are found. "" means "/".
	Root string
}

// RaiseLimit is a step that raises GOMEMLIMIT for a time, into what the control
// groups of the process have left at that moment. Undo puts the limit back unless
// somebody else changed it meanwhile.
//
// It skips where there is no GOMEMLIMIT to raise, where no control group bounds
// the process, so that nothing proves the room, and where less than 1 % could be
// gained. It never turns the limit off, and never raises it above what the group
// has beside everything in it that is not Go's. Incidents that need it at the same
// time share it. The change ends with the process at the latest.
func RaiseLimit(o RaiseOptions) remediate.Step {
	fill(&o.By, 0.2)
	fill(&o.Reserve, 0.05)
	fill(&o.Root, "/")
	r := &raiser{o: o, memory: newMemory(o.Root)}
	return remediate.Step{
		Name: "raise-memory-limit", Run: remediate.Once(r.run), Undo: r.undo,
		Measure: "goruntime-memory-limit", Settle: showFor,
	}
}

type raiser struct {
	o      RaiseOptions
	mu     sync.Mutex
	memory *memory
}

// raised is the memo: the limit before and after, in bytes.
type raised struct{ From, To int64 }

func (r *raiser) run(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !(r.o.By > 0 && r.o.By <= 1) || !(r.o.Reserve > 0 && r.o.Reserve < 1) {
		return fmt.Errorf("goruntime: RaiseOptions are By %v and Reserve %v: use shares above 0 and up to 1", r.o.By, r.o.Reserve)
	}
	r.memory.groups.fresh = 0 // limits as they are now, not a minute ago
	f, err := r.memory.read(0)
	if err != nil {
		return fmt.Errorf("goruntime: raise the memory limit: %w", err)
	}
	memo, why := r.o.plan(f)
	if why != "" {
		return fmt.Errorf("goruntime: raise the memory limit: %s: %w", why, remediate.ErrSkip)
	}
	text, err := json.Marshal(memo)
	if err != nil {
		return fmt.Errorf("goruntime: raise the memory limit: %w", err)
	}
	if req.Save != nil {
		if err := req.Save(text); err != nil {
			return fmt.Errorf("goruntime: raise the memory limit: %w", err)
		}
	}
	debug.SetMemoryLimit(memo.To)
	return nil
}

// plan says how far the limit may go, or why it may not.
func (o RaiseOptions) plan(f fullness) (p raised, why string) {
	switch {
	case f.limit == 0:
		return p, "there is no GOMEMLIMIT"
	case !f.grouped:
		return p, "no control group proves that there is room"
	}
	room := float64(f.headroom) - o.Reserve*float64(f.group.limit)
	to := min(f.limit*(1+o.By), f.used+room)
	if to < 1.01*f.limit {
		return p, fmt.Sprintf("the control group has %s left, of which %s stay free", bytesText(float64(f.headroom)), bytesText(o.Reserve*float64(f.group.limit)))
	}
	return raised{From: int64(f.limit), To: int64(min(to, math.MaxInt64/2))}, ""
}

func (r *raiser) undo(ctx context.Context, req remediate.Request) error {
	if len(req.Memo) == 0 {
		return nil // Run came to nothing
	}
	var memo raised
	if err := json.Unmarshal(req.Memo, &memo); err != nil {
		return fmt.Errorf("goruntime: put the memory limit back: the memo: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if memo.From > 0 && limitNow() == memo.To {
		debug.SetMemoryLimit(memo.From)
	}
	return nil
}

func limitNow() int64 { return debug.SetMemoryLimit(-1) }

// Recycle is the last rung: it logs where most goroutines come from, with a stack of
// each, and asks for the process to be replaced. The supervisor captures evidence
// before it, like before every step that interrupts.
func Recycle(code int) remediate.Step {
	exit := remediate.Recycle(code)
	run := func(ctx context.Context, req remediate.Request) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		logStacks(req)
		return exit(ctx, req)
	}
	return remediate.Step{Name: "recycle", Run: run, Lasting: true}
}

// onlyAcute makes a step skip on early warnings.
func onlyAcute(s remediate.Step) remediate.Step {
	run := s.Run
	if run == nil {
		return s // Validate says so
	}
	s.Run = func(ctx context.Context, req remediate.Request) error {
		if req.Finding.Severity != detect.Critical {
			return fmt.Errorf("goruntime: not for a warning: %w", remediate.ErrSkip)
		}
		return run(ctx, req)
	}
	return s
}

// OnlyProven makes a step skip for leaks that are suspected and not proven.
func OnlyProven(s remediate.Step) remediate.Step {
	run := s.Run
	if run == nil {
		return s
	}
	s.Run = func(ctx context.Context, req remediate.Request) error {
		if req.Finding.Labels["verdict"] != Proven {
			return fmt.Errorf("goruntime: not for a leak that is not proven: %w", remediate.ErrSkip)
		}
		return run(ctx, req)
	}
	return s
}
