package selfhealtest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// moduleRun is how long the rule quiet lets a supervisor run.
const moduleRun = time.Second

// TestModule checks a module that is to be shared, on the machine that runs the
// test, which should be well: build makes it as a user would, each time anew. Each
// rule is a subtest; a failure names the rule, says what was seen and what to do.
// Nothing is acted on: no step runs.
//
// The rules are: name, valid, runbook, destructive, independent,
// stable-names, stable-plans, looks, quiet and no-leak.
//
// Check the module as its zero options make it, and once more for each way to
// set it up. Call it outside of a bubble, and with -race. Time is real; the suite
// takes about a second.
func TestModule(t *testing.T, build func(*testing.T) selfheal.Module) {
	t.Helper()
	moduleSuite(moduleRun).run(t, build)
}

func moduleSuite(run time.Duration) *suite[selfheal.Module] {
	return &suite[selfheal.Module]{
		name:  "TestModule",
		rules: slices.Concat(moduleShapeRules(), moduleBuildRules(), moduleLookRules(run)),
		about: func(selfheal.Module) about { return about{} },
	}
}

func moduleShapeRules() []rule[selfheal.Module] {
	return []rule[selfheal.Module]{
		{
			name: "name",
			must: "a module has a name, which its watches are named after: printable, without slashes, brackets or spaces at its ends",
			fix:  "set Module.Name to the name of the package, say",
			check: func(r *report, m selfheal.Module) {
				switch why := unprintable(m.Name, longestKey); {
				case m.Name == "":
					r.breach("its name is empty")
				case why != "":
					r.breach("its name %s %s", quote(m.Name), why)
				case strings.ContainsAny(m.Name, "/[]") || strings.TrimSpace(m.Name) != m.Name:
					r.breach("its name is %s", quote(m.Name))
				}
			},
		},
		{
			name: "valid",
			must: "a module has watches, and Supervisor.Validate has nothing against them once there is somebody to tell",
			fix:  "change what the problem names",
			check: func(r *report, m selfheal.Module) {
				if len(m.Watches) == 0 {
					r.breach("it has no watches")
					return
				}
				if m.Name == "" {
					m.Name = "module" // its own rule says so
				}
				s := selfheal.New(selfheal.Options{Escalate: escalate.To(&Pager{})})
				s.Install(m)
				var err error
				if r.call("Validate", answerWithin, func(context.Context) { err = s.Validate() }) && err != nil {
					r.breach("%v", err)
				}
			},
		},
		{
			name: "runbook",
			must: "a Runbook is an address that a person can open",
			fix:  "write it in full, with http:// or https://, or leave it out",
			check: func(r *report, m selfheal.Module) {
				for _, w := range m.Watches {
					u, err := url.Parse(w.Runbook)
					if w.Runbook != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
						r.breach("the Runbook of watch %q is %s", w.Name, quote(w.Runbook))
					}
				}
			},
		},
		{
			name: "destructive",
			must: "a module never loses something unattended: a watch with a Destructive step asks first, whatever Options.MaxRisk says, and a milder ladder never falls through to it",
			fix:  "move the step to a watch of its own with Mode: Propose",
			check: func(r *report, m selfheal.Module) {
				for _, w := range m.Watches {
					for _, s := range w.Playbook.Steps {
						if s.Risk == remediate.Destructive && w.Mode < selfheal.Propose {
							r.breach("step %q of watch %q is destructive, and the mode of the watch is %v", s.Name, w.Name, w.Mode)
						}
					}
				}
			},
		},
	}
}

// moduleBuildRules are about two modules of one make.
func moduleBuildRules() []rule[selfheal.Module] {
	return []rule[selfheal.Module]{
		{
			name: "independent",
			must: "two modules of one make share nothing: two supervisors may run them",
			fix:  "make detectors, slices and everything with a state inside the function that returns the module",
			check: func(r *report, m selfheal.Module) {
				other := r.again().(selfheal.Module)
				if shares(m.Watches, other.Watches) {
					r.breach("both have the same slice of watches")
					return
				}
				for i := range min(len(m.Watches), len(other.Watches)) {
					a, b := m.Watches[i], other.Watches[i]
					if sameInstance(a.Detector, b.Detector) {
						r.breach("watch %q has the same detector in both", a.Name)
					}
					if shares(a.Playbook.Steps, b.Playbook.Steps) {
						r.breach("watch %q has the same slice of steps in both", a.Name)
					}
				}
			},
		},
		{
			name: "stable-names",
			must: "watches and steps have the same names in the same order each time: history, silences and vetoes go by them",
			fix:  "use fixed names; what varies belongs into the key of a finding",
			check: func(r *report, m selfheal.Module) {
				if one, other := moduleNames(m), moduleNames(r.again().(selfheal.Module)); !slices.Equal(one, other) {
					r.breach("the names of two builds differ (- one, + the other):\n%s", diff(one, other))
				}
			},
		},
		{
			name: "stable-plans",
			must: "a playbook has the same fingerprint each time: a person's approval is bound to it",
			fix:  "leave what is random, or read from the clock, out of the steps and limits",
			check: func(r *report, m selfheal.Module) {
				other := r.again().(selfheal.Module)
				if !slices.Equal(moduleNames(m), moduleNames(other)) {
					r.skip("the names differ: see rule stable-names")
					return
				}
				for i, w := range m.Watches {
					if p, q := w.Playbook, other.Watches[i].Playbook; p.Fingerprint() != q.Fingerprint() {
						r.breach("the playbook of watch %q differs from build to build (- one, + the other):\n%s",
							w.Name, diff(strings.Split(p.String(), "\n"), strings.Split(q.String(), "\n")))
					}
				}
			},
		},
	}
}

func shares[E any](a, b []E) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

func moduleNames(m selfheal.Module) []string {
	names := []string{m.Name}
	for _, w := range m.Watches {
		names = append(names, m.Name+"/"+w.Name)
		for _, s := range w.Playbook.Steps {
			names = append(names, m.Name+"/"+w.Name+"/"+s.Name)
		}
	}
	return names
}

// moduleLookRules are about the detectors on a machine that is well.
func moduleLookRules(run time.Duration) []rule[selfheal.Module] {
	return []rule[selfheal.Module]{
		{
			name: "looks",
			must: "every detector answers within a second and does not panic, also where what it reads does not exist",
			fix:  "return an error where it cannot tell, and pass ctx on to whatever blocks",
			check: func(r *report, m selfheal.Module) {
				for _, w := range m.Watches {
					if w.Detector == nil {
						continue // rule valid says so
					}
					r.call(fmt.Sprintf("the detector of watch %q", w.Name), r.patience, func(ctx context.Context) {
						ctx, cancel := context.WithTimeout(ctx, r.patience)
						defer cancel()
						look(ctx, w.Detector)
					})
				}
			},
		},
		{
			name: "quiet",
			must: "on a machine that is well a module finds nothing: it is healthy or blind, at the first look and at the next ones",
			fix:  "judge by what a service does in its worst good hour, and wait for enough readings",
			check: func(r *report, m selfheal.Module) {
				for _, found := range r.shadow(m, run) {
					r.breach("%s", found)
				}
			},
		},
		{
			name: "no-leak",
			must: "a look leaves no goroutine behind",
			fix:  "wait for what the look starts, and let ctx end it",
			check: func(r *report, m selfheal.Module) {
				r.leaks("looks at each watch", func(int) bool {
					for _, w := range m.Watches {
						if w.Detector == nil {
							continue
						}
						late := r.try(r.patience, func(ctx context.Context) {
							ctx, cancel := context.WithTimeout(ctx, r.patience)
							defer cancel()
							look(ctx, w.Detector)
						}).late
						if late {
							return false // rule looks says so
						}
					}
					return true
				})
			},
		},
	}
}

// shadow runs a supervisor that does not act and returns what was found, once for
// each watch and key.
func (r *report) shadow(m selfheal.Module, run time.Duration) []string {
	var mu sync.Mutex
	var found []string
	seen := map[string]bool{}
	note := func(a selfheal.About, f detect.Finding) {
		mu.Lock()
		defer mu.Unlock()
		if !seen[a.Name()] {
			seen[a.Name()] = true
			found = append(found, fmt.Sprintf("watch %s found %s", a.Name(), quote(f.Summary)))
		}
	}
	sup := selfheal.New(selfheal.Options{
		Mode: selfheal.Shadow, Escalate: escalate.To(&Pager{}), Logger: discard(), Grace: r.patience,
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			switch e := e.(type) {
			case selfheal.EventFound:
				note(e.About, e.Finding)
			case selfheal.EventOpen:
				note(e.About, e.Finding)
			}
		}),
	})
	sup.Install(m)
	ended := r.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, run)
		defer cancel()
		_ = sup.Run(ctx) // returns nil, or that a step recycled, which none does in Shadow
	})
	r.ended("Supervisor.Run", ended, run+answerWithin)
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(found)
}
