package console

import "time"

// State is how everything stands at one moment, as the page needs it. Nothing
// changes one that was handed over.
type State struct {
	At       time.Time
	Service  string
	Run      string // idle, running, stopping, stopped
	Mode     string
	Since    time.Time // Run began; zero before
	Halt     *Halt
	Alerts   []Alert // what keeps the healer itself from its work
	Facts    []Fact  // its own health
	Watches  []Watch // in any order
	Open     []Incident
	Closed   []*Incident // the latest first; bounded by who supplies it
	Silences []Silence
	Modules  []Module
	Week     Week
}

// Halt says who stopped all healing, and why.
type Halt struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"`
}

// An Alert is something that keeps the healer from its work, or makes it doubt
// itself.
type Alert struct {
	Bad    bool   // it does not heal; else it is good to know
	What   string // short: "storm"
	Why    string
	Resume bool // it stays until somebody resumes
}

// A Fact is a line of the healer's own health.
type Fact struct{ Name, Value string }

// Watch is how one watch stands. Two that are equal look the same.
type Watch struct {
	Name   string `json:"name"`
	Module string `json:"module,omitempty"`
	Site   string `json:"site"` // where it was registered
	Mode   string `json:"mode"`
	// State is healthy, sick, blind, unknown, off, invalid or removing.
	State string        `json:"state"`
	Why   string        `json:"why,omitempty"` // it is blind, invalid or slow
	Every time.Duration `json:"every_ns"`
	Next  string        `json:"next,omitempty"` // the step that it would run first
	Open  int           `json:"open,omitempty"` // incidents under way
	// BreakerOpen is until when its breaker holds it.
	BreakerOpen time.Time `json:"breaker_open_until,omitzero"`
}

// Incident is how one incident stands, or how it went.
type Incident struct {
	ID       string  `json:"id"`
	Watch    string  `json:"watch"`
	Key      string  `json:"key,omitempty"`
	State    string  `json:"state"`
	Severity string  `json:"severity"`
	Summary  string  `json:"summary"`
	Value    float64 `json:"value"` // as last seen, and what is allowed; finite
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit,omitempty"`

	Found  time.Time `json:"found,omitzero"`
	Opened time.Time `json:"opened,omitzero"`
	Closed time.Time `json:"closed,omitzero"`

	Ladder []Rung `json:"ladder,omitempty"`
	// HeldBy is the rail that forbids the next rung now, Why what that means, and
	// Held since when.
	HeldBy string    `json:"held_by,omitempty"`
	Why    string    `json:"why,omitempty"`
	Held   time.Time `json:"held,omitzero"`
	// Until is when what it waits for happens at the latest: the end of For, of
	// settling, of a hold, of KeepFor, of the step's time.
	Until time.Time `json:"until,omitzero"`

	Reason   string    `json:"reason,omitempty"` // why people were told
	Detail   string    `json:"detail,omitempty"`
	Told     bool      `json:"told"`
	Lost     bool      `json:"undeliverable,omitempty"` // nobody could be reached
	AckedBy  string    `json:"acked_by,omitempty"`
	Snoozed  time.Time `json:"snoozed_until,omitzero"`
	Symptoms []string  `json:"symptoms,omitempty"`
	Runbook  string    `json:"runbook,omitempty"`

	Proposal *Proposal  `json:"proposal,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Trail
}

// A Trail is what an incident left behind: what was read, and what happened.
type Trail struct {
	Samples []Sample `json:"samples,omitempty"`
	Marks   []Mark   `json:"marks,omitempty"`
	// Version grows with each of them.
	Version uint64 `json:"-"`
}

// A Sample is one reading.
type Sample struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
	// Clear says that nothing was found; Value is then not known.
	Clear bool `json:"clear,omitempty"`
}

// A Mark is a moment at which something happened.
type Mark struct {
	At time.Time `json:"at"`
	// Kind is the first word of its line: open, hold, start, step, undo, page …
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// A Rung is a step of the ladder of an incident.
type Rung struct {
	Step  string `json:"step"`
	Risk  string `json:"risk"`
	Scope string `json:"scope"`
	// State is done, current, next, held, later or vetoed.
	State   string    `json:"state"`
	Outcome string    `json:"outcome,omitempty"`
	Error   string    `json:"error,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Undo is owed, undone or failed; "" where there is nothing to put back.
	Undo string `json:"undo,omitempty"`
}

// A Proposal is a plan that waits for a yes or a no.
type Proposal struct {
	ID          string    `json:"id"`
	Step        string    `json:"step"`
	Risk        string    `json:"risk"`
	Scope       string    `json:"scope"`
	Target      string    `json:"target"`         // what it is done to: watch[key]
	Text        string    `json:"text,omitempty"` // the step on one line
	Fingerprint string    `json:"fingerprint"`
	Expires     time.Time `json:"expires,omitzero"`
}

// Evidence is something that was captured, by reference.
type Evidence struct {
	Name  string    `json:"name"`
	Type  string    `json:"type,omitempty"`
	Ref   string    `json:"ref"`
	Bytes int64     `json:"bytes,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

// Silence stops acting on and telling of what it matches.
type Silence struct {
	ID     string            `json:"id"`
	Watch  string            `json:"watch,omitempty"`
	Key    string            `json:"key,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	By     string            `json:"by"`
	Reason string            `json:"reason"`
	Until  time.Time         `json:"until"`
}

// Module is a module that is installed.
type Module struct {
	Name    string
	Version string
	Watches int
}

// Week is what the automation did within the last seven days, or since From if
// that is less.
type Week struct {
	From     time.Time `json:"from"`
	Opened   int       `json:"opened"`
	Healed   int       `json:"healed"`  // closed after a step that healed
	Paged    int       `json:"paged"`   // of which people were told
	Avoided  int       `json:"avoided"` // healed, and nobody was told
	Relapsed int       `json:"relapsed"`
	// TimeToHeal is the median from opening to the end of the step that healed;
	// 0 when nothing was healed.
	TimeToHeal time.Duration `json:"time_to_heal_ns"`
	// Held are the decisions not to act, by rail.
	Held map[string]int `json:"held,omitempty"`
}

// Line is something that happened, for people.
type Line struct {
	Seq      uint64    `json:"seq"` // of this life of the process; 0: of an earlier one
	Time     time.Time `json:"time"`
	Watch    string    `json:"watch,omitempty"`
	Key      string    `json:"key,omitempty"`
	Incident string    `json:"incident,omitempty"`
	Text     string    `json:"text"`
}

// A Plan is what a watch would do if it found something now.
type Plan struct {
	Watch       string     `json:"watch"`
	Fingerprint string     `json:"fingerprint"`
	Mode        string     `json:"mode"`
	Held        []string   `json:"held,omitempty"` // why nothing would run now
	Steps       []PlanStep `json:"steps"`
	Limits      string     `json:"limits"`
}

// A PlanStep is a rung of a [Plan].
type PlanStep struct {
	Step  string `json:"step"`
	Text  string `json:"text"`  // the step on one line, with the defaults filled in
	Would string `json:"would"` // run, ask first, be held, be skipped
	Why   string `json:"why,omitempty"`
}
