package detect

import (
	"errors"
	"strings"
)

// A Stale finding is a level that is remembered and that nobody vouches for now.
type Stale struct {
	// Finding is what was last known of the key.
	Finding Finding
	// Why says what keeps it from being believed, in a few words: "restored
	// after a restart and not restated since".
	Why string
}

// A StaleError is how a detector is blind for some keys whose last level it
// remembers: alerts that were restored after a restart and not restated since,
// that nobody restated in time, or of which monitoring itself has no data.
//
// It comes beside the findings that are vouched for, and never names one of
// their keys. Being an error it makes those keys unknown: their incidents and
// the pages of these live on, and no step starts, heals or closes them until the
// sender speaks again. Use errors.As to tell what was known:
//
//	var stale *detect.StaleError
//	if errors.As(err, &stale) { … }
type StaleError struct {
	// Stale is sorted by key. It is there to be read.
	Stale []Stale
}

// Error names the keys, by reason.
func (e *StaleError) Error() string {
	var whys []string
	keys := map[string][]string{}
	for i := range e.Stale {
		s := &e.Stale[i]
		if keys[s.Why] == nil {
			whys = append(whys, s.Why)
		}
		keys[s.Why] = append(keys[s.Why], s.Finding.Key)
	}
	parts := make([]string, len(whys))
	for i, why := range whys {
		parts[i] = why + ": " + someOf(keys[why])
	}
	return "detect: nobody vouches for what is known: " + strings.Join(parts, "; ")
}

// Has says whether e is about key.
func (e *StaleError) Has(key string) bool {
	for i := range e.Stale {
		if e.Stale[i].Finding.Key == key {
			return true
		}
	}
	return false
}

// StaleOf returns what err, the error of a Detect, remembers; nil if nothing.
func StaleOf(err error) []Stale {
	var e *StaleError
	if errors.As(err, &e) {
		return e.Stale
	}
	return nil
}
