package outbox

import (
	"errors"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// An Effect is something to do or to know. The effects are the types of this
// file and [Record]. Only [Send] and [Record] ask for anything; the others are
// for timeline, metrics, logs and status.
type Effect interface{ effect() }

// Send asks for one call of a target, to be answered by [Sent] or [Failed].
// A target has at most one call under way.
type Send struct {
	ID           string // the same for every try; that of the notification
	Target       string
	Try          int // from 1
	Notification escalate.Notification
}

// Told says that something was handed to targets: it is owed to each of them
// from now on, delivered or not.
type Told struct {
	DedupKey string
	// Kind is Trigger, Update, Ask or Resolve.
	Kind escalate.Kind
	// Level is the level of the policy, from 1; for an update and a resolve,
	// which go to everyone who was told, the highest that was reached. 0 means
	// that the targets are informed and nobody is paged.
	Level   int
	Targets []string
	// Repeat is 0 unless all targets were told before to look at it: then the
	// smallest count of how often.
	Repeat   int
	Incident escalate.Incident
	At       time.Time
}

// People says whether people were called, rather than targets informed.
func (t Told) People() bool { return t.Level > 0 }

// Delivered says that a target has a notification.
type Delivered struct {
	Target       string
	Notification escalate.Notification
	Tries        int
	Age          time.Duration // since it was owed
}

// Undeliverable says that a target will not get a notification.
type Undeliverable struct {
	// Target is "" when there was nobody to tell, or no room to remember it.
	Target       string
	Notification escalate.Notification
	Tries        int
	Age          time.Duration // since it was owed
	Why          error         // ErrExpired, ErrRefused, ErrStopped, ErrFull or ErrNobody
	Last         error         // of the last try; nil without one
	// NextLevel is the level that is told instead; 0 when there is none, or when
	// another target of the level is.
	NextLevel int
	// Lost says that nobody who was to be told could be reached, and nobody is
	// left.
	Lost bool
}

// Why something is undeliverable.
var (
	ErrExpired = errors.New("outbox: it could not be delivered for too long")
	ErrRefused = errors.New("outbox: it was refused for good")
	ErrStopped = errors.New("outbox: it was stopped before it could be delivered")
	ErrFull    = errors.New("outbox: no room for another incident")
	ErrNobody  = errors.New("outbox: the policy names nobody")
)

// Grouped says that something was handed to a target as part of a grouped
// notice: it is delivered, or not, with that.
type Grouped struct {
	ID, DedupKey, Target string
	Group                string // the DedupKey of the grouped notice
}

// Fallback says that a target was not reached, or not yet, and who is told in
// its place.
type Fallback struct {
	DedupKey string
	Target   string
	Why      string
	// Level is the level that is told, from 1; 0 when it is another target of
	// the same level, and Instead names that one; neither: nobody is left.
	Level   int
	Instead string
	// Lost says that nobody who was to be told could be reached, and nobody is
	// left. It is tried on until it is too old.
	Lost     bool
	Incident escalate.Incident
}

// Down says that the breaker of a target opened, Up that it closed.
type (
	Down struct {
		Target string
		Err    error // of the last call
	}
	Up struct {
		Target string
		After  time.Duration // since it opened
	}
)

// Done ends a [Once]. Err is nil when the target has it.
type Done struct {
	ID, Target   string
	Notification escalate.Notification
	Err          error
}

// Superseded says that a notification will not be delivered because a later
// one to the same target says everything that it said.
type Superseded struct {
	ID, Target string
	By         string // id of the later one
}

// Reopened says that an acknowledgement ran out.
type Reopened struct {
	DedupKey string
	By       string // who had acknowledged
	Incident escalate.Incident
}

// Stuck says that a call was given up while it still runs.
type Stuck struct {
	Target       string
	Notification escalate.Notification
}

// Unstuck says that the call has returned, and its target is used again.
type Unstuck struct {
	Target string
	After  time.Duration // since it was given up
}

func (Send) effect()          {}
func (Told) effect()          {}
func (Delivered) effect()     {}
func (Undeliverable) effect() {}
func (Superseded) effect()    {}
func (Grouped) effect()       {}
func (Fallback) effect()      {}
func (Down) effect()          {}
func (Up) effect()            {}
func (Done) effect()          {}
func (Reopened) effect()      {}
func (Stuck) effect()         {}
func (Unstuck) effect()       {}
