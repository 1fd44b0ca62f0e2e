package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// AnyOptions is for [Any].
type AnyOptions struct {
	// Detectors are asked one after the other, in this order, within one
	// timeout of the watch. At least one is required.
	Detectors []Detector
}

// Any returns a detector that finds what any of its detectors finds.
//
// Findings with the same key become one: the most severe, with the summaries of
// the others behind its own. Findings are believed beside the error of another
// detector; keys that none of them names are then unknown. Wakes and Validate of
// the inner detectors pass through. Safe for concurrent use if they are.
func Any(o AnyOptions) Detector {
	return &anyOf{group{name: "Any", members: slices.Clone(o.Detectors)}}
}

// AllOptions is for [All].
type AllOptions struct {
	// Detectors are asked one after the other, in this order, within one
	// timeout of the watch. At least one is required.
	Detectors []Detector
}

// All returns a detector that finds a key only if each of its detectors does. A
// finding with Key "" concerns the whole watch, so it agrees with every key: an
// idle consumer (key "") and a full queue (key "orders") make "orders" sick.
//
// The finding is that of the first detector that names the key, with all
// summaries, and no more severe than the mildest of them. Where one detector is
// healthy the key is healthy, even if another is blind; where the others are
// sick and one is blind it cannot be told, and All is blind. Every detector is
// asked at every look, because trends and hysteresis need each reading. Wakes
// and Validate of the inner detectors pass through. Safe for concurrent use if
// they are.
func All(o AllOptions) Detector {
	return &allOf{group{name: "All", members: slices.Clone(o.Detectors)}}
}

// group is what Any and All share.
type group struct {
	name    string
	members []Detector
}

// OnWake passes wake on to every member that wakes.
func (g *group) OnWake(wake func()) {
	for _, d := range g.members {
		if w, ok := d.(Waker); ok {
			w.OnWake(wake)
		}
	}
}

// Validate reports a missing member and what the members report.
func (g *group) Validate() error {
	if len(g.members) == 0 {
		return fmt.Errorf("detect: %s has no detectors: give it at least one", g.name)
	}
	var errs []error
	for i, d := range g.members {
		if d == nil {
			errs = append(errs, g.wrap(i, errNilDetector))
		} else if v, ok := d.(Validator); ok {
			if err := v.Validate(); err != nil {
				errs = append(errs, g.wrap(i, err))
			}
		}
	}
	return errors.Join(errs...)
}

var errNilDetector = errors.New("detect: the detector is nil: give one or leave it out")

func (g *group) wrap(i int, err error) error {
	return fmt.Errorf("detect: detector %d of %s: %w", i+1, g.name, err)
}

func (g *group) ask(ctx context.Context, i int) ([]Finding, error) {
	d := g.members[i]
	if d == nil {
		return nil, g.wrap(i, errNilDetector)
	}
	found, err := d.Detect(ctx)
	if err != nil {
		err = g.wrap(i, err)
	}
	return found, err
}

type anyOf struct{ group }

func (a *anyOf) Detect(ctx context.Context) ([]Finding, error) {
	if len(a.members) == 0 {
		return nil, a.Validate()
	}
	var found []Finding
	var errs []error
	sources := 0
	for i := range a.members {
		fs, err := a.ask(ctx, i)
		if err != nil {
			errs = append(errs, err)
		}
		switch {
		case len(fs) == 0:
			continue
		case sources == 0:
			found = fs
		default:
			found = append(slices.Clip(found), fs...)
		}
		sources++
	}
	if sources > 1 {
		found = foldWorst(found)
	}
	return found, errors.Join(errs...)
}

// foldWorst makes one finding of all that share a key. It may reorder found.
func foldWorst(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(b.Severity, a.Severity))
	})
	out := found[:0]
	for _, f := range found {
		if n := len(out); n > 0 && out[n-1].Key == f.Key {
			out[n-1] = join(out[n-1], f, "; ")
		} else {
			out = append(out, f)
		}
	}
	return out
}

// join adds to a what b says of the same key.
func join(a, b Finding, words string) Finding {
	if a.Summary == "" {
		a.Summary = b.Summary
	} else if b.Summary != "" && b.Summary != a.Summary {
		a.Summary += words + b.Summary
	}
	if len(b.Labels) > 0 {
		labels := maps.Clone(b.Labels)
		maps.Copy(labels, a.Labels)
		a.Labels = labels
	}
	if len(b.Evidence) > 0 {
		a.Evidence = append(slices.Clip(a.Evidence), b.Evidence...)
	}
	return a
}

type allOf struct{ group }

// look is the answer of one member.
type look struct {
	found []Finding
	err   error
}

func (a *allOf) Detect(ctx context.Context) ([]Finding, error) {
	if len(a.members) == 0 {
		return nil, a.Validate()
	}
	var few [8]look
	looks := few[:0]
	healthy := false
	for i := range a.members {
		fs, err := a.ask(ctx, i)
		looks = append(looks, look{fs, err})
		healthy = healthy || err == nil && len(fs) == 0
	}
	if healthy {
		return nil, nil
	}
	found, decided := agree(looks)
	if decided {
		return found, nil
	}
	errs := make([]error, 0, len(looks))
	for _, l := range looks {
		errs = append(errs, l.err)
	}
	return found, errors.Join(errs...)
}

// agree returns the keys that every look names, and whether all others are known
// to be healthy.
func agree(looks []look) (found []Finding, decided bool) {
	named := make([]map[string]Finding, len(looks))
	keys := map[string]bool{}
	for i, l := range looks {
		named[i] = make(map[string]Finding, len(l.found))
		for _, f := range l.found {
			if _, twice := named[i][f.Key]; !twice {
				named[i][f.Key] = f
				keys[f.Key] = true
			}
		}
		decided = decided || l.err == nil // else nobody vouches for the keys that nobody named
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		f, sick, unknown := verdictOf(looks, named, key)
		switch {
		case sick:
			found = append(found, f)
		case unknown:
			decided = false
		}
	}
	return found, decided
}

func verdictOf(looks []look, named []map[string]Finding, key string) (f Finding, sick, unknown bool) {
	var parts []Finding
	for i, l := range looks {
		part, ok := named[i][key]
		if !ok {
			part, ok = named[i][""]
		}
		switch {
		case ok:
			parts = append(parts, part)
		case l.err != nil:
			unknown = true
		default:
			return Finding{}, false, false
		}
	}
	if unknown {
		return Finding{}, false, true
	}
	first := max(0, slices.IndexFunc(parts, func(p Finding) bool { return p.Key == key }))
	f = parts[first]
	for i, part := range parts {
		f.Severity = min(f.Severity, part.Severity)
		if i != first {
			f = join(f, part, " and ")
		}
	}
	return f, true, false
}
