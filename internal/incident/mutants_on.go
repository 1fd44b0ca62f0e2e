//go:build mutants

package incident

// planted is the bug that is switched on.
var planted mutation

func mutant(m mutation) bool { return m == planted }

// Plant switches on the bug of that name, and all others off; "" is none. It says
// whether there is one. Only mutation tests call it, never while an engine runs.
func Plant(name string) bool {
	planted = mutNone
	for m, n := range mutations {
		if n == name {
			planted = m
		}
	}
	return name == "" || planted != mutNone
}

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

	mutBudgetForgotten:   "lives: the budget is forgotten",
	mutBreakerForgotten:  "lives: the breaker is forgotten",
	mutCooldownForgotten: "lives: the cooldown is forgotten",
	mutAttemptUnrecorded: "lives: an attempt is not on record before it is made",
	mutAttemptAgain:      "lives: what was in flight runs again",
	mutUndoUnrecorded:    "lives: an undo that is owed is not on record",
	mutHaltForgotten:     "lives: a halt is forgotten",
	mutSilenceForgotten:  "lives: a silence is forgotten",
	mutSilenceForEver:    "lives: a silence that expired is in force again after a reboot",
	mutStormForgotten:    "lives: a storm is forgotten",
	mutClaim:             "verdict: healed before the detector has said so",
	mutHungHolds:         "ladder: waits for a call that was given up",
	mutRetryWithdrawn:    "ladder: a try that is withdrawn takes the tries before it along",
	mutNeverCloses:       "life: what is well is never closed",
}
