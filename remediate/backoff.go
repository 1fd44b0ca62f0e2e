package remediate

import "time"

// Backoff says how often a rung is tried and how long the pauses are. The zero
// value is one try.
type Backoff struct {
	// Tries is the number of tries in all. 0 and 1 mean one.
	Tries int
	// Initial is the first pause. 0 means 1 s.
	Initial time.Duration
	// Max caps the pauses. 0 means 1 min.
	Max time.Duration
	// Multiplier grows the pause from try to try. 0 means 2.
	Multiplier float64
	// Jitter spreads each pause by this share to both sides, 0 to 1. 0 means
	// none: set it where many processes retry against one thing.
	Jitter float64
}
