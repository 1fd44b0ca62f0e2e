package selfheal_test

import (
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

// The worked example of the design, to the line.
func TestTheQueueIsHealedByShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth, pager := selfhealtest.NewGauge(9_000), &selfhealtest.Pager{}
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "orders/queue-depth", Detector: detect.Above(depth.Read, 5_000).ClearBelow(2_000),
			For: 2 * time.Minute, KeepFor: 5 * time.Minute,
			Playbook: remediate.Ladder(
				remediate.Step{Name: "scale-workers", Run: do(func() {}), Settle: 3 * time.Minute, Risk: remediate.Safe},
				remediate.Step{Name: "shed-load", Run: do(func() { depth.Set(100) }), Undo: do(func() {}), Settle: time.Minute},
			),
			Escalate: escalate.To(pager),
		})
		time.Sleep(15 * time.Minute)
		trial.Want(`
			2m0s open orders/queue-depth: 9000 is above 5000
			5m0s step scale-workers: no effect
			6m0s step shed-load: healed
			11m0s undo shed-load
			11m0s close`)
		require.Empty(t, pager.Pages())
	})
}
