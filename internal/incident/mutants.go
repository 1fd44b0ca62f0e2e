package incident

// mutation names a planted bug. The tests with the build tag mutants switch
// them on one by one, and each must be caught: a rail whose loss nobody notices
// is not tested.
type mutation uint8

const (
	mutNone mutation = iota
	mutBlind
	mutExclusive
	mutAbandoned
	mutConcurrency
	mutBudget
	mutCooldown
	mutBreaker
	mutHalfOpen
	mutMasking
	mutStorm
	mutTilt
	mutCause
	mutRisk
	mutMode
	mutExpiryYes
	mutApproval
	mutScope
	mutGate
	mutFlapping
	mutWorse
	mutMoved
	mutHalt
	mutUndoHalted
	mutSilence
	mutSafeMode
	mutGrace
	mutStale
	mutCardinality
	mutHeldTooLong
	mutNobodyTold
	mutBlindTold
	mutSilentEnd
	mutKeepFor
	mutUndoTwice
	mutUndoLost
	mutUndoEarly
	mutEnd

	// Of what outlives a life, and of how answers are taken in: for the simulator.
	mutBudgetForgotten
	mutBreakerForgotten
	mutCooldownForgotten
	mutAttemptUnrecorded
	mutAttemptAgain
	mutUndoUnrecorded
	mutHaltForgotten
	mutSilenceForgotten
	mutSilenceForEver
	mutStormForgotten
	mutClaim
	mutHungHolds
	mutRetryWithdrawn
	mutNeverCloses
	mutLivesEnd
)
