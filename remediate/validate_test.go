package remediate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSoundPlaybooks(t *testing.T) {
	for name, p := range map[string]Playbook{
		"empty":      {},
		"full":       full(),
		"safe":       Ladder(Step{Name: "a", Run: noop, Risk: Safe}),
		"lasting":    Ladder(Step{Name: "a", Run: noop, Lasting: true}),
		"undo":       Ladder(Step{Name: "a", Run: noop, Undo: noop}),
		"off":        {Limits: Limits{Cooldown: -1, Breaker: Breaker{Failures: -1}, Heals: Heals{N: -1}}},
		"foreign":    Ladder(Step{Name: "größer machen: α 修復", Run: noop, Lasting: true, Scope: Shared, Risk: Destructive}),
		"with slash": {Name: "orders/queue", Limits: Limits{Exclusive: "db/main"}},
	} {
		t.Run(name, func(t *testing.T) { require.Empty(t, p.Validate()) })
	}
}

func TestMistakes(t *testing.T) {
	step := func(change func(*Step)) Playbook {
		s := Step{Name: "shed", Run: noop, Undo: noop}
		change(&s)
		return Ladder(s)
	}
	limits := func(l Limits) Playbook { return Playbook{Limits: l} }
	for want, p := range map[string]Playbook{
		`step "": has no name: give it one`:                             step(func(s *Step) { s.Name = "" }),
		`rung 1: step ""`:                                               step(func(s *Step) { s.Name = "" }),
		`contains a slash`:                                              step(func(s *Step) { s.Name = "a/b" }),
		`contains '\n'`:                                                 step(func(s *Step) { s.Name = "a\nb" }),
		`contains '\x00'`:                                               step(func(s *Step) { s.Name = "a\x00" }),
		`contains '\u2028'`:                                             step(func(s *Step) { s.Name = "a\u2028b" }),
		`contains '\u200b'`:                                             step(func(s *Step) { s.Name = "a\u200bb" }),
		`is not valid UTF-8`:                                            step(func(s *Step) { s.Name = "a\xff" }),
		`begins or ends with a space`:                                   step(func(s *Step) { s.Name = "a " }),
		`has no Run: set what the step does`:                            step(func(s *Step) { s.Run = nil }),
		`is disruptive and has neither Undo nor Lasting`:                step(func(s *Step) { s.Undo = nil }),
		`is destructive and has neither`:                                step(func(s *Step) { s.Undo = nil; s.Risk = Destructive }),
		`has an Undo and is Lasting`:                                    step(func(s *Step) { s.Lasting = true }),
		`Measure "a\n" contains`:                                        step(func(s *Step) { s.Measure = "a\n" }),
		`shares the measure "m" without an Undo`:                        step(func(s *Step) { s.Measure, s.Undo, s.Lasting = "m", nil, true }),
		`Settle is -1s`:                                                 step(func(s *Step) { s.Settle = -time.Second }),
		`Timeout is -1ns: use the bound of one try, or 0 for 30s`:       step(func(s *Step) { s.Timeout = -1 }),
		`step "shed": retry: Tries is -3`:                               step(func(s *Step) { s.Retry.Tries = -3 }),
		`unknown scope(4): use Self, Host, Peer or Shared`:              step(func(s *Step) { s.Scope = 4 }),
		`unknown risk(9)`:                                               step(func(s *Step) { s.Risk = 9 }),
		`step "a": rungs 1 and 3 have the same name`:                    Ladder(Step{Name: "a", Run: noop, Risk: Safe}, Step{Name: "b", Run: noop, Risk: Safe}, Step{Name: "a", Run: noop, Risk: Safe}),
		`playbook "x\n": its name contains`:                             {Name: "x\n"},
		`limits: Cooldown is -2ns: use a duration, 0 for 5m0s, or -1`:   limits(Limits{Cooldown: -2}),
		`limits: Exclusive "\t" contains`:                               limits(Limits{Exclusive: "\t"}),
		`limits: Breaker.Failures is -2`:                                limits(Limits{Breaker: Breaker{Failures: -2}}),
		`limits: Breaker.Within is -1ns: use a duration, or 0 for 1h0m`: limits(Limits{Breaker: Breaker{Within: -1}}),
		`limits: Breaker.OpenFor is -1ns`:                               limits(Limits{Breaker: Breaker{OpenFor: -1}}),
		`limits: Heals.N is -2`:                                         limits(Limits{Heals: Heals{N: -2}}),
		`limits: Heals.Within is -1ns`:                                  limits(Limits{Heals: Heals{Within: -1}}),
	} {
		t.Run(want, func(t *testing.T) {
			errs := p.Validate()
			require.Len(t, errs, 1, "%v", errs)
			require.ErrorContains(t, errs[0], want)
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	p := Playbook{
		Name:   "a\nb",
		Steps:  []Step{{}, {Name: "x/y", Settle: -1, Timeout: -1, Scope: 77, Risk: 77, Measure: "m", Retry: Backoff{Tries: -1, Jitter: 2}}},
		Limits: Limits{Cooldown: -5, Breaker: Breaker{Failures: -5}, Heals: Heals{N: -5}},
	}
	errs := p.Validate()
	require.Len(t, errs, 1+3+10+3, "%v", errors.Join(errs...))
	for _, err := range errs {
		require.NotContains(t, err.Error(), "\n", "one line each")
		require.GreaterOrEqual(t, strings.Count(err.Error(), ":"), 1, "%v says what to do", err)
	}
}

// Whatever is wrong, checking and listing work.
func FuzzValidate(f *testing.F) {
	f.Add("scale", "shed\n", int64(-1), uint8(9))
	f.Fuzz(func(t *testing.T, a, b string, n int64, w uint8) {
		p := Playbook{Name: a, Steps: []Step{{Name: a, Measure: b, Settle: time.Duration(n), Risk: Risk(w), Scope: Scope(w)}, {Name: b}}, Limits: Limits{Cooldown: time.Duration(n), Exclusive: b}}
		require.NotEmpty(t, p.Validate())
		require.Equal(t, 4, strings.Count(p.String(), "\n"), "%s", p)
		p.Describe()
	})
}
