package remediate

import "fmt"

// Phase says which of its functions a step is asked to run.
type Phase uint8

// The phases.
const (
	Run Phase = iota
	Undo
	Verify
)

var phaseNames = []string{"run", "undo", "verify"}

// String returns "run", "undo" or "verify".
func (p Phase) String() string { return word(phaseNames, uint8(p), "phase") }

// MarshalText makes a phase readable in JSON and logs.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Phase) UnmarshalText(text []byte) error {
	return parseWord(phaseNames, text, "phase", (*uint8)(p))
}

// Scope is how far a step reaches.
type Scope uint8

// The scopes, from near to far.
const (
	Self   Scope = iota // this process
	Host                // this machine or container
	Peer                // our other replicas
	Shared              // a dependency that others use too
)

var scopeNames = []string{"self", "host", "peer", "shared"}

// String returns "self", "host", "peer" or "shared".
func (s Scope) String() string { return word(scopeNames, uint8(s), "scope") }

// MarshalText makes a scope readable in JSON and logs.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Scope) UnmarshalText(text []byte) error {
	return parseWord(scopeNames, text, "scope", (*uint8)(s))
}

// NeedsFleet says whether a step of this scope needs the permission of a fleet.
func (s Scope) NeedsFleet() bool { return s >= Peer }

// Risk says what a step may cost when it is wrong. The zero value counts as
// Disruptive: whoever says nothing gets the rails.
type Risk uint8

// The risks.
const (
	Safe        Risk = iota + 1 // nobody notices: no permit, no budget, no confirmation
	Disruptive                  // users may notice
	Destructive                 // something may be lost
)

var riskNames = []string{"disruptive", "safe", "disruptive", "destructive"}

// Level resolves the zero value to Disruptive.
func (r Risk) Level() Risk {
	if r == 0 {
		return Disruptive
	}
	return r
}

// AboveSafe says whether the rails for steps above Safe apply.
func (r Risk) AboveSafe() bool { return r != Safe }

// String returns "safe", "disruptive" or "destructive".
func (r Risk) String() string { return word(riskNames, uint8(r), "risk") }

// MarshalText makes a risk readable in JSON and logs.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Risk) UnmarshalText(text []byte) error {
	var i uint8
	if err := parseWord(riskNames[1:], text, "risk", &i); err != nil {
		return err
	}
	*r = Risk(i + 1)
	return nil
}

// Outcome says how an [Attempt] ended.
type Outcome uint8

// The outcomes.
const (
	Running    Outcome = iota // not known yet
	Healed                    // the detector is clear, and so is everything new
	NoEffect                  // the detector still finds it
	Moved                     // it is gone, and something new of the same watch is there
	Worse                     // it grew, and faster than before
	Failed                    // error, panic or time-out
	Skipped                   // ErrSkip
	Unverified                // nobody could tell
	InForce                   // a shared measure that was already taken, and did not help here
)

var outcomeNames = []string{"running", "healed", "no effect", "moved", "worse", "failed", "skipped", "unverified", "in force"}

// String returns the outcome as the timeline prints it.
func (o Outcome) String() string { return word(outcomeNames, uint8(o), "outcome") }

// MarshalText makes an outcome readable in JSON and logs.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (o *Outcome) UnmarshalText(text []byte) error {
	return parseWord(outcomeNames, text, "outcome", (*uint8)(o))
}

// A Rail is a reason why an incident may not act now.
type Rail string

// The rails, in the words of timeline, logs, console and metrics.
const (
	RailBlind       Rail = "blind"       // nobody can tell how the key stands
	RailExclusive   Rail = "exclusive"   // another step holds the resource, or an abandoned one still runs
	RailConcurrency Rail = "concurrency" // as many steps above Safe run as may
	RailBudget      Rail = "budget"      // as many steps above Safe ran as may in the window
	RailCooldown    Rail = "cooldown"    // the last incident of this key is too recent
	RailBreaker     Rail = "breaker"     // the ladders of this watch keep failing
	RailMasking     Rail = "masking"     // the fix only hides a bug
	RailStorm       Rail = "storm"       // many are sick at once: a shared cause
	RailTilt        Rail = "tilt"        // the supervisor itself is late, or its clock stepped
	RailCause       Rail = "cause first" // a watch named by After has an open incident
	RailRisk        Rail = "risk"        // a person is asked because of the risk
	RailMode        Rail = "mode"        // a person is asked because of the mode
	RailScope       Rail = "scope"       // the step reaches further than this process may alone
	RailGate        Rail = "gate"        // the application said no
	RailFlapping    Rail = "flapping"    // it opens and closes again and again
	RailHalt        Rail = "halt"        // a person stopped all healing
	RailSilence     Rail = "silence"     // a person silenced it
	RailSafeMode    Rail = "safe mode"   // the process restarts again and again
	RailJournal     Rail = "journal"     // the journal that bounds the step takes no records
	RailGrace       Rail = "grace"       // the supervisor is shutting down
	RailStale       Rail = "stale"       // waits for a fresh look
	RailCardinality Rail = "cardinality" // more keys than the watch may have
)

func word(names []string, i uint8, kind string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

func parseWord(names []string, text []byte, kind string, to *uint8) error {
	for i, n := range names {
		if n == string(text) {
			*to = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("remediate: unknown %s %q: use one of %q", kind, text, names)
}
