package incident

// mutation names a planted bug. The tests with the build tag mutants switch
// them on one by one, and each must be caught: a rail whose loss nobody notices
// is not tested.
type mutation uint8

const (
	mutNone mutation = iota
	mutBlind
	mutCause
	mutCooldown
	mutScope
	mutGrace
	mutHalt
	mutTilt
	mutSafeMode
	mutStorm
	mutSilence
	mutAbandoned
	mutExclusive
	mutConcurrency
	mutBudget
	mutBreaker
	mutMasking
	mutFlapping
	mutRisk
	mutGate
	mutWorse
	mutStale
	mutUndoTwice
	mutUndoLost
	mutExpiryYes
	mutSilentEnd
	mutCardinality
	mutHeldTooLong
	mutNobodyTold
	mutBlindTold
	mutEnd
)
