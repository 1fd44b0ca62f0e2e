package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// errNoGroup is how a watch is blind that was given nothing to watch.
var errNoGroup = errors.New("worker: there is no group to watch: set Options.Groups")

// detector asks every group. It keeps nothing itself: two supervisors may watch
// one group.
type detector struct {
	o Options
	// scan notes what is wrong in a group, and calls no code of the user's: the
	// group's lock is held. say puts it into words without.
	scan func(g *Group, now time.Duration, to []case_) []case_
	say  func(c *case_) detect.Finding
	// before runs at each look of a group, without its lock. May be nil.
	before func(g *Group)
}

// case_ is what is wrong with a worker.
type case_ struct {
	WorkerStatus
	key     string
	err     error
	p       *policy
	trial   bool
	waiting []string
	asked   time.Duration // how long ago its context ended; 0 if it has not
	left    int           // abandoned runs of the group
	most    int
	suspect *suspect
}

// Validate says what is wrong with the options and the groups, on one line.
func (d *detector) Validate() error {
	if err := d.o.validate(); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// OnWake has every group say when something has happened.
func (d *detector) OnWake(wake func()) {
	for _, g := range d.o.Groups {
		if g == nil {
			continue
		}
		g.mu.Lock()
		if wake == nil {
			delete(g.wakes, d)
		} else {
			g.wakes[d] = wake
		}
		g.mu.Unlock()
	}
}

// Detect reports one finding for each worker that is not well. A group whose Run
// is not under way is unknown, not well.
func (d *detector) Detect(context.Context) ([]detect.Finding, error) {
	if len(d.o.Groups) == 0 {
		return nil, errNoGroup
	}
	var cases []case_
	var errs []error
	for _, g := range d.o.Groups {
		if g == nil {
			continue // Validate says so
		}
		if d.before != nil {
			d.before(g)
		}
		g.mu.Lock()
		if g.phase != running {
			errs = append(errs, g.notRunning())
		} else {
			cases = d.scan(g, g.now(), cases)
		}
		g.mu.Unlock()
	}
	return d.findings(cases), errors.Join(errs...)
}

// notRunning says why nothing is known of g. The text does not change as long as
// the reason does not. g.mu is held.
func (g *Group) notRunning() error {
	name := ""
	if g.o.Name != "" {
		name = fmt.Sprintf(" %q", g.o.Name)
	}
	if g.phase == fresh {
		return fmt.Errorf("worker: the group%s does not run: call its Run", name)
	}
	return fmt.Errorf("worker: the group%s has ended", name)
}

func (d *detector) findings(cases []case_) []detect.Finding {
	if len(cases) == 0 {
		return nil
	}
	slices.SortFunc(cases, func(a, b case_) int { return strings.Compare(a.key, b.key) })
	fs := make([]detect.Finding, len(cases))
	for i := range cases {
		c := &cases[i]
		if c.err != nil {
			c.Err, c.Stack = oneLine(c.err.Error()), stackOf(c.err)
		}
		fs[i] = d.say(c)
		fs[i].Key = c.key
		fs[i].Labels = map[string]string{"worker": c.Name, "state": c.State}
	}
	return fs
}

// of fills what every case tells. g.mu is held.
func (m *member) caseOf(now time.Duration) case_ {
	c := case_{key: m.key(), p: m.p, left: len(m.g.abandoned), most: m.g.o.MaxAbandoned}
	c.WorkerStatus, c.err = m.status(now)
	if f := m.fails; f != nil {
		c.trial = f.trial
	}
	return c
}
