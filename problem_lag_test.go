package selfheal_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// late is a detector that learns late that something is well.
type late struct {
	detect.Detector
	lag func() time.Duration
}

func (l late) Lag() time.Duration { return l.lag() }

func lagging(lag func() time.Duration) detect.Detector {
	return late{detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil }), lag}
}

// Judged before its detector can know, a step that worked would look like one
// that did not, and the next would run for nothing.
func TestAStepIsNotJudgedBeforeItsDetectorCanKnow(t *testing.T) {
	ok := func(context.Context, remediate.Request) error { return nil }
	six := func() time.Duration { return 6 * time.Minute }
	step := func(settle time.Duration, verify remediate.Action) remediate.Step {
		return remediate.Step{Name: "restart", Run: ok, Lasting: true, Settle: settle, Verify: verify}
	}
	for _, c := range []struct {
		what     string
		lag      func() time.Duration
		step     remediate.Step
		disabled bool
		want     string
	}{
		{"settles for as long", six, step(6*time.Minute, nil), false, ""},
		{"asks the service itself", six, step(time.Second, ok), false, ""},
		{"no lag", func() time.Duration { return 0 }, step(0, nil), false, ""},
		{"less than none", func() time.Duration { return -1 }, step(0, nil), false, ""},
		{"vetoed", six, step(0, nil), true, ""},
		{"too short", six, step(time.Minute, nil), false, `step "restart" settles for 1m0s, and its detector may learn only 6m0s after the fact`},
		{"the default", six, step(0, nil), false, `step "restart" settles for 2s`},
		{"a panic", func() time.Duration { panic("nil map") }, step(0, nil), false, "its Lag panicked: nil map"},
	} {
		for _, d := range []detect.Detector{lagging(c.lag), detect.Any(detect.AnyOptions{Detectors: []detect.Detector{lagging(c.lag)}})} {
			o := selfheal.Options{Escalate: escalate.To(escalate.Log(nil))}
			if c.disabled {
				o.Disable = []string{"w/restart"}
			}
			s := selfheal.New(o)
			s.Watch(selfheal.Watch{Name: "w", Detector: d, Playbook: remediate.Ladder(c.step)})
			if err := s.Validate(); c.want == "" {
				require.NoError(t, err, c.what)
			} else {
				require.ErrorContains(t, err, c.want, c.what)
			}
		}
	}
}
