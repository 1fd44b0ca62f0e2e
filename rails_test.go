package selfheal_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestALadderThatDoesNotHelpPagesWithWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "one", Run: do(func() {}), Risk: remediate.Safe},
				remediate.Step{Name: "two", Run: func(context.Context, remediate.Request) error { return errors.New("boom") }, Lasting: true},
				remediate.Step{Name: "three", Run: func(context.Context, remediate.Request) error { panic("ouch") }, Undo: do(func() {})},
			),
		})
		time.Sleep(10 * time.Minute)
		depth.Set(1)
		time.Sleep(10 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			2s step one: no effect
			2s step two: failed
			2s step three: failed
			2s undo three
			2s page exhausted
			11m0s resolve
			11m0s close`)
		require.Len(t, trial.Pager().Pages(), 1)
		t.Log(trial.Pager().Pages()[0].Incident.Text())
	})
}

func TestAStormStopsEverythingAndPagesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		runs := 0
		var ws []selfheal.Watch
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			ws = append(ws, selfheal.Watch{
				Name: n, Detector: detect.Above(depth.Read, 5),
				Playbook: remediate.Ladder(remediate.Step{Name: "restart", Run: do(func() { runs++ }), Lasting: true}),
			})
		}
		trial := selfhealtest.Start(t, ws...)
		time.Sleep(time.Minute)
		depth.Set(9)
		time.Sleep(time.Minute)
		t.Log("\n" + trial.Timeline())
		require.Zero(t, runs)
		require.Len(t, trial.Pager().Pages(), 1)
		depth.Set(1)
		time.Sleep(10 * time.Minute)
		t.Log("\n" + trial.Timeline())
	})
}
