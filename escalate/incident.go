package escalate

import (
	"context"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// An Incident is a snapshot of one key's sickness, from opening to close. It is
// safe to keep: nothing changes it later.
type Incident struct {
	ID, Watch string
	Service   string
	Finding   detect.Finding
	Attempts  []remediate.Attempt
	Opened    time.Time
	Closed    time.Time // zero while it is open
	State     State
	// Reason is why people are told; "" when nobody is to be told.
	Reason Reason
	// Detail says in a sentence what the reason means here, and what to do next.
	Detail string
	// HeldBy is the rail that forbids acting now; "" when nothing does.
	HeldBy remediate.Rail
	// Symptoms names the incidents that wait for this one to end, as watch[key].
	Symptoms []string
	// Proposal is set on an Ask: what Approve and Reject take.
	Proposal string
	Runbook  string
	Evidence []Evidence
}

// State is where an incident stands in its life.
type State string

// The states, in the order of a life.
const (
	Pending   State = "pending"   // found; waits For
	Open      State = "open"      // about to act
	Held      State = "held"      // a rail forbids acting now
	Asking    State = "asking"    // waits for a person's approval
	Acting    State = "acting"    // a step runs
	Settling  State = "settling"  // a fix is given time to show
	Verifying State = "verifying" // the detector is asked again
	Watching  State = "watching"  // the ladder is over; waits to clear
	Clearing  State = "clearing"  // well; waits KeepFor
	Undoing   State = "undoing"   // temporary measures are put back
	Closed    State = "closed"
)

// Reason says why people are told.
type Reason string

// The reasons, in the words of timeline, logs and notices.
const (
	Exhausted   Reason = "exhausted"      // every rung was climbed, or there was none
	BreakerOpen Reason = "breaker open"   // its ladders keep failing
	Blind       Reason = "blind"          // the detector has failed for long
	Worse       Reason = "worse"          // a step made it worse
	Unverified  Reason = "unverified"     // nobody can tell whether the step helped
	HeldTooLong Reason = "held too long"  // a rail has forbidden acting for long
	Storm       Reason = "storm"          // many are sick at once
	Escalated   Reason = "escalated"      // a step returned ErrEscalate
	Masking     Reason = "masking"        // healed too often: the fix hides a bug
	Halted      Reason = "halted"         // healing is halted
	SafeMode    Reason = "safe mode"      // the process restarts again and again
	Wedged      Reason = "wedged"         // the process made no progress, or is gone
	Degraded    Reason = "journal"        // the journal takes no records
	Scope       Reason = "scope"          // a step needs a fleet and there is none
	Rejected    Reason = "rejected"       // a person said no
	NoAnswer    Reason = "no answer"      // nobody answered; that is a no
	Abandoned   Reason = "abandoned"      // a call ignored its context and still runs
	UndoFailed  Reason = "undo failed"    // a temporary measure is still in force
	UndoOwed    Reason = "undo owed"      // a temporary measure waits to be put back
	NobodyTold  Reason = "nobody told"    // open for an hour, and nobody knew
	TooManyKeys Reason = "too many keys"  // the watch has more keys than it may
	Invalid     Reason = "invalid wiring" // a watch cannot run as it is put together
)

// Evidence is something that was captured before acting, by reference.
type Evidence struct {
	Name  string    // what it is
	Type  string    // media type
	Ref   string    // where it is: a path or an address
	Bytes int64     // its size; 0 when unknown
	At    time.Time // when it was captured
}

// A Gatherer captures evidence before the first step of an incident. ctx ends
// when its time budget is spent; what it returned by then is used.
type Gatherer interface {
	Gather(ctx context.Context, in Incident) ([]Evidence, error)
}

// GathererFunc adapts a function to a [Gatherer].
type GathererFunc func(ctx context.Context, in Incident) ([]Evidence, error)

// Gather calls f.
func (f GathererFunc) Gather(ctx context.Context, in Incident) ([]Evidence, error) { return f(ctx, in) }
