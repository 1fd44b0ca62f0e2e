package selfheal

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// defaultFallback is how long a call may be owed before somebody else is told.
const defaultFallback = 2 * time.Minute

// policies gives every notifier a name: the outbox knows targets by name only,
// so that a notice that is owed can outlive the process that owes it.
type policies struct {
	mu      sync.Mutex // never held while a notifier runs
	byName  map[string]escalate.Notifier
	rates   map[string]escalate.Rate
	known   map[identity]string
	unnamed map[string]int // by type
}

// identity is what makes two notifiers of policies one target: the same value,
// under the same name or none.
type identity struct {
	name string
	n    escalate.Notifier
}

func newPolicies() *policies {
	return &policies{
		byName: map[string]escalate.Notifier{}, rates: map[string]escalate.Rate{},
		known: map[identity]string{}, unnamed: map[string]int{},
	}
}

// identify returns what n is, and whether that can be told: functions cannot be
// told apart.
func identify(n escalate.Notifier) (id identity, ok bool) {
	id = identity{escalate.Name(n), n}
	for inner := escalate.Unwrap(n); inner != nil; inner = escalate.Unwrap(inner) {
		id.n = inner
	}
	return id, reflect.ValueOf(id.n).Comparable()
}

// plan names the notifiers of a policy. A notifier that can be compared has one
// name wherever it is used; a function has one for each policy it is used in.
// It asks notifiers for their rates: no lock may be held.
func (p *policies) plan(x escalate.Policy) *outbox.Plan {
	plan := &outbox.Plan{Repeat: x.Repeat, Fallback: x.Fallback, Quiet: x.Quiet}
	switch {
	case x.Fallback == 0:
		plan.Fallback = defaultFallback
	case x.Fallback < 0:
		plan.Fallback = 0
	}
	for _, l := range x.Levels {
		level := outbox.Level{After: l.After, Min: l.Min}
		for _, n := range l.To {
			level.To = append(level.To, p.name(n))
		}
		plan.Levels = append(plan.Levels, level)
	}
	for _, n := range x.Inform {
		plan.Inform = append(plan.Inform, p.name(n))
	}
	return plan
}

func (p *policies) name(n escalate.Notifier) string {
	rate := rateOf(n)
	id, comparable := identify(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	if comparable {
		if name := p.known[id]; name != "" {
			return name
		}
	}
	name := id.name
	for name == "" || p.byName[name] != nil {
		base := id.name
		if base == "" {
			base = strings.TrimPrefix(fmt.Sprintf("%T", id.n), "*")
		}
		p.unnamed[base]++
		name = fmt.Sprintf("%s#%d", base, p.unnamed[base])
	}
	p.byName[name], p.rates[name] = n, rate
	if comparable {
		p.known[id] = name
	}
	return name
}

// rateOf asks n, whose method may panic.
func rateOf(n escalate.Notifier) (r escalate.Rate) {
	defer func() { _ = recover() }()
	return escalate.RateOf(n)
}

func (p *policies) find(name string) escalate.Notifier {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

func (p *policies) rate(name string) escalate.Rate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rates[name]
}

func (p *policies) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.byName))
}

// durableProblems is what keeps an owed notice from finding its target after a
// restart: targets without a name of their own.
func (o *Options) durableProblems(entries []*entry) []Problem {
	if o.Journal == nil {
		return nil
	}
	var ps []Problem
	byName := map[string]identity{}
	look := func(p escalate.Policy, watch, site, where string) {
		for _, n := range notifiers(p) {
			id, comparable := identify(n)
			was, used := byName[id.name]
			switch {
			case id.n == nil:
			case id.name == "":
				ps = append(ps, Problem{Watch: watch, Site: site, What: fmt.Sprintf("%s: a %T has no name, by which a notice that is owed finds it after a restart: use escalate.Named", where, id.n)})
			case used && (!comparable || was != id):
				ps = append(ps, Problem{Watch: watch, Site: site, What: fmt.Sprintf("%s: two notifiers are named %q, so that a notice that is owed finds the wrong one after a restart: name each once, and use that value again", where, id.name)})
			case !used:
				byName[id.name] = identity{id.name, n}
				if comparable {
					byName[id.name] = id
				}
			}
		}
	}
	look(o.Escalate, "", "", "Options.Escalate")
	for _, e := range entries {
		look(e.watch.Escalate, e.watch.Name, place(e.site), "Escalate")
	}
	return ps
}

// notifiers are those of a policy.
func notifiers(p escalate.Policy) []escalate.Notifier {
	var all []escalate.Notifier
	for _, l := range p.Levels {
		all = append(all, l.To...)
	}
	return append(all, p.Inform...)
}

// union is one plan for several: each target once, at the earliest of its
// delays. It is for what is critical: neither quiet hours nor severities hold it.
func union(plans []outbox.Plan) outbox.Plan {
	if len(plans) == 1 {
		return plans[0]
	}
	var all outbox.Plan
	byDelay := map[time.Duration][]string{}
	for _, p := range plans {
		for _, l := range p.Levels {
			byDelay[l.After] = append(byDelay[l.After], l.To...)
		}
		for _, name := range p.Inform {
			if !slices.Contains(all.Inform, name) {
				all.Inform = append(all.Inform, name)
			}
		}
		if p.Repeat > 0 && (all.Repeat == 0 || p.Repeat < all.Repeat) {
			all.Repeat = p.Repeat
		}
		if p.Fallback > 0 && (all.Fallback == 0 || p.Fallback < all.Fallback) {
			all.Fallback = p.Fallback
		}
	}
	told := map[string]bool{}
	for _, after := range slices.Sorted(maps.Keys(byDelay)) {
		level := outbox.Level{After: after}
		for _, name := range byDelay[after] {
			if !told[name] {
				told[name] = true
				level.To = append(level.To, name)
			}
		}
		if len(level.To) > 0 {
			all.Levels = append(all.Levels, level)
		}
	}
	return all
}
