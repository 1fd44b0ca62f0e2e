package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Detector judges one aspect of a service.
//
// Detect reports everything that is wrong now: one [Finding] a key, in any
// order. It reports a level, not an edge: as long as something is wrong every
// call says so. nil, nil means healthy. An error means blind for every key that
// the findings beside it do not name; findings that come with an error are
// believed.
//
// A supervisor never calls one detector twice at once, but calls it from
// different goroutines. ctx ends at the timeout of the watch; a Detect that
// ignores that is reported as blind, and not called again before it returns.
// The returned slice is the caller's to read until the next call. It may be the
// same one again, and what it points to may be shared: copy what is to be
// changed or kept.
type Detector interface {
	Detect(ctx context.Context) ([]Finding, error)
}

// Func adapts a function to a [Detector].
type Func func(ctx context.Context) ([]Finding, error)

// Detect calls f.
func (f Func) Detect(ctx context.Context) ([]Finding, error) { return f(ctx) }

// Validate reports a nil function.
func (f Func) Validate() error {
	if f == nil {
		return errors.New("detect: Func is nil: give it the function that looks")
	}
	return nil
}

// A Warmer is a [Detector] that can say what memory Detect is about to read.
// Where there are very many watches, that memory is seldom in the processor's
// caches; Warm is called for some dozens of detectors before the Detect of the
// first, so that the processor waits for all of it at once. It loads and does
// nothing else: it takes some nanoseconds and calls no code of others.
type Warmer interface{ Warm() }

// A Waker is a [Detector] that knows when to look again before its next turn: a
// mailbox that got a report, a file that changed. The supervisor calls OnWake
// once for each run, before the first Detect, with nil when the run is over.
//
// wake is cheap, never blocks, may be called from anywhere and as often as
// wanted: wakes between two looks count as one. A wake that is lost costs one
// interval, never a finding, because the next look sees the level.
type Waker interface {
	OnWake(wake func())
}

// A Validator is a [Detector] that can tell before it is used that it was put
// together wrongly, such as a clear level on the wrong side of the limit. The
// supervisor asks while it validates its watches; the error says what to change.
type Validator interface {
	Validate() error
}

// A Finding says what is wrong now.
type Finding struct {
	// Key names what is affected: a queue, a mount, a peer. It is stable
	// across checks. "" is the watch itself.
	Key string
	// Severity is Warning unless set.
	Severity Severity
	// Summary is one line for a person.
	Summary string
	// Value is what was read and Limit what is allowed, both in Unit. All
	// three may be zero; then nothing is concluded from the distance between
	// value and limit.
	Value float64
	Limit float64
	Unit  string
	// Labels are names and values for people and routing.
	Labels map[string]string
	// Evidence is what was seen.
	Evidence []slog.Attr
	// For is read by a [Mailbox] only: how long the report holds unless it is
	// repeated. 0 and less mean 15 minutes. After that the key is unknown, not
	// healed.
	For time.Duration
}

// Severity says how bad a finding is.
type Severity uint8

// The severities. Warning is the zero value.
const (
	Warning Severity = iota
	Critical
)

// String returns "warning" or "critical".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Critical:
		return "critical"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText makes a severity readable in JSON and logs.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "warning":
		*s = Warning
	case "critical":
		*s = Critical
	default:
		return fmt.Errorf("detect: unknown severity %q: use warning or critical", text)
	}
	return nil
}
