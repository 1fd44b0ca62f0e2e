package selfheal

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// policies gives every notifier a name: the outbox knows targets by name only,
// so that a notice that is owed can outlive the process that owes it.
type policies struct {
	mu     sync.Mutex
	byName map[string]escalate.Notifier
	known  map[escalate.Notifier]string // those that can be compared
	unique int
}

func newPolicies() *policies {
	return &policies{byName: map[string]escalate.Notifier{}, known: map[escalate.Notifier]string{}}
}

// plan names the notifiers of a policy. A notifier that can be compared has one
// name wherever it is used; a function has one for each policy it is used in,
// because functions cannot be told apart: escalate.Named makes it one.
func (p *policies) plan(x escalate.Policy) *outbox.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := &outbox.Plan{Repeat: x.Repeat}
	for _, l := range x.Levels {
		level := outbox.Level{After: l.After}
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
	comparable := reflect.ValueOf(n).Comparable()
	if comparable {
		if name := p.known[n]; name != "" {
			return name
		}
	}
	base := escalate.Name(n)
	name := base
	for name == "" || p.byName[name] != nil {
		p.unique++
		name = fmt.Sprintf("%s#%d", base, p.unique)
		if base == "" {
			name = fmt.Sprintf("%T#%d", n, p.unique)
		}
	}
	p.byName[name] = n
	if comparable {
		p.known[n] = name
	}
	return name
}

func (p *policies) find(name string) escalate.Notifier {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

// union is one plan for several: each target once, at the earliest of its delays.
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
