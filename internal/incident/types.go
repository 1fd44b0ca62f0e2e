package incident

import (
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// At is a time since the engine was born, on a monotonic clock.
type At = time.Duration

// Mode is how far a watch may go on its own. The larger is the more careful.
type Mode uint8

// The modes.
const (
	Auto    Mode = iota // acts
	Propose             // asks before each step above Safe
	Shadow              // writes what it would do
	Off                 // does not even look; the engine never sees such a watch
)

// A Watch is what the engine knows of one: data, with every default resolved.
type Watch struct {
	Name     string
	Every    time.Duration
	For      time.Duration
	Confirm  bool          // For is a second look rather than a wait
	KeepFor  time.Duration // 0: none
	Lag      time.Duration // how long after the fact its detector may learn that a key is well
	After    []string
	Mode     Mode
	Playbook remediate.Playbook // the functions are never called here
	Disabled map[string]bool    // steps vetoed by name
	Runbook  string
	Pages    bool // its policy tells somebody
	Informs  bool // its policy informs somebody
}

// Options are the engine's bounds. The zero value of a field is its default,
// -1 turns it off.
type Options struct {
	Service       string
	IDs           string    // prefix that makes incident ids unique across lives
	Epoch         time.Time // wall time at zero, for people only
	Build         string    // what an approval is bound to beside the plan
	MaxConcurrent int       // 1
	MaxKeys       int       // 1000
	MaxRisk       remediate.Risk
	Budget        int           // 30
	BudgetWindow  time.Duration // 1 h
	Gate          bool          // ask the application before each step
	Fleet         bool          // a fleet grants permission for Peer and Shared
	UncleanEnds   int           // in a row, after which it is in safe mode; 3
	Durable       bool          // there is a journal: Records says what to write
}

// InputKind says what an [Input] reports.
type InputKind uint8

// The inputs.
const (
	// InLook: a detector answered. Started, Findings, Err.
	InLook InputKind = iota
	// InRan: Run returned, or timed out. Incident, Attempt, Try, Result, Err,
	// Abandoned.
	InRan
	// InVerified: Step.Verify returned. Incident, Attempt, Result, Err.
	InVerified
	// InUndone: Undo returned or timed out, or was not called (Result is Withdrawn).
	// Incident, Attempt, Err, Abandoned.
	InUndone
	// InReturned: a call that was abandoned has returned after all.
	// Watch, Key, Incident, Attempt.
	InReturned
	// InAbandoned: a call has ignored its context for long: people are told.
	// Incident, Watch, Key, Note (what call).
	InAbandoned
	// InSaved: Run saved a memo for Undo. Incident, Attempt, Memo.
	InSaved
	// InGathered: evidence was captured. Incident, Evidence.
	InGathered
	// InGated: the application's gate answered. Incident, Attempt, Err (nil: yes).
	InGated
	// InTilt: the supervisor is late, or the wall clock stepped. Note.
	InTilt
	// InAdd: a watch is added. Add.
	InAdd
	// InRemove: a watch is removed, owed undos first. Watch.
	InRemove
	// InHalt, InResume: the kill switch. By, Note.
	InHalt
	InResume
	// InSilence: Silence. InUnsilence: ID, By.
	InSilence
	InUnsilence
	// InAck: a person has taken it. Incident, By, Until.
	InAck
	// InApprove, InReject: a person answered a proposal. ID, By.
	InApprove
	InReject
	// InSafeMode: the process restarts again and again (On), or no longer. Note.
	InSafeMode
	// InDegraded: the journal takes no records (On), or takes them again. Note.
	InDegraded
	// InUntold: people were not told of Incident after all.
	InUntold
	// InStop: the supervisor shuts down.
	InStop
	// InTick: time has passed; for timers alone.
	InTick
)

// Result is how a call ended.
type Result uint8

// The results.
const (
	OK        Result = iota
	Skip             // ErrSkip
	Escalate         // ErrEscalate
	Fail             // any other error, a panic or a time-out
	Withdrawn        // it was not called: something forbade it between its decision and its call
)

// An Input is something that became known. Which fields count depends on Kind.
type Input struct {
	Kind     InputKind
	Watch    string
	Key      string
	Incident string
	Attempt  int
	Try      int

	Started   At
	Findings  []detect.Finding
	Err       error
	Result    Result
	Abandoned bool

	Memo     []byte
	Evidence []escalate.Evidence
	Add      *Watch
	Silence  *Silence
	ID       string
	By       string
	Note     string
	Until    At
	On       bool
}

// DecisionKind says what a [Decision] asks of the shell.
type DecisionKind uint8

// The decisions.
const (
	// DoLook: ask the detector of Watch now.
	DoLook DecisionKind = iota
	// DoGate: ask the application; answer with InGated.
	DoGate
	// DoRun: run the step; answer with InRan. Gather says that evidence comes first.
	DoRun
	// DoVerify: ask Step.Verify; answer with InVerified.
	DoVerify
	// DoUndo: undo the step; answer with InUndone to AnswerTo.
	DoUndo
	// DoTell: hand Notice to the policy of the watches in Watches.
	DoTell
	// DoEmit: Event happened.
	DoEmit
	// DoEngage: post every look of Watch (On), or only those with findings.
	DoEngage
	// DoMute: stop levels and repeats of Incident (On), or let them go on.
	DoMute
	// DoRemoved: the watch is gone; nothing of it is owed.
	DoRemoved
	// DoReply: the answer to the person who asked; Err nil is yes.
	DoReply
)

// A Decision is something to be done, in the order given.
type Decision struct {
	Kind  DecisionKind
	Watch string
	On    bool

	// For DoGate, DoRun, DoVerify, DoUndo.
	Incident string
	Key      string
	Step     int // index in the playbook
	Attempt  int
	Try      int
	Finding  detect.Finding
	Memo     []byte
	Gather   bool
	Snapshot *escalate.Incident // where Gather, and for DoGate
	// AnswerTo is the incident to which an InUndone belongs: a shared measure
	// is undone for whoever let go last under the identity of who took it.
	AnswerTo, AnswerKey string
	AnswerAttempt       int

	Notice *Notice
	Event  Event
	Err    error
}

// A Notice is something that people are owed.
type Notice struct {
	Kind     escalate.Kind
	Inform   bool // for Policy.Inform alone
	DedupKey string
	Watches  []string // whose policies; several for a shared cause
	Fallback bool     // where those watches are gone, the policy of the options
	Incident escalate.Incident
}

// EventKind says what happened in an [Event].
type EventKind uint8

// The events.
const (
	EvFound EventKind = iota // a finding is pending
	EvBlip                   // it vanished while pending
	EvOpen
	EvHold
	EvRelease // nothing holds it any longer
	EvStart   // a rung begins
	EvStep    // an attempt ended
	EvWould
	EvAsk
	EvUndo
	EvPage
	EvInform
	EvResolve
	EvClose
	EvBlind
	EvSight // it sees again
	EvTilt
	EvCalm
	EvStorm
	EvStormOver
	EvHalt
	EvResume
	EvSilence
	EvUnsilence
	EvAck
	EvApprove
	EvReject
	EvBreaker // it opened
	EvDrop    // keys were folded
	EvSafeMode
	EvSafeModeOver
	EvDegraded // the journal takes no records
	EvRecovered
)

// An Event is something that happened, for observers, logs and timelines.
type Event struct {
	Kind     EventKind
	At       At
	Watch    string
	Key      string
	Incident string
	Finding  detect.Finding
	Step     string
	Attempt  remediate.Attempt
	Number   int // of the attempt
	Rail     remediate.Rail
	Why      string
	Reason   escalate.Reason
	Err      error
	By       string
	ID       string // of a silence or a proposal
	Duration time.Duration
	Again    bool // EvOpen: the same incident once more
	Healed   bool // EvClose: a step did it, and nobody was called
}
