package remediate

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// A Description is a playbook without its functions and with its defaults
// filled in: for consoles, linters and diffs. Durations are in seconds.
type Description struct {
	Name        string            `json:"name,omitempty"`
	Fingerprint string            `json:"fingerprint"` // of the playbook as it was written
	Steps       []StepDescription `json:"steps"`       // never null
	Limits      LimitsDescription `json:"limits"`
}

// A StepDescription is a [Step] without its functions.
type StepDescription struct {
	Name     string  `json:"name"`
	Run      bool    `json:"run"`    // whether it is set
	Undo     bool    `json:"undo"`   // whether it is set
	Verify   bool    `json:"verify"` // whether it is set
	Lasting  bool    `json:"lasting"`
	Measure  string  `json:"measure,omitempty"`
	Scope    Scope   `json:"scope"`
	Risk     Risk    `json:"risk"`
	Settle   float64 `json:"settle_seconds"` // 0: twice the interval of its watch, at least 1 s
	Timeout  float64 `json:"timeout_seconds"`
	Tries    int     `json:"tries"`
	Pause    float64 `json:"pause_seconds,omitempty"` // after the first try; this and the next three only where there are more
	PauseMax float64 `json:"pause_max_seconds,omitempty"`
	Growth   float64 `json:"pause_multiplier,omitempty"`
	Jitter   float64 `json:"pause_jitter,omitempty"`
}

// A LimitsDescription is a [Limits] in which 0 means that the limit is off.
type LimitsDescription struct {
	Cooldown        float64 `json:"cooldown_seconds"`
	Exclusive       string  `json:"exclusive,omitempty"`
	BreakerFailures int     `json:"breaker_failures"`
	BreakerWithin   float64 `json:"breaker_within_seconds"`
	BreakerOpenFor  float64 `json:"breaker_open_seconds"`
	HealsN          int     `json:"heals"`
	HealsWithin     float64 `json:"heals_within_seconds"`
}

// Describe returns the playbook as plain data.
func (p Playbook) Describe() Description {
	d := Description{
		Name:        p.Name,
		Fingerprint: p.Fingerprint(),
		Steps:       make([]StepDescription, 0, len(p.Steps)),
		Limits:      p.Limits.describe(),
	}
	for _, s := range p.Steps {
		d.Steps = append(d.Steps, s.Describe())
	}
	return d
}

// Describe returns the step as plain data.
func (s Step) Describe() StepDescription {
	s = s.Effective(0)
	d := StepDescription{
		Name: s.Name, Run: s.Run != nil, Undo: s.Undo != nil, Verify: s.Verify != nil,
		Lasting: s.Lasting, Measure: s.Measure, Scope: s.Scope, Risk: s.Risk,
		Settle: s.Settle.Seconds(), Timeout: s.Timeout.Seconds(), Tries: s.Retry.Tries,
	}
	if d.Tries > 1 {
		d.Pause, d.PauseMax = s.Retry.Initial.Seconds(), s.Retry.Max.Seconds()
		d.Growth, d.Jitter = s.Retry.Multiplier, s.Retry.Jitter
	}
	return d
}

func (l Limits) describe() LimitsDescription {
	l = l.Effective()
	d := LimitsDescription{Cooldown: max(l.Cooldown, 0).Seconds(), Exclusive: l.Exclusive}
	if l.Breaker.Failures > 0 {
		d.BreakerFailures = l.Breaker.Failures
		d.BreakerWithin, d.BreakerOpenFor = l.Breaker.Within.Seconds(), l.Breaker.OpenFor.Seconds()
	}
	if l.Heals.N > 0 {
		d.HealsN, d.HealsWithin = l.Heals.N, l.Heals.Within.Seconds()
	}
	return d
}

// String lists the ladder for people, a line for each rung and one for the
// limits, with the defaults filled in.
func (p Playbook) String() string {
	var b strings.Builder
	b.WriteString("playbook")
	if p.Name != "" {
		b.WriteString(" " + shown(p.Name))
	}
	if len(p.Steps) == 0 {
		b.WriteString(": no steps, detect and escalate only\n")
		return b.String()
	}
	b.WriteString(":\n")
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "  %d. %v\n", i+1, s)
	}
	fmt.Fprintf(&b, "  limits: %v\n", p.Limits)
	return b.String()
}

// String is the step on one line, with the defaults filled in.
func (s Step) String() string {
	s = s.Effective(0)
	parts := []string{fmt.Sprintf("%s: %v, %v", shown(s.Name), s.Risk, s.Scope)}
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.Run == nil, "no run")
	add(s.Undo != nil, "undo")
	add(s.Lasting, "lasting")
	add(s.Measure != "", "measure %s", shown(s.Measure))
	add(s.Verify != nil, "own verify")
	add(s.Settle != 0, "settle %v", short(s.Settle))
	add(true, "timeout %v", short(s.Timeout))
	add(s.Retry.Tries > 1, "%v", s.Retry)
	return strings.Join(parts, ", ")
}

// String is the limits on one line, with the defaults filled in.
func (l Limits) String() string {
	l = l.Effective()
	parts := make([]string, 0, 4)
	add := func(on bool, name, format string, args ...any) {
		if on {
			parts = append(parts, name+" "+fmt.Sprintf(format, args...))
			return
		}
		parts = append(parts, "no "+name)
	}
	add(l.Cooldown > 0, "cooldown", "%v", short(l.Cooldown))
	add(l.Breaker.Failures > 0, "breaker", "at %d failed ladders in %v for %v", l.Breaker.Failures, short(l.Breaker.Within), short(l.Breaker.OpenFor))
	add(l.Heals.N > 0, "masking", "at %d heals in %v", l.Heals.N, short(l.Heals.Within))
	if l.Exclusive != "" {
		add(true, "exclusive", "%s", shown(l.Exclusive))
	}
	return strings.Join(parts, ", ")
}

// LogValue makes a playbook a short group in logs.
func (p Playbook) LogValue() slog.Value {
	names := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	return slog.GroupValue(
		slog.String("name", p.Name),
		slog.Any("steps", names),
		slog.String("limits", p.Limits.String()),
		slog.String("fingerprint", p.Fingerprint()),
	)
}

// LogValue makes a step one line in logs.
func (s Step) LogValue() slog.Value { return slog.StringValue(s.String()) }

// shown keeps a name that is a mistake from breaking the listing that shows it.
func shown(name string) string {
	if name == "" || badName(name) != "" {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// short drops the zero minutes and seconds of a round duration: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
