package selfheal

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/evidence"
	"github.com/selfheal-go/selfheal/remediate"
)

// Defaults and fixed bounds; the fields and rails that they belong to name them.
const (
	defaultEvery   = time.Second
	defaultTimeout = 10 * time.Second
	defaultKeepFor = time.Minute
	defaultGrace   = 10 * time.Second
	confirmAfter   = 100 * time.Millisecond
	actionTimeout  = 30 * time.Second
	gateTimeout    = 10 * time.Second
	gatherBudget   = 2 * time.Second
	observeTimeout = 10 * time.Second
	// overdue is how long after its timeout a call is taken for one that
	// ignores its context; abandonAfter is when people are told of it.
	overdue      = 100 * time.Millisecond
	abandonAfter = 5 * time.Second
	// maxMemo bounds what Run saves for Undo: it is kept for as long as that is
	// owed, and written with each change of its incident.
	maxMemo = 64 << 10
	// stopSlack is how much longer than Grace Run takes at most.
	stopSlack = 2 * time.Second
)

// Options configure a [Supervisor]. The zero value runs, once each watch has
// somebody to tell.
type Options struct {
	// Service is named in notices.
	Service string
	// Logger gets what happens. nil: slog.Default.
	Logger *slog.Logger
	// Tracer gets one trace an incident. nil: none.
	Tracer trace.TracerProvider
	// Secrets are hidden wherever they appear in what leaves the supervisor: logs,
	// notices, the journal, the status and the console. What looks like a credential
	// is hidden without being named here. Fewer than 4 bytes are not looked for.
	Secrets []detect.Secret
	// Every is the interval of watches that do not say. 0: 1 s.
	Every time.Duration
	// Escalate is the policy of watches that have none. Where it is empty too, a
	// watch without a policy is a mistake: it could end in silence. escalate.To
	// and escalate.Log are enough to begin with.
	Escalate escalate.Policy
	// DeadMan is a sign of life for somebody outside who calls people when it
	// stays away. Zero: off.
	DeadMan escalate.DeadMan
	// MaxConcurrent is how many steps above Safe may be under way at once, from
	// the start of Run to the verdict. 0: 1. -1: no bound.
	MaxConcurrent int
	// MaxChecks bounds the goroutines that run checks. 0: 512.
	MaxChecks int
	// MaxRisk is the largest risk that may run unattended; above it a person is
	// asked, and no answer within 15 min is a no. 0: Disruptive.
	MaxRisk remediate.Risk
	// Mode is a cap: the more careful of this and Watch.Mode holds.
	Mode Mode
	// Disable vetoes by name: a watch ("redis/memory"), one of its steps
	// ("redis/memory/unlink"), or every step of a name ("unlink").
	Disable []string
	// Gate is asked before each step. An error is a no, and asked again at each
	// look; a panic or 10 s without an answer is a no too. nil: no gate.
	Gate func(context.Context, Proposal) error
	// Fleet grants permission for steps that reach further than this process.
	// nil: such steps are held, and people are told.
	Fleet remediate.Fleet
	// Journal keeps what must survive a crash: limits, halts, silences, attempts,
	// what is owed. nil: memory, which the log says once. One supervisor uses it.
	Journal *Journal
	// Systemd tells the service manager how the process is, where it asks
	// (Type=notify, NOTIFY_SOCKET): READY=1 once the watches are started,
	// WATCHDOG=1 as long as the supervisor's loop turns, STOPPING=1 at the end. Leave
	// it false where the application says so itself.
	Systemd bool
	// Grace is how long running steps and owed undos get at shutdown, before
	// their context is cancelled with remediate.ErrStopping. Run returns 2 s
	// after that at the latest. 0: 10 s.
	Grace time.Duration
	// Strict makes Run return wiring mistakes instead of starting the sound
	// watches.
	Strict bool
	// Observer gets every event, in order.
	Observer Observer
	// Evidence is what is captured of an incident before its first step and before
	// every step above Safe, and when people are called without any, besides
	// Watch.Evidence: see package evidence. The step waits for it, for 2 s at most.
	// The zero value captures what evidence.Default does; its Store is the directory
	// beside the journal that has its name and -evidence (64 MiB, seven days), or
	// memory where there is no journal (16 MiB). Incidents within 10 s of each other share a capture where the step is
	// Safe. Evidence.Off: nothing. A test of selfhealtest captures only where Store
	// is set.
	Evidence evidence.Options
	// Console configures Handler.
	Console ConsoleOptions
}

// A Proposal is a step that is about to run: what a gate decides on and what a
// person approves.
type Proposal struct {
	ID       string          `json:"id,omitempty"` // what Approve and Reject take; "" for a gate
	Incident string          `json:"incident"`
	Watch    string          `json:"watch"`
	Key      string          `json:"key,omitempty"`
	Step     string          `json:"step"`
	Attempt  int             `json:"attempt"`
	Risk     remediate.Risk  `json:"risk"`
	Scope    remediate.Scope `json:"scope"`
	Finding  detect.Finding  `json:"-"`
	// Fingerprint is the plan that an approval is bound to.
	Fingerprint string    `json:"fingerprint,omitempty"`
	Expires     time.Time `json:"expires,omitzero"` // then it is a no; zero for a gate
}

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

func (o *Options) grace() time.Duration {
	if o.Grace == 0 {
		return defaultGrace
	}
	return max(o.Grace, 0)
}

// disabled says whether a step is vetoed by name.
func (o *Options) disabled(watch, step string) bool {
	for _, d := range o.Disable {
		if d == step || d == watch+"/"+step {
			return true
		}
	}
	return false
}

func (o *Options) disabledWatch(watch string) bool {
	for _, d := range o.Disable {
		if d == watch {
			return true
		}
	}
	return false
}
