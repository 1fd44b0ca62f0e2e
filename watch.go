package selfheal

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Watch is a detector, a playbook and an escalation policy under a name. It
// is plain data: what it needs at run time it gets as arguments.
type Watch struct {
	// Name is unique in the supervisor. Slashes are welcome: "orders/queue-depth".
	Name string
	// Detector says whether something is wrong.
	Detector detect.Detector
	// Playbook is what is tried. Empty: detect and escalate only.
	Playbook remediate.Playbook
	// Escalate says who is told. Empty: Options.Escalate.
	Escalate escalate.Policy
	// Every is the interval between looks. 0: Options.Every.
	Every time.Duration
	// Timeout bounds one look; one that takes longer counts as blind. 0: 10 s.
	Timeout time.Duration
	// For is how long a finding must last before anything is done. 0: at once
	// where the first step is Safe, else confirmed by a second look 100 ms later.
	For time.Duration
	// KeepFor is how long a key must be well before temporary measures are
	// undone and the incident is closed. 0: 1 min; -1: none, which is a mistake
	// beside a step with an Undo.
	KeepFor time.Duration
	// After names watches whose faults are causes of this one's: as long as one
	// of them has an open incident, this one is held, and named in their notices
	// instead of calling people itself.
	After []string
	// Mode is how far the watch may go on its own; the more careful of this and
	// Options.Mode holds.
	Mode Mode
	// Runbook is the address of a page for the person who is called.
	Runbook string
	// Evidence is captured before the first step and before every step above
	// Safe, all together within 2 s.
	Evidence []escalate.Gatherer
}

// A Module is a set of watches to share. Installed, they are named
// "module/watch".
type Module struct {
	Name, Version string
	Watches       []Watch
}

// Mode is how far a watch may go on its own. The larger is the more careful.
type Mode uint8

// The modes.
const (
	Auto    Mode = iota // acts
	Propose             // asks a person before each step above Safe
	Shadow              // tells people as if its playbook were empty, and writes what it would do
	Off                 // does not even look
)

var modeNames = []string{"auto", "propose", "shadow", "off"}

// String returns "auto", "propose", "shadow" or "off".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// MarshalText makes a mode readable in JSON and logs.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, n := range modeNames {
		if n == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("selfheal: unknown mode %q: use one of %q", text, modeNames)
}

// config is the watch as the engine sees it, with every default resolved.
func (w *Watch) config(o *Options) incident.Watch {
	policy := w.Escalate
	if policy.Empty() {
		policy = o.Escalate
	}
	c := incident.Watch{
		Name: w.Name, Every: w.every(o), For: w.For, KeepFor: w.KeepFor, After: w.After,
		Mode: incident.Mode(max(w.Mode, o.Mode)), Playbook: w.Playbook, Runbook: w.Runbook,
		Pages: policy.Pages(), Informs: len(policy.Inform) > 0,
	}
	c.Lag, _ = lagOf(w.Detector)
	for _, s := range w.Playbook.Steps {
		if o.disabled(w.Name, s.Name) {
			if c.Disabled == nil {
				c.Disabled = map[string]bool{}
			}
			c.Disabled[s.Name] = true
		}
	}
	if w.For == 0 && !w.startsSafe(c.Disabled) {
		c.For, c.Confirm = confirmAfter, true
	}
	switch {
	case w.KeepFor == 0:
		c.KeepFor = defaultKeepFor
	case w.KeepFor < 0:
		c.KeepFor = 0
	}
	return c
}

// startsSafe says whether the first step that may run is Safe.
func (w *Watch) startsSafe(disabled map[string]bool) bool {
	for _, s := range w.Playbook.Steps {
		if !disabled[s.Name] {
			return !s.Risk.AboveSafe()
		}
	}
	return false
}

func (w *Watch) every(o *Options) time.Duration {
	switch {
	case w.Every > 0:
		return w.Every
	case o.Every > 0:
		return o.Every
	}
	return defaultEvery
}

func (w *Watch) timeout() time.Duration {
	if w.Timeout > 0 {
		return w.Timeout
	}
	return defaultTimeout
}
