package journal

// mutation names a planted bug. The simulator switches them on one by one, and each
// must be caught: a promise whose loss nobody notices is not tested.
type mutation uint8

const (
	mutNone mutation = iota
	mutNoSync
	mutPanics
	mutTrustsFailed
	mutKeepsAll
)
