package monitor

import "fmt"

// An Invariant is something that must never break, by its number in the table of
// the reliability notes, section 4.
type Invariant int

// The invariants that concern one process.
const (
	OneAtATime    Invariant = 1  // one remediation on one resource at a time
	Bounded       Invariant = 5  // attempts are bounded, also across crashes
	RecordedFirst Invariant = 6  // what is done is on record before
	Delivered     Invariant = 7  // what people are owed is delivered, or said to be undeliverable
	Escalated     Invariant = 8  // no incident ends in silence
	Stopped       Invariant = 9  // nothing begins that people have stopped, or must allow
	StopSurvives  Invariant = 10 // what people said survives a crash
	NobodyWaits   Invariant = 11 // a call that hangs delays nobody else
	BoundedMemory Invariant = 13 // many keys at once are folded
	StormStops    Invariant = 14 // a shared cause stops what is disruptive
	CauseFirst    Invariant = 16 // what depends on something sick is left alone
	ClaimsAreTrue Invariant = 17 // healed is what the detector said afterwards; nothing acts on old or no sight
	HostUnharmed  Invariant = 18 // a failure of the supervisor harms nobody
	ClocksAreLies Invariant = 19 // a step of the clock is no reason to act
	ComesToRest   Invariant = 20 // when all faults heal, everything returns to rest
)

var invariantNames = map[Invariant]string{
	OneAtATime:    "one remediation on one resource at a time",
	Bounded:       "attempts are bounded, also across crashes",
	RecordedFirst: "what is done is on record before",
	Delivered:     "what people are owed is delivered, or said to be undeliverable",
	Escalated:     "no incident ends in silence",
	Stopped:       "nothing begins that people have stopped, or must allow",
	StopSurvives:  "what people said survives a crash",
	NobodyWaits:   "a call that hangs delays nobody else",
	BoundedMemory: "many keys at once are folded",
	StormStops:    "a shared cause stops what is disruptive",
	CauseFirst:    "what depends on something sick is left alone",
	ClaimsAreTrue: "healed is what the detector said afterwards, and nothing acts on an old sight or none",
	HostUnharmed:  "a failure of the supervisor harms nobody",
	ClocksAreLies: "while the supervisor was late or its clock stepped, nothing acts",
	ComesToRest:   "when all faults heal, everything returns to rest",
}

// String is the number and the words.
func (i Invariant) String() string { return fmt.Sprintf("%d, %s", int(i), invariantNames[i]) }

// A Violation is the first promise that was broken in a run.
type Violation struct {
	Invariant Invariant
	Text      string // what happened, for a person
}

// Error is the invariant and what happened.
func (v *Violation) Error() string { return v.Text + " (invariant " + v.Invariant.String() + ")" }
