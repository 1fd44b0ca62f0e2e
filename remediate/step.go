package remediate

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// An Action is code that a rung of a playbook runs. It gets a context that
// ends at the timeout of its step, and at shutdown with [ErrStopping] as its
// cause. nil means that it did what it does, not that anything is healed:
// that is for the detector to say. Its errors may be [ErrSkip] or
// [ErrEscalate], wrapped or not.
//
// An action that is called again with the same [Request.Key] continues or
// repeats the same work: after a crash it may have been half done.
type Action func(ctx context.Context, req Request) error

// Errors by which an action tells the supervisor what to do next.
var (
	// ErrSkip says that the step does not apply here. The ladder goes on with
	// the next rung, and no undo is owed. From Step.Verify it says blind.
	ErrSkip = errors.New("remediate: step does not apply")
	// ErrEscalate says that the ladder should stop and that people should be told.
	ErrEscalate = errors.New("remediate: stop and tell people")
	// ErrStopping is the context.Cause of actions that are cancelled because
	// the supervisor shuts down.
	ErrStopping = errors.New("remediate: the supervisor is stopping")
)

// A Request tells an action what it is asked to do and for what. It is one
// struct so that it can grow.
type Request struct {
	Incident string         // stable id of the incident
	Step     string         // name of the step
	Phase    Phase          // Run, Undo or Verify
	Attempt  int            // rungs climbed in this incident, from 1
	Try      int            // within the attempt, from 1
	Finding  detect.Finding // as it was last seen
	Fence    uint64         // fencing token of the fleet lease; 0 when the step needs none
	Memo     []byte         // what Run saved for Undo
	// Save keeps a memo for Undo. It is durable before it returns where the
	// supervisor has a journal. It is nil outside of Run.
	Save func(memo []byte) error
	Log  *slog.Logger // carries incident, watch, key and step; nil outside a supervisor
}

// Key is the idempotency key: incident/step/attempt/phase. It is the same for
// every try of an attempt and after a crash.
func (r Request) Key() string {
	return r.Incident + "/" + r.Step + "/" + strconv.Itoa(r.Attempt) + "/" + r.Phase.String()
}

// A Step is a rung of a [Playbook]. It is plain data: it can be listed,
// printed, fingerprinted and validated.
type Step struct {
	// Name is unique in its playbook.
	Name string
	// Run is what the step does.
	Run Action
	// Undo puts a temporary measure back. It is owed from the start of Run,
	// unless Run returns ErrSkip. See Lasting for steps without.
	Undo Action
	// Lasting declares that a step above Safe leaves nothing to put back: a
	// restart, a purge of an own cache.
	Lasting bool
	// Measure names a measure that several incidents share: it is taken once,
	// held by all of them and undone when the last lets go. "" is a measure of
	// this incident alone.
	Measure string
	// Verify is asked once the detector is clear. nil: healed; another error:
	// no effect; ErrSkip: it cannot tell.
	Verify Action
	// Settle is the time that the fix needs to show. 0 means twice the
	// interval of the watch and at least 1 s.
	Settle time.Duration
	// Timeout bounds one try of Run, and Undo and Verify. 0 means 30 s.
	Timeout time.Duration
	// Retry repeats a rung that failed or had no effect. Zero: one try.
	Retry Backoff
	// Scope is how far the step reaches: Self unless set. Peer and Shared need
	// a fleet, and are held and escalated without one.
	Scope Scope
	// Risk counts as Disruptive unless set.
	Risk Risk
}

// A Playbook is a ladder of steps, cheap to drastic, with its limits. An empty
// one detects and escalates only.
type Playbook struct {
	Name   string
	Steps  []Step
	Limits Limits
}

// Ladder is a playbook of the given steps with default limits.
func Ladder(steps ...Step) Playbook { return Playbook{Steps: steps} }

// Limits bound how often a playbook may act. The zero value has safe defaults.
type Limits struct {
	// Cooldown lies between two incidents of one key: no step of the second
	// runs before. 0 means 5 min, -1 none.
	Cooldown time.Duration
	// Exclusive names a resource: two steps with the same name, in any
	// playbook of the supervisor, never overlap.
	Exclusive string
	// Breaker stops a watch whose ladders keep failing.
	Breaker Breaker
	// Heals stops a fix that only hides a bug.
	Heals Heals
}

// A Breaker opens for a watch after Failures failed ladders Within a window,
// for OpenFor; each re-opening doubles that, to 24 h at most. Zero fields mean
// 3 within 1 h, open for 30 min. Failures -1 turns it off.
type Breaker struct {
	Failures        int
	Within, OpenFor time.Duration
}

// Heals is how often one key may be healed Within a window before it counts as
// masking: steps above Safe then stop and a person gets the evidence. Zero
// fields mean 5 within 24 h. N -1 turns it off.
type Heals struct {
	N      int
	Within time.Duration
}

// An Attempt is one climb of one rung.
type Attempt struct {
	Step           string
	Outcome        Outcome
	Err            error // of the last try; nil unless the outcome has one
	Tries          int
	Started, Ended time.Time // Ended is zero while it is under way
	// Owed says that the undo of this attempt is still to run, Undone that it ran
	// without an error; UndoErr is how it failed.
	Owed    bool
	Undone  bool
	UndoErr error
}
