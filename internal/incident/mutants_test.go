//go:build mutants

package incident

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutations names every planted bug by what it does.
var mutations = map[mutation]string{
	mutBlind:       "blind: acts on what nobody can see",
	mutExclusive:   "exclusive: two steps hold one resource",
	mutAbandoned:   "exclusive: a key is free while an abandoned call runs",
	mutConcurrency: "concurrency: no permits",
	mutBudget:      "budget: none",
	mutCooldown:    "cooldown: none",
	mutBreaker:     "breaker: holds nobody",
	mutHalfOpen:    "breaker: half open lets everybody through",
	mutMasking:     "masking: holds nobody",
	mutStorm:       "storm: holds nobody",
	mutTilt:        "tilt: holds nobody",
	mutCause:       "cause first: holds nobody",
	mutRisk:        "risk: nobody is asked",
	mutMode:        "mode: propose asks nobody",
	mutExpiryYes:   "risk: no answer is a yes",
	mutApproval:    "risk: an approval outlives the finding it was given for",
	mutScope:       "scope: shared steps run without a fleet",
	mutGate:        "gate: is not asked",
	mutFlapping:    "flapping: is not held open",
	mutWorse:       "worse: goes on",
	mutMoved:       "verdict: what moved is healed",
	mutHalt:        "halt: steps run",
	mutUndoHalted:  "halt: undos run",
	mutSilence:     "silence: steps run, people are told",
	mutSafeMode:    "safe mode: steps run",
	mutGrace:       "grace: a stop is ignored",
	mutStale:       "stale: acts on what was seen while held",
	mutCardinality: "cardinality: no bound",
	mutHeldTooLong: "held too long: nobody is told",
	mutNobodyTold:  "nobody told: nobody is told",
	mutBlindTold:   "blind: nobody is told",
	mutSilentEnd:   "life: a ladder ends in silence",
	mutKeepFor:     "life: closes at once",
	mutUndoTwice:   "undo: runs twice",
	mutUndoLost:    "undo: is forgotten",
	mutUndoEarly:   "undo: runs beside an abandoned Run",
}

// Every planted bug is caught by the random scripts, and soon.
func TestMutantsAreCaught(t *testing.T) {
	defer func() { planted = mutNone }()
	var table strings.Builder
	fmt.Fprintf(&table, "%-55s %-24s %8s %8s\n", "mutation", "caught by", "scripts", "inputs")
	for m := mutNone + 1; m < mutEnd; m++ {
		require.Contains(t, mutations, m, "name it")
		planted = m
		inputs, seed, by := 0, uint64(0), ""
		for ; by == "" && inputs < 1_000_000; seed++ {
			d := splitmix(seed)
			s := newScript(&d)
			s.play()
			inputs += s.inputs
			by = s.failed
		}
		if by == "" {
			t.Errorf("%s: survived %d inputs", mutations[m], inputs)
		}
		fmt.Fprintf(&table, "%-55s %-24s %8d %8d\n", mutations[m], by, seed, inputs)
	}
	t.Logf("\n%s", table.String())
}
