package world

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/remediate"
)

// Config says which world to run. Seed and Hours alone give a whole one.
type Config struct {
	Seed  uint64
	Hours float64 // of faults, simulated; then they heal. 0 means 6

	// Off, Skip, Without and Machines make a world smaller, for the shortest story of
	// what goes wrong in it.
	Off      map[Fault]bool  // kinds of faults that do not happen
	Skip     map[Strike]bool // single faults that do not happen
	Without  map[int]bool    // watches that are left out, by number
	Machines int             // how many there are; 0 leaves it to the seed

	// Story gets what happens, a line each; nil costs nothing.
	Story io.Writer
	// Planted names a bug of the simulated shell; the mutation tests set it.
	Planted string
	// Debug lets a panic of the supervisor through.
	Debug bool
}

// setup is what the seed makes of a Config.
type setup struct {
	machines int
	watches  []watch
	targets  []string
	watching monitor.Config
}

// watch is one of the watches that every machine has.
type watch struct {
	incident.Watch
	n       int
	keys    []string
	timeout time.Duration // of a look
	plan    outbox.Plan
	gathers bool
}

func nothing(context.Context, remediate.Request) error { return nil }

func setUp(cfg *Config) *setup {
	r := stream(cfg.Seed, "setup")
	s := &setup{machines: 1 + r.IntN(3), targets: []string{"pager", "second", "mail", "chat"}}
	s.watching = monitor.Config{
		MaxConcurrent: 1 + r.IntN(3), Budget: 3 + r.IntN(12), BudgetWindow: time.Hour, MaxKeys: 12, MaxRisk: remediate.Disruptive,
	}
	if cfg.Machines > 0 {
		s.machines = min(cfg.Machines, s.machines)
	}
	n := 3 + r.IntN(12)
	for i := range n {
		r := stream(cfg.Seed, "watch", i)
		pick := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
		w := watch{n: i, timeout: 10 * time.Second, gathers: r.IntN(2) == 0}
		w.Name = fmt.Sprintf("w%d", i)
		w.Every = pick(5*time.Second, 10*time.Second, 30*time.Second, time.Minute)
		w.KeepFor = pick(0, 30*time.Second, time.Minute, 3*time.Minute)
		w.Pages, w.Informs = true, r.IntN(4) == 0
		for k := range 1 + r.IntN(3) {
			w.keys = append(w.keys, fmt.Sprintf("k%d", k))
		}
		switch r.IntN(12) {
		case 0:
			w.Mode = incident.Propose
		case 1:
			w.Mode = incident.Shadow
		}
		if i > 0 && r.IntN(6) == 0 {
			w.After = []string{fmt.Sprintf("w%d", r.IntN(i))}
		}
		for k := range r.IntN(4) {
			w.Playbook.Steps = append(w.Playbook.Steps, step(r.IntN, pick, k))
		}
		w.Playbook.Limits = remediate.Limits{
			Cooldown: pick(0, time.Minute, 20*time.Minute),
			Breaker:  remediate.Breaker{Failures: 1 + r.IntN(3), Within: time.Hour, OpenFor: pick(5*time.Minute, 20*time.Minute, time.Hour)},
			Heals:    remediate.Heals{N: 3 + r.IntN(4), Within: pick(time.Hour, 24*time.Hour)},
		}
		if r.IntN(4) == 0 {
			w.Playbook.Limits.Exclusive = []string{"db", "net"}[r.IntN(2)]
		}
		w.For = pick(0, 0, 30*time.Second, 2*time.Minute)
		if w.For == 0 && (len(w.Playbook.Steps) == 0 || w.Playbook.Steps[0].Risk.AboveSafe()) {
			w.For, w.Confirm = 100*time.Millisecond, true
		}
		w.plan = plan(r.IntN, pick)
		if w.Informs {
			w.plan.Inform = []string{"chat"}
		}
		if !cfg.Without[i] {
			s.watches = append(s.watches, w)
		}
	}
	for i := range s.watches {
		s.watching.Watches = append(s.watching.Watches, s.watches[i].Watch)
	}
	return s
}

func step(n func(int) int, pick func(...time.Duration) time.Duration, k int) remediate.Step {
	s := remediate.Step{
		Name: fmt.Sprintf("s%d", k), Run: nothing, Timeout: pick(5*time.Second, 30*time.Second),
		Settle: pick(0, 10*time.Second, time.Minute),
		Risk:   []remediate.Risk{remediate.Safe, remediate.Disruptive, remediate.Disruptive, remediate.Disruptive, remediate.Destructive}[n(5)],
		Scope:  []remediate.Scope{remediate.Self, remediate.Host, remediate.Host, remediate.Host}[n(4)],
	}
	if n(12) == 0 {
		s.Scope = remediate.Shared
	}
	if n(2) == 0 {
		s.Undo = nothing
	}
	if n(5) == 0 {
		s.Verify = nothing
	}
	if n(3) == 0 {
		s.Retry = remediate.Backoff{Tries: 2 + n(2), Initial: pick(time.Second, 10*time.Second)}
	}
	return s
}

func plan(n func(int) int, pick func(...time.Duration) time.Duration) outbox.Plan {
	p := outbox.Plan{Fallback: 2 * time.Minute, Repeat: pick(0, 0, time.Hour)}
	switch n(4) {
	case 0:
		p.Levels = []outbox.Level{{To: []string{"pager"}}}
	case 1:
		p.Levels = []outbox.Level{{To: []string{"pager"}}, {After: 10 * time.Minute, To: []string{"second"}}}
	case 2:
		p.Levels = []outbox.Level{{To: []string{"mail"}}, {After: 5 * time.Minute, To: []string{"pager", "second"}}}
	default:
		p.Levels = []outbox.Level{{To: []string{"pager", "mail"}}}
	}
	return p
}
