package remediate

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Validate returns everything that is wrong with the playbook, its steps and
// its limits, each with what to do about it, and nil when nothing is. It calls
// no user code. What depends on the watch is checked by the supervisor.
func (p Playbook) Validate() []error {
	var errs []error
	if why := badName(p.Name); p.Name != "" && why != "" {
		errs = append(errs, fmt.Errorf("playbook %q: its name %s", p.Name, why))
	}
	first := make(map[string]int, len(p.Steps))
	for i, s := range p.Steps {
		for _, err := range s.Validate() {
			if s.Name == "" {
				err = fmt.Errorf("rung %d: %w", i+1, err)
			}
			errs = append(errs, err)
		}
		if s.Name == "" {
			continue
		}
		if at, taken := first[s.Name]; taken {
			errs = append(errs, fmt.Errorf("step %q: rungs %d and %d have the same name: rename one, since history and keys go by it", s.Name, at, i+1))
			continue
		}
		first[s.Name] = i + 1
	}
	return append(errs, p.Limits.Validate()...)
}

// Validate returns everything that is wrong with the step, each with what to
// do about it, and nil when nothing is.
func (s Step) Validate() []error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("step %q: "+format, append([]any{s.Name}, args...)...))
	}
	switch why := badName(s.Name); {
	case s.Name == "":
		bad("has no name: give it one that is unique in its playbook")
	case why != "":
		bad("its name %s", why)
	case strings.Contains(s.Name, "/"):
		bad("its name contains a slash, which separates the parts of an idempotency key: use a dash")
	}
	if s.Run == nil {
		bad("has no Run: set what the step does")
	}
	switch {
	case s.Undo != nil && s.Lasting:
		bad("has an Undo and is Lasting: drop Lasting if the measure is temporary, drop Undo if it is not")
	case s.Undo == nil && !s.Lasting && s.Risk.AboveSafe():
		bad("is %v and has neither Undo nor Lasting: set Undo, or Lasting if it leaves nothing to put back, or Risk: Safe if nobody can notice it", s.Risk)
	}
	if s.Measure != "" {
		if why := badName(s.Measure); why != "" {
			bad("Measure %q %s", s.Measure, why)
		}
		if s.Undo == nil {
			bad("shares the measure %q without an Undo: set Undo, which runs when its last holder lets go, or drop Measure", s.Measure)
		}
	}
	if s.Settle < 0 {
		bad("Settle is %v: use the time that the fix needs to show, or 0 for the default", s.Settle)
	}
	if s.Timeout < 0 {
		bad("Timeout is %v: use the bound of one try, or 0 for %v", s.Timeout, defaultTimeout)
	}
	for _, err := range s.Retry.Validate() {
		bad("%w", err)
	}
	if s.Scope > Shared {
		bad("has an unknown %v: use Self, Host, Peer or Shared", s.Scope)
	}
	if s.Risk > Destructive {
		bad("has an unknown %v: use Safe, Disruptive or Destructive", s.Risk)
	}
	return errs
}

// Validate returns everything that is wrong with the limits, each with what to
// do about it, and nil when nothing is.
func (l Limits) Validate() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("limits: "+format, args...)) }
	if l.Cooldown < 0 && l.Cooldown != -1 {
		bad("Cooldown is %v: use a duration, 0 for %v, or -1 for none", l.Cooldown, defaultCooldown)
	}
	if why := badName(l.Exclusive); l.Exclusive != "" && why != "" {
		bad("Exclusive %q %s", l.Exclusive, why)
	}
	if l.Breaker.Failures < -1 {
		bad("Breaker.Failures is %d: use a count, 0 for %d, or -1 to turn the breaker off", l.Breaker.Failures, defaultFailures)
	}
	if l.Heals.N < -1 {
		bad("Heals.N is %d: use a count, 0 for %d, or -1 to turn it off", l.Heals.N, defaultHeals)
	}
	for _, w := range []struct {
		name     string
		is, want time.Duration
	}{
		{"Breaker.Within", l.Breaker.Within, defaultBreakerWithin},
		{"Breaker.OpenFor", l.Breaker.OpenFor, defaultOpenFor},
		{"Heals.Within", l.Heals.Within, defaultHealsWithin},
	} {
		if w.is < 0 {
			bad("%s is %v: use a duration, or 0 for %v", w.name, w.is, w.want)
		}
	}
	return errs
}

// badName says why a name cannot stand in a key, a log line or a timeline.
// "" is not bad: whether a name is needed is for the caller to say.
func badName(name string) string {
	if !utf8.ValidString(name) {
		return "is not valid UTF-8: use plain letters, digits and dashes"
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("contains %q, which breaks or blurs the lines that show it: remove it", r)
		}
	}
	if strings.TrimSpace(name) != name {
		return "begins or ends with a space: remove it"
	}
	return ""
}
