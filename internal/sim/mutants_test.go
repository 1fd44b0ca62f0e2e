//go:build mutants

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/internal/sim/world"
)

// mutant is a planted bug, and the seed that caught it last: it is tried first, so
// that the gate is quick. Whoever changes what a seed means need not mend these:
// other seeds follow, and the table has the new ones.
type mutant struct {
	name string
	seed uint64
}

// mutants are the planted bugs, by the invariant that each is there for. Another
// may be the first to break: what loses a notice may never come to rest. But each
// invariant must itself catch one of its own.
var mutants = map[monitor.Invariant][]mutant{
	monitor.OneAtATime: {
		{"exclusive: two steps hold one resource", 9},
		{"exclusive: a key is free while an abandoned call runs", 2},
		{"concurrency: no permits", 4},
		{"undo: runs beside an abandoned Run", 4},
	},
	monitor.Bounded: {
		{"budget: none", 2},
		{"cooldown: none", 1},
		{"breaker: holds nobody", 2},
		{"safe mode: steps run", 1},
		{"undo: runs twice", 1},
		{"lives: the budget is forgotten", 2},
		{"lives: the breaker is forgotten", 2},
		{"lives: the cooldown is forgotten", 1},
		{"lives: what was in flight runs again", 1},
		{"ladder: a try that is withdrawn takes the tries before it along", 9},
	},
	monitor.RecordedFirst: {
		{"lives: an attempt is not on record before it is made", 1},
		{"lives: an undo that is owed is not on record", 2},
		{"shell: acts before the record is durable", 1},
		{"journal: says durable before the sync", 2},
		{"journal: trusts a file whose sync has failed", 21},
	},
	monitor.Delivered: {
		{"outbox: a notice is on record only after its first try", 6},
		{"outbox: a refusal drops the notice, and nobody is told instead", 4},
		{"outbox: what is owed gets another id after a crash", 1},
		{"outbox: those who were told are not told that it is over", 1},
		{"shell: people are called before that is on record", 6},
		{"shell: engine and outbox are not reconciled", 1},
	},
	monitor.Escalated: {
		{"held too long: nobody is told", 3},
		{"nobody told: nobody is told", 3},
		{"blind: nobody is told", 2},
		{"life: a ladder ends in silence", 1},
	},
	monitor.Stopped: {
		{"halt: steps run", 1},
		{"halt: undos run", 2},
		{"silence: steps run, people are told", 2},
		{"risk: nobody is asked", 1},
		{"risk: no answer is a yes", 1},
		{"mode: propose asks nobody", 3},
		{"scope: shared steps run without a fleet", 3},
	},
	monitor.StopSurvives: {
		{"shell: a resume takes effect before it is durable", 1},
		{"lives: a halt is forgotten", 1},
		{"lives: a silence is forgotten", 6},
		{"lives: a silence that expired is in force again after a reboot", 2},
	},
	monitor.NobodyWaits: {
		{"ladder: waits for a call that was given up", 2},
		{"outbox: a target that hangs holds up all others", 8},
	},
	monitor.BoundedMemory: {
		{"cardinality: no bound", 2},
		{"journal: what a snapshot has replaced is kept", 1},
	},
	monitor.StormStops: {
		{"storm: holds nobody", 2},
		{"lives: a storm is forgotten", 2},
	},
	monitor.CauseFirst: {
		{"cause first: holds nobody", 3},
	},
	monitor.ClaimsAreTrue: {
		{"blind: acts on what nobody can see", 2},
		{"stale: acts on what was seen while held", 1},
		{"verdict: healed before the detector has said so", 8},
	},
	monitor.HostUnharmed: {
		{"journal: panics where the disk fails", 1},
	},
	monitor.ClocksAreLies: {
		{"tilt: holds nobody", 2},
	},
	monitor.ComesToRest: {
		{"life: what is well is never closed", 1},
		{"undo: is forgotten", 2},
		{"outbox: a target that hung once is never called again", 1},
	},
}

// within is how much CPU a planted bug may take to be found.
const within = 30 * time.Second

// Every planted bug is caught, and soon. Without one, the same seeds are sound: see
// the other tests.
func TestMutants(t *testing.T) {
	defer plant("")
	var table strings.Builder
	fmt.Fprintf(&table, "%-70s %-4s %-9s %6s %8s\n", "planted", "for", "caught by", "seed", "CPU s")
	all, began := true, cpu()
	for _, for_ := range slices.Sorted(maps.Keys(mutants)) {
		own := false
		for _, m := range mutants[for_] {
			all = t.Run(m.name, func(t *testing.T) {
				by := caught(t, &table, for_, m)
				own = own || by == for_
			}) && all
		}
		if all && !own {
			t.Errorf("no planted bug breaks invariant %v itself: its check may never fail", for_)
		}
	}
	t.Logf("\n%s%.0f s of CPU in all", table.String(), (cpu() - began).Seconds())
}

// caught runs worlds with a planted bug until one finds it.
func caught(t *testing.T, table *strings.Builder, for_ monitor.Invariant, m mutant) monitor.Invariant {
	if !plant(m.name) && !strings.HasPrefix(m.name, "shell: ") {
		t.Fatal("there is no such bug to plant")
	}
	start, runs := cpu(), 0
	for seed := m.seed; cpu()-start < within; seed++ {
		runs++
		if r := world.Run(world.Config{Seed: seed, Planted: m.name}); r.Violation != nil {
			by := r.Violation.Invariant
			fmt.Fprintf(table, "%-70s %-4d %-9d %6d %8.1f\n", m.name, int(for_), int(by), seed, (cpu() - start).Seconds())
			return by
		}
	}
	t.Errorf("not caught by %d seeds from %d on, in %v of CPU", runs, m.seed, within)
	fmt.Fprintf(table, "%-70s %-4d %-9s\n", m.name, int(for_), "nobody")
	return 0
}

// The story of a planted bug is short, and names what went wrong.
func TestTheStoryOfAPlantedBug(t *testing.T) {
	defer plant("")
	for name, words := range map[string][]string{
		"halt: steps run": {"halts all healing", "has halted all healing"},
		"outbox: those who were told are not told that it is over": {"all faults heal", "people are still shown"},
		"tilt: holds nobody": {"doubts itself", "starts a step", "less than 30 s ago"},
	} {
		t.Run(name, func(t *testing.T) {
			plant(name)
			for seed := uint64(1); ; seed++ {
				if seed > 60 {
					t.Fatal("no world found it")
				}
				cfg := world.Config{Seed: seed, Hours: 2}
				if world.Run(cfg).Violation == nil {
					continue
				}
				story := shortest(cfg, 80)
				for _, w := range words {
					if !strings.Contains(story, w) {
						t.Errorf("the story does not say that %q:\n%s", w, story)
					}
				}
				if n := strings.Count(story, "\n"); n > 60 {
					t.Errorf("%d lines are not short:\n%s", n, story)
				}
				return
			}
		})
	}
}

// plant switches on one bug and all others off.
func plant(name string) bool {
	e, o, j := incident.Plant(name), outbox.Plant(name), journal.Plant(name)
	return e || o || j
}
