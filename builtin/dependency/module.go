package dependency

import (
	"context"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/remediate"
)

// Module returns the pack: the watches down, degraded and relapse. The last two
// are about targets with a Client; degraded is left out where WarnRate is -1.
func Module(o Options) selfheal.Module {
	p := newPack(o)
	m := selfheal.Module{Name: "dependency", Version: "v0.1.0", Watches: []selfheal.Watch{p.down()}}
	if p.o.WarnRate != -1 {
		w := p.degraded()
		w.After = []string{"down"}
		m.Watches = append(m.Watches, w)
	}
	m.Watches = append(m.Watches, p.relapse())
	return m
}

// Down watches for targets that do not answer, or whose breaker tripped (XS-1),
// and climbs the ladder of the pack.
func Down(o Options) selfheal.Watch { return newPack(o).down() }

// Degraded watches for clients of which many calls fail or are slow though their
// breaker holds. It only tells people.
func Degraded(o Options) selfheal.Watch { return newPack(o).degraded() }

// Relapse watches for targets that fall down again as their callers return (XS-2).
// It only tells people: what can be done is done by the ramp.
func Relapse(o Options) selfheal.Watch { return newPack(o).relapse() }

// pack is what the watches of one module share.
type pack struct {
	o       Options
	problem error
	clients map[string]*Client // by the name of their target
}

func newPack(o Options) *pack {
	p := &pack{problem: o.problem(), o: o.withDefaults(), clients: map[string]*Client{}}
	for _, t := range p.o.Targets {
		if t.Client != nil {
			p.clients[t.Name] = t.Client
		}
	}
	return p
}

const (
	// keepFor is longer than the ramp of a client takes by default (2 to 4 min), so
	// that a relapse belongs to the same incident.
	keepFor     = 5 * time.Minute
	degradedFor = 5 * time.Minute
	settle      = 30 * time.Second
)

// every keeps a watch sound whose interval is not: its detector tells.
func (p *pack) every() time.Duration { return max(p.o.Every, 0) }

func (p *pack) down() selfheal.Watch {
	d := &downDetector{p: p, prober: newProber(&p.o), said: map[string]statement{}}
	room := time.Duration(max(d.prober.waves(), 1)+1)*max(p.o.Timeout, 0) + witnessTime + 2*time.Second
	return selfheal.Watch{
		Name: "down", Detector: d, Every: p.every(), Timeout: room, KeepFor: max(keepFor, 2*p.every()),
		Playbook: remediate.Playbook{Name: "down", Steps: p.ladder()},
	}
}

func (p *pack) ladder() []remediate.Step {
	steps := []remediate.Step{
		{Name: "break", Run: p.on((*Client).Break), Undo: p.on((*Client).Restore), Settle: settle, Risk: remediate.Disruptive},
		{Name: "cut-concurrency", Run: p.on((*Client).Cut), Undo: p.on((*Client).Restore), Settle: settle, Risk: remediate.Disruptive},
		{Name: "stop-retries", Run: p.on((*Client).StopRetries), Undo: p.on((*Client).Restore), Settle: settle, Risk: remediate.Safe},
	}
	if p.o.Unready != nil {
		steps = append(steps, remediate.Step{
			Name: "unready", Run: p.unready, Undo: p.ready, Measure: "dependency/unready", Settle: settle,
			Scope: remediate.Peer, Risk: remediate.Disruptive,
		})
	}
	return append(steps, p.wait())
}

// wait is the last rung: nothing of this heals a dependency, so it is given time,
// with the measures in force, before a person is called. It is many short tries
// instead of one long one, since measures are undone only after a rung has ended.
func (p *pack) wait() remediate.Step {
	step := remediate.Step{
		Name: "wait", Run: func(context.Context, remediate.Request) error { return nil },
		Settle: min(settle, max(p.o.PageAfter, 0)), Risk: remediate.Safe,
	}
	if tries := int(max(p.o.PageAfter, 0) / settle); tries > 1 {
		const pause = time.Millisecond // the settling is the pause
		step.Retry = remediate.Backoff{Tries: tries, Initial: pause, Max: pause, Multiplier: 1}
	}
	return step
}

func (p *pack) degraded() selfheal.Watch {
	return selfheal.Watch{
		Name: "degraded", Detector: &degradedDetector{p}, Every: p.every(), For: degradedFor, KeepFor: max(keepFor, p.every()),
		Playbook: remediate.Playbook{Name: "degraded"},
	}
}

func (p *pack) relapse() selfheal.Watch {
	return selfheal.Watch{
		Name: "relapse", Detector: &relapseDetector{p}, Every: p.every(),
		Playbook: remediate.Playbook{Name: "relapse"},
	}
}

// on runs an action of the client of the target that was found.
func (p *pack) on(action func(*Client, context.Context, remediate.Request) error) remediate.Action {
	return func(ctx context.Context, req remediate.Request) error {
		c := p.clients[req.Finding.Key]
		if c == nil {
			return fmt.Errorf("dependency: target %q has no Client: %w", req.Finding.Key, remediate.ErrSkip)
		}
		return action(c, ctx, req)
	}
}

// witness asks the peers within a time of its own.
func (p *pack) witness(ctx context.Context, target string) (Opinion, error) {
	ctx, cancel := context.WithTimeout(ctx, witnessTime)
	defer cancel()
	return p.o.Witness(ctx, target)
}

// unready leaves the balancer where that helps: the fault is here, not there.
func (p *pack) unready(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	o, err := p.witness(ctx, req.Finding.Key)
	switch {
	case err != nil:
		return fmt.Errorf("dependency: no peer could be asked about %q (%s): %w", req.Finding.Key, reason(err), remediate.ErrSkip)
	case !o.onlyHere():
		return fmt.Errorf("dependency: %d of %d peers see %q down too, and would leave as well: %w", o.Sick, o.Asked, req.Finding.Key, remediate.ErrSkip)
	}
	return p.o.Unready(ctx, true)
}

func (p *pack) ready(ctx context.Context, _ remediate.Request) error { return p.o.Unready(ctx, false) }
