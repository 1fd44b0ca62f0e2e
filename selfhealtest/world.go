package selfhealtest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A World is a make-believe service for tests of ladders, limits and policies,
// where it matters which step helps and not what it does. It has parts that are
// well or sick, and measures that are in force or not. The zero value is well and
// ready; all methods are safe for concurrent use.
//
// It is a detector, and its Run and Undo are the actions of any step:
//
//	var w selfhealtest.World
//	w.Cures("shed-load", "eu")
//	watch := selfheal.Watch{Name: "queue", Detector: &w, Playbook: remediate.Ladder(
//		remediate.Step{Name: "scale", Run: w.Run, Undo: w.Undo},
//		remediate.Step{Name: "shed-load", Run: w.Run, Undo: w.Undo},
//	)}
//	w.Sicken("eu")
type World struct {
	mu      sync.Mutex
	sick    map[string]bool
	blind   error
	cures   map[string][]string
	taken   map[measure]bool
	ran     map[string]bool // by the key of the request
	history []string
}

type measure struct{ step, part string }

func (m measure) String() string {
	if m.part == "" {
		return m.step
	}
	return m.step + "[" + m.part + "]"
}

// Sicken makes parts sick. A part is the key of a finding; "" is the service
// itself, and no parts mean that.
func (w *World) Sicken(parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sick == nil {
		w.sick = map[string]bool{}
	}
	for _, p := range orService(parts) {
		w.sick[p] = true
	}
}

// Heal makes parts well, the service itself if none are named.
func (w *World) Heal(parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range orService(parts) {
		delete(w.sick, p)
	}
}

func orService(parts []string) []string {
	if len(parts) == 0 {
		return []string{""}
	}
	return parts
}

// Blind makes Detect fail with err; nil ends that.
func (w *World) Blind(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = err
}

// Cures makes Run heal these parts when it is called for the step of that name.
// No parts: the part that it is called for. A step of which Cures knows nothing
// heals nothing.
func (w *World) Cures(step string, parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cures == nil {
		w.cures = map[string][]string{}
	}
	w.cures[step] = slices.Clone(parts)
}

// Detect finds the sick parts, sorted by name. It makes a World a
// [detect.Detector].
func (w *World) Detect(context.Context) ([]detect.Finding, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blind != nil {
		return nil, w.blind
	}
	if len(w.sick) == 0 {
		return nil, nil
	}
	var fs []detect.Finding
	for _, p := range slices.Sorted(maps.Keys(w.sick)) {
		f := detect.Finding{Key: p, Summary: p + " is sick"}
		if p == "" {
			f.Summary = "the service is sick"
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// Run is a [remediate.Action]: it takes the measure of the step for the part of
// the finding, and heals what the step cures. Under one key it does so once.
func (w *World) Run(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ran[req.Key()] {
		return nil
	}
	if w.ran == nil {
		w.ran, w.taken = map[string]bool{}, map[measure]bool{}
	}
	m := measure{req.Step, req.Finding.Key}
	w.ran[req.Key()] = true
	w.taken[m] = true
	w.history = append(w.history, "run "+m.String())
	parts, cures := w.cures[req.Step]
	if cures && len(parts) == 0 {
		parts = []string{req.Finding.Key}
	}
	for _, p := range parts {
		delete(w.sick, p)
	}
	return nil
}

// Undo is a [remediate.Action]: it puts the measure of the step for the part of
// the finding back. What was healed stays well.
func (w *World) Undo(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := (measure{req.Step, req.Finding.Key}); w.taken[m] {
		delete(w.taken, m)
		w.history = append(w.history, "undo "+m.String())
	}
	return nil
}

// Sick returns the sick parts, sorted.
func (w *World) Sick() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.sick))
}

// InForce returns the measures that were taken and not put back, sorted: "step",
// or "step[part]".
func (w *World) InForce() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for m := range w.taken {
		names = append(names, m.String())
	}
	slices.Sort(names)
	return names
}

// History returns what was done, in order: "run step[part]", "undo step[part]".
func (w *World) History() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.history)
}
