package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A View is the detector of the alerts that it matches.
type View struct {
	t       *Table
	all     bool
	name    string
	matches []matcher
	problem error

	wake atomic.Pointer[func()]
	said atomic.Pointer[answer] // nil where it must be made anew
	news bool                   // the watch was told since its last look; guarded by t.mu
}

// answer is what a look returns. It is never changed.
type answer struct {
	until time.Time // then it must be made anew; zero is never
	found []detect.Finding
	err   error
}

// Alerts returns a view of the alerts of one name.
func (t *Table) Alerts(name string, match []string) *View {
	v := &View{t: t, name: name}
	if name == "" {
		v.problem = fmt.Errorf("detect/%s: Alerts has no name: give it the name of an alert, or use All", t.door.Kind)
	}
	var err error
	if v.matches, err = parseMatches(match); err != nil {
		v.problem = errors.Join(v.problem, fmt.Errorf("detect/%s: Alerts(%q): %w", t.door.Kind, name, err))
	}
	return t.add(v)
}

// All returns a view of all alerts.
func (t *Table) All() *View { return t.add(&View{t: t, all: true}) }

func (t *Table) add(v *View) *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.views = append(t.views, v)
	return v
}

// Validate reports a name or a match that cannot be.
func (v *View) Validate() error { return v.problem }

// Lag is how late the sender says that an alert is resolved.
func (v *View) Lag() time.Duration { return max(v.t.o.Lag, 0) }

// OnWake sets what is called when there is something new to see.
func (v *View) OnWake(wake func()) {
	if wake == nil {
		v.wake.Store(nil)
		return
	}
	v.wake.Store(&wake)
	v.t.mu.Lock()
	v.news = false // whoever was told before is gone
	v.t.mu.Unlock()
}

// Detect returns what fires, sorted by key, and an error about what is stale.
func (v *View) Detect(context.Context) ([]detect.Finding, error) {
	if v.problem != nil {
		return nil, v.problem
	}
	a := v.said.Load()
	if a == nil || !a.until.IsZero() && !time.Now().Before(a.until) {
		a = v.answer()
	}
	return a.found, a.err
}

func (v *View) covers(r *record) bool {
	if v.all || r.opaque {
		return true
	}
	if r.name != v.name && r.alias != v.name {
		return false
	}
	if r.wide {
		return true // whatever the labels: they are not those of the alerts
	}
	for i := range v.matches {
		if !v.matches[i].holds(r.finding.Labels) {
			return false
		}
	}
	return true
}

// outdated makes the next look begin anew and says whom to wake. t.mu is held.
func (v *View) outdated() (wake func()) {
	v.said.Store(nil)
	if v.news || v.problem != nil {
		return nil
	}
	if w := v.wake.Load(); w != nil {
		v.news = true
		return *w
	}
	return nil
}

// answer makes the answer anew.
func (v *View) answer() *answer {
	t := v.t
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	v.news = false
	a := &answer{}
	var errs []error
	if t.heard.IsZero() {
		errs = append(errs, fmt.Errorf("detect/%s: nothing was received since the start, and nothing restored: check that the sender reaches this receiver; an alert that always fires shows it", t.door.Kind))
	}
	var stale []detect.Stale
	dark := t.dark()
	for _, r := range t.records {
		if r.state == Resolved || !v.covers(r) {
			continue
		}
		why, until := t.stale(r, now)
		if why == "" && dark[r.name] {
			why = noData
		}
		if why != "" {
			stale = append(stale, detect.Stale{Finding: r.finding, Why: why})
			continue
		}
		a.found = append(a.found, r.finding)
		a.expires(until)
	}
	slices.SortFunc(a.found, func(x, y detect.Finding) int { return strings.Compare(x.Key, y.Key) })
	if len(stale) > 0 {
		slices.SortFunc(stale, func(x, y detect.Stale) int { return strings.Compare(x.Finding.Key, y.Finding.Key) })
		errs = append(errs, &detect.StaleError{Stale: stale})
	}
	if now.Before(t.flooded) {
		a.expires(t.flooded)
		errs = append(errs, fmt.Errorf("detect/%s: more alerts were sent than fit beside %d and were dropped: route fewer alerts here, or raise MaxAlerts", t.door.Kind, t.o.MaxAlerts))
	}
	a.err = errors.Join(errs...)
	v.said.Store(a)
	return a
}

func (a *answer) expires(at time.Time) {
	if a.until.IsZero() || at.Before(a.until) {
		a.until = at
	}
}
