package detect

// ReceiverStats is what became of everything that was sent to a receiver of
// alerts since it was made. The reasons are few and fixed; the documentation of
// each receiver lists them.
type ReceiverStats struct {
	// Requests is how many came in.
	Requests uint64
	// Taken is how many alerts (with PagerDuty: events) said something that
	// counts: a new level, or the same one again.
	Taken uint64
	// Ignored is what was authentic and changed nothing, by reason; answered 2xx.
	// A request with several alerts may count several times.
	Ignored map[string]uint64
	// Refused is how many requests were turned away, by reason; answered 4xx.
	Refused map[string]uint64
	// Failed is how many requests could not be dealt with now, by reason;
	// answered 5xx, which makes most senders try again.
	Failed map[string]uint64
	// Firing is how many alerts are firing now, and Stale how many more are
	// remembered without anybody vouching for them. See [StaleError].
	Firing, Stale int
}
