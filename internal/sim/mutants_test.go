//go:build mutants

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/internal/sim/world"
)

// mutants are the planted bugs, by the invariant that each is there for. Whatever
// catches it first counts.
var mutants = []struct {
	for_  monitor.Invariant
	names []string
}{
	{monitor.OneAtATime, []string{
		"exclusive: two steps hold one resource", "exclusive: a key is free while an abandoned call runs",
		"concurrency: no permits", "undo: runs beside an abandoned Run",
	}},
	{monitor.Bounded, []string{
		"budget: none", "cooldown: none", "breaker: holds nobody", "safe mode: steps run", "undo: runs twice",
		"lives: the budget is forgotten", "lives: the breaker is forgotten", "lives: the cooldown is forgotten",
		"lives: what was in flight runs again", "ladder: a try that is withdrawn takes the tries before it along",
	}},
	{monitor.RecordedFirst, []string{
		"lives: an attempt is not on record before it is made", "lives: an undo that is owed is not on record",
		"shell: acts before the record is durable", "journal: says durable before the sync",
	}},
	{monitor.Delivered, []string{
		"outbox: a notice is on record only after its first try", "outbox: a refusal drops the notice, and nobody is told instead",
		"outbox: what is owed gets another id after a crash", "outbox: those who were told are not told that it is over",
		"shell: people are called before that is on record", "shell: engine and outbox are not reconciled",
	}},
	{monitor.Escalated, []string{
		"held too long: nobody is told", "nobody told: nobody is told", "blind: nobody is told", "life: a ladder ends in silence",
	}},
	{monitor.Stopped, []string{
		"halt: steps run", "halt: undos run", "silence: steps run, people are told", "risk: nobody is asked",
		"risk: no answer is a yes", "mode: propose asks nobody", "scope: shared steps run without a fleet",
	}},
	{monitor.StopSurvives, []string{
		"shell: a resume takes effect before it is durable", "lives: a halt is forgotten", "lives: a silence is forgotten", "lives: a silence that expired is in force again after a reboot",
	}},
	{monitor.NobodyWaits, []string{"ladder: waits for a call that was given up", "outbox: a target that hangs holds up all others"}},
	{monitor.BoundedMemory, []string{"cardinality: no bound"}},
	{monitor.StormStops, []string{"storm: holds nobody", "lives: a storm is forgotten"}},
	{monitor.CauseFirst, []string{"cause first: holds nobody"}},
	{monitor.ClaimsAreTrue, []string{
		"blind: acts on what nobody can see", "stale: acts on what was seen while held", "verdict: healed before the detector has said so",
	}},
	{monitor.HostUnharmed, []string{"journal: panics where the disk fails"}},
	{monitor.ClocksAreLies, []string{"tilt: holds nobody"}},
	{monitor.ComesToRest, []string{
		"life: what is well is never closed", "undo: is forgotten", "outbox: a target that hung once is never called again",
	}},
}

// within is how much CPU a planted bug may take to be found.
const within = 30 * time.Second

// Every planted bug is caught, and soon. Without one, the same seeds are sound: see
// the other tests.
func TestMutants(t *testing.T) {
	defer plant("")
	var table strings.Builder
	fmt.Fprintf(&table, "%-70s %-4s %-9s %6s %8s\n", "planted", "for", "caught by", "seed", "CPU s")
	for _, m := range mutants {
		for _, name := range m.names {
			if !plant(name) && !strings.HasPrefix(name, "shell: ") {
				t.Errorf("there is no bug named %q", name)
				continue
			}
			t.Run(name, func(t *testing.T) {
				start, seed, by := cpu(), uint64(0), ""
				for by == "" && cpu()-start < within {
					seed++
					if r := world.Run(world.Config{Seed: seed, Planted: name}); r.Violation != nil {
						by = fmt.Sprint(int(r.Violation.Invariant))
					}
				}
				took := cpu() - start
				if by == "" {
					t.Errorf("not caught by %d seeds in %v of CPU", seed, took)
				}
				fmt.Fprintf(&table, "%-70s %-4d %-9s %6d %8.1f\n", name, int(m.for_), by, seed, took.Seconds())
			})
		}
	}
	t.Logf("\n%s", table.String())
}

// plant switches on one bug and all others off.
func plant(name string) bool {
	e, o, j := incident.Plant(name), outbox.Plant(name), journal.Plant(name)
	return e || o || j
}
