package worker

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Options are for [Module] and its watches. Set Groups; without one the watches
// are blind and say so, which people are told of after a minute.
type Options struct {
	// Groups are what is watched. More than one need names.
	Groups []*Group
	// Every is the interval of the looks, and the step in which silence is
	// measured. 0: 1 s.
	Every time.Duration
	// Budgets is how many budgets a worker may be silent before it is stuck, and
	// never less than three intervals. From one budget on it is Late in Status
	// and its stack is looked at. 0: 3, as in the catalogue (GO-6).
	Budgets int
	// Calm is how long a worker must have been up after a failure to be well
	// again. 0: 10 s.
	Calm time.Duration
	// Patience is how long the first rung of the watch "crash" leaves the
	// restarts to the group, which has its own bound, before the next one. 0: 10 min.
	Patience time.Duration
	// QuarantineInput puts the input aside on which the worker of req.Finding.Key
	// fails: the message, the file. It becomes a rung of "crash" after the
	// restarts, and is lasting. nil: no such rung.
	QuarantineInput remediate.Action
	// Recycle is the exit code with which the process asks to be replaced as the
	// last rung, 1 to 255; see [remediate.Recycle]. 0: no such rung.
	Recycle int
	// Evidence is captured before acting, beside the stacks that the findings
	// carry: a flight recorder, say. nil: none.
	Evidence []escalate.Gatherer
	// Escalate says who is told. Empty: that of the supervisor.
	Escalate escalate.Policy
	// Runbook is the address of a page for the person who is called.
	Runbook string
}

const (
	defaultEvery    = time.Second
	defaultBudgets  = 3
	defaultCalm     = 10 * time.Second
	defaultPatience = 10 * time.Minute
	leastLooks      = 3
)

// Version is that of the module.
const version = "v0.1.0"

// Module is the watches [Crash] and [Stuck] of the groups. Its name is "worker".
func Module(o Options) selfheal.Module {
	return selfheal.Module{Name: "worker", Version: version, Watches: []selfheal.Watch{Crash(o), Stuck(o)}}
}

// filled returns o with its defaults. Mistakes count as not set: see validate.
func (o Options) filled() Options {
	o.Every = cmp.Or(max(o.Every, 0), defaultEvery)
	o.Budgets = cmp.Or(max(o.Budgets, 0), defaultBudgets)
	o.Calm = cmp.Or(max(o.Calm, 0), defaultCalm)
	o.Patience = cmp.Or(max(o.Patience, 0), defaultPatience)
	return o
}

// stopTimeout is the longest of the groups'.
func (o Options) stopTimeout() time.Duration {
	longest := time.Duration(0)
	for _, g := range o.Groups {
		if g != nil {
			longest = max(longest, g.o.StopTimeout)
		}
	}
	return cmp.Or(longest, defaultStopTimeout)
}

// validate says everything that is wrong with the options and their groups.
func (o Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("worker: "+format, args...)) }
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"Every", o.Every}, {"Calm", o.Calm}, {"Patience", o.Patience}} {
		if d.is < 0 {
			bad("Options.%s is %v: use a duration, or 0 for the default", d.name, d.is)
		}
	}
	if o.Budgets < 0 {
		bad("Options.Budgets is %d: use a count, or 0 for %d", o.Budgets, defaultBudgets)
	}
	if o.Recycle < 0 || o.Recycle > 255 {
		bad("Options.Recycle is %d: use an exit code from 1 to 255, or 0 for no such rung", o.Recycle)
	}
	names := map[string]bool{}
	for i, g := range o.Groups {
		if g == nil {
			bad("Options.Groups[%d] is nil: set a group, or drop it", i)
			continue
		}
		switch {
		case g.o.Name == "" && len(o.Groups) > 1:
			bad("Options.Groups[%d] has no name, and there are more groups: set GroupOptions.Name", i)
		case names[g.o.Name]:
			bad("two of Options.Groups are named %q: rename one", g.o.Name)
		}
		names[g.o.Name] = true
		if err := g.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// of returns the group and the name of the worker that a finding is about.
func (o *Options) of(key string) (*Group, string, error) {
	for _, g := range o.Groups {
		if g == nil {
			continue
		}
		name, ok := key, true
		if g.o.Name != "" {
			name, ok = strings.CutPrefix(key, g.o.Name+"/")
		}
		if ok && g.has(name) {
			return g, name, nil
		}
	}
	return nil, "", fmt.Errorf("%w: no worker has the key %q", remediate.ErrSkip, oneLine(key))
}

func (g *Group) has(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.names[name] != nil
}
