package escalate

import (
	"context"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A Notification is what a [Notifier] delivers.
type Notification struct {
	// ID is the same for every try of one notification.
	ID string
	// DedupKey is the same for everything said of one incident.
	DedupKey string
	Kind     Kind
	Incident Incident
	At       time.Time // when it became owed
	// Repeat is how often this target was told before to look at this
	// incident: 0 is the first time.
	Repeat int
	// BeganAndEnded is set on a Resolve whose reader was never reached while it
	// was open: this one notice says that it began and that it ended.
	BeganAndEnded bool
	// Count is how many incidents a grouped notice or a digest tells of; its
	// Incident stands for them and names the first hundred as Symptoms. 0: it
	// tells of one, its own.
	Count int
	// Test marks a notice that somebody sent to see whether it arrives: nothing
	// is wrong.
	Test bool
	// Note is a sentence about this telling: that it is a repetition, that
	// nobody acknowledged it before, that somebody else could not be reached.
	// It is "" for a first call.
	Note string
	// Links are addresses for the reader beside the runbook and the evidence: of
	// the console, and where a person may acknowledge or approve. They may hold a
	// signature, so they are neither logged nor sent to Policy.Inform.
	Links []Link
}

// A Link is an address for a person.
type Link struct {
	Text string `json:"text"`
	Href string `json:"href"`
}

// Kind says what a notification asks of its reader.
type Kind uint8

// The kinds.
const (
	Trigger Kind = iota // look at this
	Update              // there is more to say
	Ask                 // say yes or no
	Resolve             // it is over
)

var kindNames = []string{"trigger", "update", "ask", "resolve"}

// String returns "trigger", "update", "ask" or "resolve".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText makes a kind readable in JSON and logs.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, n := range kindNames {
		if n == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("escalate: unknown kind %q: use one of %q", text, kindNames)
}

// A Notifier tells people. nil means that they, or the provider that reaches
// them, have it. A notification that failed is tried again under the same ID,
// so a notifier that can, makes it idempotent by that.
//
// A supervisor calls one notifier from one goroutine at a time. ctx ends at the
// timeout of the call.
type Notifier interface {
	Notify(ctx context.Context, n Notification) error
}

// NotifierFunc adapts a function to a [Notifier].
type NotifierFunc func(ctx context.Context, n Notification) error

// Notify calls f.
func (f NotifierFunc) Notify(ctx context.Context, n Notification) error { return f(ctx, n) }

// A Level is a rung of a [Policy].
type Level struct {
	// After counts from the moment of escalation. 0 is at once.
	After time.Duration
	// To are told at the same moment. Where one of them cannot be reached, the
	// next one is told that it could not, or else the next level is told at once.
	To []Notifier
	// Min is the severity from which on the level is told. The zero value is
	// Warning: of everything. An incident that becomes worse reaches the levels
	// whose time had come before.
	Min detect.Severity
}

// A Policy says who is told and when. The zero value is empty: a watch with an
// empty policy uses that of the supervisor's options.
type Policy struct {
	// Levels are told in order, each after its delay, as long as the incident
	// is open and nobody acknowledged it.
	Levels []Level
	// Repeat tells the levels that were reached again after this time, until
	// acknowledged or closed. 0 is never.
	Repeat time.Duration
	// Inform is told of everything and pages nobody.
	Inform []Notifier
	// Fallback is how long a call may be under way before somebody else is told
	// in its place. 0: 2 min. -1: only when it is given up, after 6 h. Nobody
	// waits for it where a target refuses for good, or has not answered 5 times
	// in a row.
	Fallback time.Duration
	// Quiet are the hours in which only what is critical calls people.
	Quiet Quiet
}

// To is a policy of one level that is told at once.
func To(ns ...Notifier) Policy { return Policy{Levels: []Level{{To: ns}}} }
