package selfheal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Problem is a wiring mistake: what is wrong, where, and what to do.
type Problem struct {
	Watch string `json:"watch,omitempty"` // "" for the supervisor itself
	Site  string `json:"site,omitempty"`  // file:line of the registration
	Other string `json:"other,omitempty"` // of what it conflicts with
	What  string `json:"what"`
}

// Error prints the problem on one line.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Site != "" {
		b.WriteString(p.Site + ": ")
	}
	if p.Watch != "" {
		fmt.Fprintf(&b, "watch %q: ", p.Watch)
	}
	b.WriteString(p.What)
	if p.Other != "" {
		b.WriteString(" (the other is at " + p.Other + ")")
	}
	return b.String()
}

// A WiringError is every wiring mistake at once. Each unwraps to a *Problem.
type WiringError struct{ Problems []Problem }

// Error prints one mistake a line.
func (e *WiringError) Error() string {
	lines := []string{fmt.Sprintf("selfheal: %d wiring mistakes:", len(e.Problems))}
	if len(e.Problems) == 1 {
		lines[0] = "selfheal: a wiring mistake:"
	}
	for i := range e.Problems {
		lines = append(lines, "\t"+e.Problems[i].Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the problems.
func (e *WiringError) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i := range e.Problems {
		errs[i] = &e.Problems[i]
	}
	return errs
}

// Validate returns every wiring mistake at once, as a *WiringError, each with
// the place of its registration and what to do; nil when there is none. It
// starts nothing. Services call it in a test.
func (s *Supervisor) Validate() error {
	s.mu.Lock()
	wiring := slices.Clone(s.wiring)
	entries := s.registered()
	s.mu.Unlock()

	problems := s.o.problems(entries)
	problems = append(problems, wiring...)
	for _, e := range entries {
		problems = append(problems, e.problemsWith(&s.o, s.exists)...)
	}
	problems = append(problems, cycles(entries)...)
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Watch, b.Watch) })
	return &WiringError{problems}
}

// registered returns the entries in the order of their registration. s.mu is held.
func (s *Supervisor) registered() []*entry {
	s.order = slices.DeleteFunc(s.order, func(e *entry) bool { return e.gone })
	return slices.Clone(s.order)
}

// forget frees the name of an entry. s.mu is held.
func (s *Supervisor) forget(e *entry) {
	if !e.gone {
		e.gone = true
		delete(s.entries, e.watch.Name)
		s.unmeasured(e)
	}
}

// exists says whether a watch of that name is registered.
func (s *Supervisor) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[name] != nil
}

// problems is what is wrong with the options themselves.
func (o *Options) problems(entries []*entry) []Problem {
	var ps []Problem
	bad := func(format string, args ...any) { ps = append(ps, Problem{What: fmt.Sprintf(format, args...)}) }
	if o.Every < 0 {
		bad("Options.Every is %v: use a positive interval, or 0 for %v", o.Every, defaultEvery)
	}
	if o.Grace < 0 {
		bad("Options.Grace is %v: use a positive time, or 0 for %v", o.Grace, defaultGrace)
	}
	if o.MaxConcurrent < -1 {
		bad("Options.MaxConcurrent is %d: use a positive number, 0 for 1, or -1 for no bound", o.MaxConcurrent)
	}
	if o.MaxChecks < 0 {
		bad("Options.MaxChecks is %d: use a positive number, or 0 for the default", o.MaxChecks)
	}
	if o.Mode > Off {
		bad("Options.Mode is unknown (%v): use Auto, Propose, Shadow or Off", o.Mode)
	}
	if o.MaxRisk > remediate.Destructive {
		bad("Options.MaxRisk is unknown (%v): use Safe, Disruptive or Destructive", o.MaxRisk)
	}
	for _, err := range o.Escalate.Validate() {
		bad("Options.Escalate: %v", err)
	}
	if !o.Escalate.Empty() && !o.Escalate.Pages() {
		bad("Options.Escalate informs and pages nobody: add a level with somebody to tell")
	}
	for _, err := range o.DeadMan.Validate() {
		bad("Options.DeadMan: %v", err)
	}
	ps = append(ps, o.durableProblems(entries)...)
	ps = append(ps, o.Console.problems()...)
	ps = append(ps, o.evidenceProblems()...)
	for _, d := range o.Disable {
		if !nameExists(d, entries) {
			bad("Options.Disable names %q, and there is no such watch or step: correct the name, or drop it", d)
		}
	}
	return ps
}

func nameExists(d string, entries []*entry) bool {
	return slices.ContainsFunc(entries, func(e *entry) bool {
		w := &e.watch
		return d == w.Name || slices.ContainsFunc(w.Playbook.Steps, func(s remediate.Step) bool {
			return d == s.Name || d == w.Name+"/"+s.Name
		})
	})
}

// problemsWith is what is wrong with one watch, cycles of After apart.
func (e *entry) problemsWith(o *Options, exists func(string) bool) []Problem {
	w := &e.watch
	var ps []Problem
	bad := func(format string, args ...any) {
		ps = append(ps, Problem{Watch: w.Name, Site: place(e.site), What: fmt.Sprintf(format, args...)})
	}
	if strings.ContainsFunc(w.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '[' || r == ']' }) {
		bad("its name has a control character or a bracket: use letters, digits, dashes and slashes")
	}
	if strings.TrimSpace(w.Name) != w.Name {
		bad("its name begins or ends with a space: trim it")
	}
	if w.Detector == nil {
		bad("has no Detector: set what finds the fault")
	} else if v, ok := w.Detector.(detect.Validator); ok {
		if err := validate(v); err != nil {
			bad("its detector: %v", err)
		}
	}
	duration := func(name string, d time.Duration, minusOne bool) {
		switch {
		case d >= 0 || minusOne && d == -1:
		case minusOne:
			bad("%s is %v: use a positive time, 0 for the default, or -1 for none", name, d)
		default:
			bad("%s is %v: use a positive time, or 0 for the default", name, d)
		}
	}
	duration("Every", w.Every, false)
	duration("Timeout", w.Timeout, false)
	duration("For", w.For, false)
	duration("KeepFor", w.KeepFor, true)
	if w.Mode > Off {
		bad("its Mode is unknown (%v): use Auto, Propose, Shadow or Off", w.Mode)
	}
	for _, err := range w.Playbook.Validate() {
		bad("%v", err)
	}
	e.undoProblems(o, bad)
	e.lagProblems(o, bad)
	for i, g := range w.Evidence {
		if g == nil {
			bad("Evidence[%d] is nil: set a gatherer, or drop it", i)
		} else if err := wrongWith(g); err != nil {
			bad("Evidence[%d]: %v", i, err)
		}
	}
	for _, a := range w.After {
		if !exists(a) {
			bad("After names %q, and there is no such watch: correct the name, or add it", a)
		}
	}
	e.policyProblems(o, bad)
	return ps
}

// undoProblems is where undoing at once would make a temporary measure flap.
func (e *entry) undoProblems(o *Options, bad func(string, ...any)) {
	w := &e.watch
	for _, s := range w.Playbook.Steps {
		if s.Undo == nil || w.KeepFor == 0 || w.KeepFor < -1 {
			continue
		}
		if w.KeepFor == -1 {
			bad("KeepFor is -1 and step %q has an Undo: the measure would be undone at the first good reading and flap; use a time, or 0 for %v", s.Name, defaultKeepFor)
			return
		}
		if every := w.every(o); w.KeepFor < every {
			bad("KeepFor is %v, less than one interval of %v, and step %q has an Undo: the measure would be undone on one reading and flap; use several intervals, or 0 for %v", w.KeepFor, every, s.Name, defaultKeepFor)
			return
		}
	}
}

func (e *entry) policyProblems(o *Options, bad func(string, ...any)) {
	p := e.watch.Escalate
	if p.Empty() {
		if o.Escalate.Empty() && e.watch.Mode != Off && o.Mode != Off {
			bad("nobody would be told: set Watch.Escalate or Options.Escalate; escalate.To(escalate.Log(nil)) is enough to begin with")
		}
		return
	}
	for _, err := range p.Validate() {
		bad("Escalate: %v", err)
	}
	if !p.Pages() {
		bad("Escalate informs and pages nobody: add a level with somebody to tell")
	}
}

// validate asks a detector or a gatherer of the user's, whose panic is a mistake like another.
func validate(v detect.Validator) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("its Validate panicked: %v", x)
		}
	}()
	return v.Validate()
}

// cycles finds watches that wait for each other.
func cycles(entries []*entry) []Problem {
	if !slices.ContainsFunc(entries, func(e *entry) bool { return len(e.watch.After) > 0 }) {
		return nil
	}
	const (
		unseen = iota
		onPath
		done
	)
	byName := make(map[string]*entry, len(entries))
	for _, e := range entries {
		byName[e.watch.Name] = e
	}
	state := make(map[string]int, len(entries))
	var path []string
	var ps []Problem
	var visit func(e *entry)
	visit = func(e *entry) {
		name := e.watch.Name
		state[name] = onPath
		path = append(path, name)
		for _, a := range e.watch.After {
			next := byName[a]
			if next == nil {
				continue
			}
			switch state[a] {
			case unseen:
				visit(next)
			case onPath:
				loop := append(slices.Clone(path[slices.Index(path, a):]), a)
				ps = append(ps, Problem{
					Watch: name, Site: place(e.site), Other: place(next.site),
					What: "After makes a cycle, in which each would wait for the next: " + strings.Join(loop, " after ") + ": drop one of them",
				})
			}
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, e := range entries {
		if state[e.watch.Name] == unseen {
			visit(e)
		}
	}
	return ps
}
