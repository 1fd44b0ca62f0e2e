package detect_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// script is a detector that answers what the test wants.
type script struct {
	found []detect.Finding
	err   error
	asked int
	wake  func()
	wrong error
}

func (s *script) Detect(context.Context) ([]detect.Finding, error) { s.asked++; return s.found, s.err }
func (s *script) OnWake(wake func())                               { s.wake = wake }
func (s *script) Validate() error                                  { return s.wrong }

func sick(keys ...string) *script {
	s := &script{}
	for _, k := range keys {
		s.found = append(s.found, detect.Finding{Key: k, Summary: k + " is sick"})
	}
	return s
}

func healthy() *script { return &script{} }

func unsure(keys ...string) *script {
	s := sick(keys...)
	s.err = errDark
	return s
}

var errDark = errors.New("dark")

// outcome is findings and blindness in one line: "a b", "a + blind", "".
func outcome(t *testing.T, d detect.Detector) string {
	t.Helper()
	found, err := d.Detect(context.Background())
	out := ""
	for i, f := range found {
		if i > 0 {
			out += " "
		}
		if f.Key == "" {
			out += "whole"
		}
		out += f.Key
	}
	if err != nil {
		if out != "" {
			out += " + "
		}
		out += "blind"
		require.ErrorIs(t, err, errDark)
	}
	return out
}

func TestAnyAndAllTruthTable(t *testing.T) {
	for _, c := range []struct {
		name     string
		of       []detect.Detector
		any, all string
	}{
		{"healthy", []detect.Detector{healthy(), healthy()}, "", ""},
		{"one sick", []detect.Detector{sick("a"), healthy()}, "a", ""},
		{"both sick", []detect.Detector{sick("a"), sick("a")}, "a", "a"},
		{"different keys", []detect.Detector{sick("b"), sick("a")}, "a b", ""},
		{"common key", []detect.Detector{sick("b", "c"), sick("a", "b")}, "a b c", "b"},
		{"the whole agrees", []detect.Detector{sick(""), sick("a", "b")}, "whole a b", "a b"},
		{"whole and whole", []detect.Detector{sick(""), sick("")}, "whole", "whole"},
		{"blind and healthy", []detect.Detector{unsure(), healthy()}, "blind", ""},
		{"blind and sick", []detect.Detector{unsure(), sick("a")}, "a + blind", "blind"},
		{"both blind", []detect.Detector{unsure(), unsure()}, "blind", "blind"},
		{"named beside blind", []detect.Detector{unsure("a"), sick("a")}, "a + blind", "a"},
		{"named and unnamed", []detect.Detector{unsure("a"), sick("a", "b")}, "a b + blind", "a + blind"},
		{"named by one, refuted by the other", []detect.Detector{unsure("a"), sick("b")}, "a b + blind", "blind"},
		{"blind, sick, healthy", []detect.Detector{unsure(), sick("a"), healthy()}, "a + blind", ""},
		{"all named, all blind", []detect.Detector{unsure("a"), unsure("a")}, "a + blind", "a + blind"},
		{"one", []detect.Detector{sick("a")}, "a", "a"},
		{"ten", []detect.Detector{sick("a"), sick("a"), sick("a"), sick("a"), sick("a"), sick("a"), sick("a"), sick("a"), sick("a"), sick("a")}, "a", "a"},
	} {
		assert.Equal(t, c.any, outcome(t, detect.Any(detect.AnyOptions{Detectors: c.of})), "Any: %s", c.name)
		assert.Equal(t, c.all, outcome(t, detect.All(detect.AllOptions{Detectors: c.of})), "All: %s", c.name)
	}
}

func TestAllAsksEverybodyEveryTime(t *testing.T) {
	a, b := healthy(), sick("x")
	outcome(t, detect.All(detect.AllOptions{Detectors: []detect.Detector{a, b}}))
	assert.Equal(t, 1, b.asked, "trends need each reading")
}

func TestAnyAndAllJoinWhatIsSaid(t *testing.T) {
	a := &script{found: []detect.Finding{{
		Key: "q", Summary: "deep", Value: 9, Limit: 5, Unit: "jobs",
		Labels: map[string]string{"from": "a"}, Evidence: []slog.Attr{slog.Int("a", 1)},
	}}}
	b := &script{found: []detect.Finding{{
		Key: "q", Summary: "slow", Value: 3, Limit: 1, Unit: "s", Severity: detect.Critical,
		Labels: map[string]string{"from": "b", "team": "x"}, Evidence: []slog.Attr{slog.Int("b", 2)},
	}}}
	of := []detect.Detector{a, b}
	assert.Equal(t, detect.Finding{
		Key: "q", Summary: "slow; deep", Value: 3, Limit: 1, Unit: "s", Severity: detect.Critical,
		Labels: map[string]string{"from": "b", "team": "x"}, Evidence: []slog.Attr{slog.Int("b", 2), slog.Int("a", 1)},
	}, one(t, detect.Any(detect.AnyOptions{Detectors: of})))
	assert.Equal(t, detect.Finding{
		Key: "q", Summary: "deep and slow", Value: 9, Limit: 5, Unit: "jobs", Severity: detect.Warning,
		Labels: map[string]string{"from": "a", "team": "x"}, Evidence: []slog.Attr{slog.Int("a", 1), slog.Int("b", 2)},
	}, one(t, detect.All(detect.AllOptions{Detectors: of})))
	assert.Equal(t, "deep", a.found[0].Summary, "what is another's is not changed")
	assert.Len(t, a.found[0].Labels, 1)
}

func TestAnyLeavesTheInnerAnswersAlone(t *testing.T) {
	roomy := append(make([]detect.Finding, 0, 4), detect.Finding{Key: "z"})
	a := &script{found: roomy}
	assert.Equal(t, "a z", outcome(t, detect.Any(detect.AnyOptions{Detectors: []detect.Detector{a, sick("a")}})))
	assert.Equal(t, "z", roomy[0].Key)
	assert.Empty(t, roomy[:2][1].Key)
}

func TestCombinatorsPassThrough(t *testing.T) {
	inner := &script{wrong: errors.New("inner mistake")}
	deaf := detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil })
	for _, d := range []detect.Detector{
		detect.Any(detect.AnyOptions{Detectors: []detect.Detector{deaf, inner}}),
		detect.All(detect.AllOptions{Detectors: []detect.Detector{deaf, inner}}),
		detect.Confirm(detect.ConfirmOptions{Detector: inner}),
		detect.Any(detect.AnyOptions{Detectors: []detect.Detector{detect.Confirm(detect.ConfirmOptions{Detector: inner})}}),
	} {
		woken := 0
		d.(detect.Waker).OnWake(func() { woken++ })
		inner.wake()
		assert.Equal(t, 1, woken)
		d.(detect.Waker).OnWake(nil)
		assert.Nil(t, inner.wake)
		assert.ErrorIs(t, d.(detect.Validator).Validate(), inner.wrong)
	}
	detect.Confirm(detect.ConfirmOptions{Detector: deaf}).(detect.Waker).OnWake(func() {})
}

func TestCombinatorsValidate(t *testing.T) {
	assert.Contains(t, invalid(t, detect.Any(detect.AnyOptions{})), "Any has no detectors")
	assert.Contains(t, invalid(t, detect.All(detect.AllOptions{})), "All has no detectors")
	assert.Contains(t, invalid(t, detect.All(detect.AllOptions{Detectors: []detect.Detector{nil}})), "detector 1 of All")
	assert.Contains(t, invalid(t, detect.Any(detect.AnyOptions{Detectors: []detect.Detector{healthy(), nil}})), "detector 2 of Any")
	for want, o := range map[string]detect.ConfirmOptions{
		"no detector": {},
		"4 of 3":      {Detector: healthy(), N: 4, Of: 3},
		"0 of 3":      {Detector: healthy(), Of: 3},
		"-1 of 3":     {Detector: healthy(), N: -1, Of: 3},
		"2 of 65":     {Detector: healthy(), N: 2, Of: 65},
	} {
		assert.Contains(t, invalid(t, detect.Confirm(o)), want)
	}
}
