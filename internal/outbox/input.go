package outbox

import (
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A Plan is an escalation policy by names. Names are stable: an owed notice
// finds its target by name. The machine keeps a plan; nobody changes it.
type Plan struct {
	Levels []Level `json:"levels,omitempty"`
	// Repeat tells each level that was reached again after this time. 0 is never.
	Repeat time.Duration `json:"repeat_ns,omitempty"`
	// Inform is told once of every Escalate, muted or not, and of the resolve.
	// It never counts as told.
	Inform []string `json:"inform,omitempty"`
	// Fallback is how long a call may be owed before somebody else is told in
	// its place. 0 is only when it is given up.
	Fallback time.Duration `json:"fallback_ns,omitempty"`
	// Quiet are the hours that hold what is not critical.
	Quiet escalate.Quiet `json:"quiet,omitzero"`
}

// A Level of a [Plan]: who is told so long after the moment of escalation, of
// incidents that are at least so severe.
type Level struct {
	After time.Duration   `json:"after_ns,omitempty"`
	To    []string        `json:"to"`
	Min   detect.Severity `json:"min,omitempty"`
}

func (p Plan) empty() bool { return len(p.Levels) == 0 && len(p.Inform) == 0 }

// An Input is something that happened. The inputs are the types of this file.
type Input interface{ input() }

// Escalate tells people. The notification's DedupKey, Kind (Trigger, Update or
// Ask), Incident and At (the wall time of this moment) are read; the machine
// sets the rest.
//
// The first Trigger or Update of a key is its moment of escalation: the delays
// of the levels count from it. A later one is an update to those who were told,
// and a trigger to those at reached levels who were not. An Ask goes to the
// first level, at once, and starts no delays.
//
// Whoever escalates says Resolve when the incident closes.
type Escalate struct {
	Notification escalate.Notification
	// Plan replaces the plan of the key, unless it is empty.
	Plan Plan
	// Muted starts a new key muted; see [Mute].
	Muted bool
}

// Inform tells targets that page nobody, and nobody else. A key that is only
// ever informed of needs a Resolve too, or an Inform of that kind, not both.
type Inform struct {
	Notification escalate.Notification
	To           []string
}

// Refresh replaces what later levels and repeats of a key say. It tells nobody.
type Refresh struct {
	DedupKey string
	Incident escalate.Incident
}

// Resolve says that it is over, to every target that was handed anything of
// this key. A target that was never reached gets one notice that says both.
// A key of which nobody was told needs none, and none is sent.
type Resolve struct {
	DedupKey string
	Incident escalate.Incident
	At       time.Time // wall time of this moment
}

// Ack stops levels and repeats of a key, not updates and not what is owed
// already. It changes nothing for a key of which nobody was told.
type Ack struct {
	DedupKey string
	By       string
	// For is how long it holds; then the key reopens: the levels that were
	// reached are told again and the delays of the others go on. 0 is until
	// it is resolved.
	For time.Duration
}

// Snooze stops everything that would be told of a key for so long, updates too,
// but not its resolve; its delays stand still meanwhile. When it runs out the
// levels that were reached are told again, with the newest word. It ends early
// when the incident becomes more severe than it was, and by an Ack. It changes
// nothing for a key of which nobody was told.
type Snooze struct {
	DedupKey string
	By       string
	For      time.Duration
}

// Mute stops levels, repeats and new calls of a key until Unmute; its delays
// stand still meanwhile. What is owed already is delivered, informed targets go
// on being informed, and a resolve reaches whoever was told.
type Mute struct{ DedupKey string }

// Once is one try of one notification to one target: past levels, grouping and
// quiet hours, but through the target's lane, rate and breaker, which it probes
// when that is open. It is not remembered, and answered by [Done].
type Once struct {
	Notification escalate.Notification
	Target       string
	// Within is how long it may wait for its turn. 0 means MaxAge.
	Within time.Duration
}

// Unmute ends Mute; what was said last meanwhile is told now.
type Unmute struct{ DedupKey string }

// Sent reports that the call of a [Send] succeeded.
type Sent struct{ ID, Target string }

// Failed reports that the call of a [Send] failed.
type Failed struct {
	ID, Target string
	Err        error
	// Permanent says that no other try can succeed.
	Permanent bool
	// RetryAfter is how long the target asks to be left alone.
	RetryAfter time.Duration
	// Stuck says that the call was given up while it still runs: its target is
	// not called again before Freed.
	Stuck bool
}

// Freed reports that a call which had been given up has returned.
type Freed struct{ Target string }

// Tick says that time has passed; see [Machine.Next].
type Tick struct{}

// Drain ends levels and repeats and tries at once whatever waits for a retry.
// It cannot be taken back.
type Drain struct{}

// Stop ends everything: what is owed is undeliverable now, where a call is under
// way when it fails, and so is whatever comes later. With Options.Durable it is
// not: it is in the store, for the next life, and nothing is recorded any more.
type Stop struct{}

func (Escalate) input() {}
func (Inform) input()   {}
func (Refresh) input()  {}
func (Resolve) input()  {}
func (Ack) input()      {}
func (Snooze) input()   {}
func (Once) input()     {}
func (Mute) input()     {}
func (Unmute) input()   {}
func (Sent) input()     {}
func (Failed) input()   {}
func (Freed) input()    {}
func (Tick) input()     {}
func (Drain) input()    {}
func (Stop) input()     {}
