package selfheal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

type validating struct{ err error }

func (validating) Detect(context.Context) ([]detect.Finding, error) { return nil, nil }
func (v validating) Validate() error {
	if v.err == nil {
		panic("validate")
	}
	return v.err
}

// Every mistake is reported at once, each with the place where it was made and
// what to do.
func TestValidateReportsEveryMistakeAtOnce(t *testing.T) {
	ok := selfhealtest.Script()
	nothing := do(func() {})
	sound := func(w selfheal.Watch) selfheal.Watch {
		w.Detector = ok
		return w
	}
	s := selfheal.New(selfheal.Options{
		Escalate: escalate.To(&selfhealtest.Pager{}),
		Every:    -time.Second, Grace: -1, MaxConcurrent: -2, MaxChecks: -1, Mode: 9, MaxRisk: 9,
		Disable: []string{"no-such-watch", "twice"},
	})
	s.Watch(sound(selfheal.Watch{}))
	s.Watch(sound(selfheal.Watch{Name: "twice"}))
	s.Watch(sound(selfheal.Watch{Name: "twice"}))
	s.Watch(selfheal.Watch{Name: "no-detector"})
	s.Watch(selfheal.Watch{Name: "detector-says-no", Detector: validating{errors.New("the clear level is above the limit")}})
	s.Watch(selfheal.Watch{Name: "detector-panics", Detector: validating{}})
	s.Watch(selfheal.Watch{Name: "clear-above-limit", Detector: detect.Above(selfhealtest.NewGauge(1).Read, 5).ClearBelow(6)})
	s.Watch(sound(selfheal.Watch{Name: "negative", Every: -1, Timeout: -1, For: -1, KeepFor: -2}))
	s.Watch(sound(selfheal.Watch{Name: "unknown-mode", Mode: 9}))
	s.Watch(sound(selfheal.Watch{Name: "after-unknown", After: []string{"nobody"}}))
	s.Watch(sound(selfheal.Watch{Name: "a", After: []string{"b"}}), sound(selfheal.Watch{Name: "b", After: []string{"a"}}))
	s.Watch(sound(selfheal.Watch{Name: "self-cause", After: []string{"self-cause"}}))
	s.Watch(sound(selfheal.Watch{Name: "bracket[s]"}))
	s.Watch(sound(selfheal.Watch{Name: "steps", Playbook: remediate.Ladder(
		remediate.Step{Run: nothing, Lasting: true},
		remediate.Step{Name: "no-run", Lasting: true},
		remediate.Step{Name: "same", Run: nothing, Lasting: true},
		remediate.Step{Name: "same", Run: nothing, Lasting: true},
		remediate.Step{Name: "neither", Run: nothing},
		remediate.Step{Name: "negative", Run: nothing, Lasting: true, Settle: -1, Timeout: -1},
	)}))
	s.Watch(sound(selfheal.Watch{Name: "flaps", KeepFor: -1, Playbook: remediate.Ladder(remediate.Step{Name: "shed", Run: nothing, Undo: nothing})}))
	s.Watch(sound(selfheal.Watch{Name: "flaps-too", KeepFor: time.Millisecond, Playbook: remediate.Ladder(remediate.Step{Name: "shed", Run: nothing, Undo: nothing})}))
	s.Watch(sound(selfheal.Watch{Name: "informs-only", Escalate: escalate.Policy{Inform: []escalate.Notifier{&selfhealtest.Pager{}}}}))
	s.Watch(sound(selfheal.Watch{Name: "nil-notifier", Escalate: escalate.To(nil)}))
	s.Watch(sound(selfheal.Watch{Name: "nil-evidence", Evidence: []escalate.Gatherer{nil}}))
	s.Install(selfheal.Module{Name: "redis", Watches: []selfheal.Watch{sound(selfheal.Watch{Name: "memory"})}})
	s.Install(selfheal.Module{Name: "redis", Watches: []selfheal.Watch{sound(selfheal.Watch{Name: "lag"})}})
	s.Install(selfheal.Module{Watches: []selfheal.Watch{sound(selfheal.Watch{Name: "orphan"})}})

	err := s.Validate()
	var wiring *selfheal.WiringError
	require.ErrorAs(t, err, &wiring)
	var problem *selfheal.Problem
	require.ErrorAs(t, err, &problem)
	text := err.Error()
	for _, want := range []string{
		"Options.Every", "Options.Grace", "Options.MaxConcurrent", "Options.MaxChecks", "Options.Mode", "Options.MaxRisk", "no-such-watch",
		"has no name", "two watches have this name", "has no Detector", "clear level is above the limit", "Validate panicked", `"clear-above-limit"`,
		"Every is -1ns", "Timeout is -1ns", "For is -1ns", "KeepFor is -2ns", "its Mode is unknown", `After names "nobody"`,
		"a after b after a", "self-cause after self-cause", "bracket",
		"rung 1", "has no Run", "same name", "neither Undo nor Lasting", "Settle is -1ns", `step "negative": Timeout`,
		"KeepFor is -1 and step", "less than one interval", "informs and pages nobody", `"nil-notifier"`, "Evidence[0]",
		`two modules are named "redis"`, "a module has no name",
	} {
		require.Contains(t, text, want)
	}
	for _, p := range wiring.Problems {
		if strings.HasPrefix(p.What, "Options.") {
			continue
		}
		require.Regexp(t, `wiring_test\.go:\d+$`, p.Site, "%v", p)
		require.Contains(t, p.What, ":", "each says what to do: %v", p)
	}
	require.NotContains(t, text, `"twice", and there is no such`)
}

func TestAWatchThatNobodyWouldHearOfIsAMistake(t *testing.T) {
	s := selfheal.New(selfheal.Options{})
	s.Watch(selfheal.Watch{Name: "q", Detector: selfhealtest.Script()})
	require.ErrorContains(t, s.Validate(), "nobody would be told")

	s = selfheal.New(selfheal.Options{})
	s.Watch(selfheal.Watch{Name: "q", Detector: selfhealtest.Script(), Escalate: escalate.To(escalate.Log(nil))})
	require.NoError(t, s.Validate())
}

// A wiring mistake is not an outage: the sound watches start, the unsound ones
// are shown and people are told.
func TestRunStartsTheSoundWatchesAndTellsOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: escalate.To(pager)})
		s.Watch(selfheal.Watch{Name: "sound", Detector: selfhealtest.Script()}, selfheal.Watch{Name: "unsound"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		st := s.Status()
		require.Equal(t, "healthy", st.Watches[0].State)
		require.Equal(t, "invalid", st.Watches[1].State)
		require.Contains(t, st.Watches[1].Problems[0].What, "no Detector")
		require.Len(t, pager.Pages(), 1)
		require.Equal(t, escalate.Invalid, pager.Pages()[0].Incident.Reason)

		s.Watch(selfheal.Watch{Name: "late", Detector: selfhealtest.Script(), After: []string{"nobody"}})
		time.Sleep(time.Second)
		require.Len(t, pager.Pages(), 2, "also while it runs")
		cancel()
		require.NoError(t, <-done)
	})
}

func TestStrictRunReturnsTheMistakes(t *testing.T) {
	s := selfheal.New(selfheal.Options{Strict: true, Logger: quiet, Escalate: escalate.To(&selfhealtest.Pager{})})
	s.Watch(selfheal.Watch{Name: "unsound"})
	var wiring *selfheal.WiringError
	require.ErrorAs(t, s.Run(t.Context()), &wiring)
	require.Equal(t, "idle", s.Status().State)
}

// Names of a module's watches get its name, in After too.
func TestAfterWithinAModule(t *testing.T) {
	s := selfheal.New(selfheal.Options{Escalate: escalate.To(&selfhealtest.Pager{})})
	s.Install(selfheal.Module{Name: "m", Version: "v1", Watches: []selfheal.Watch{
		{Name: "cause", Detector: selfhealtest.Script()},
		{Name: "symptom", Detector: selfhealtest.Script(), After: []string{"cause"}},
	}})
	require.NoError(t, s.Validate())
	st := s.Status()
	require.Equal(t, "m/cause", st.Watches[0].Name)
	require.Equal(t, []selfheal.ModuleStatus{{Name: "m", Version: "v1", Watches: 2}}, st.Modules)
}
