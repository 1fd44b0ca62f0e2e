package selfheal_test

import (
	"context"
	"sync/atomic"
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

// What people do where they got our notices comes back: it stops notices, and
// acting only where that was asked for; it closes nothing that is still sick.
func TestFeedback(t *testing.T) {
	for _, stops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			pager := &selfhealtest.Pager{}
			var ran atomic.Int64
			sick := selfhealtest.NewGauge(9)
			trial := selfhealtest.Start(t, selfheal.Watch{
				Name: "queue", Detector: detect.Above(sick.Read, 5), KeepFor: time.Second,
				Escalate: escalate.Policy{Levels: []escalate.Level{{To: []escalate.Notifier{pager}}}, Repeat: time.Minute},
				Playbook: remediate.Playbook{
					Limits: remediate.Limits{Cooldown: time.Second},
					Steps:  []remediate.Step{{Name: "fix", Risk: remediate.Safe, Run: func(context.Context, remediate.Request) error { ran.Add(1); return nil }}},
				},
			})
			taker := selfheal.FeedbackTaker{Supervisor: trial.Supervisor(), SilenceStopsActions: stops}
			time.Sleep(90 * time.Second)
			pages := len(pager.Pages())
			require.Equal(t, 2, pages, "called, and once more after a minute")
			key := pager.Pages()[0].DedupKey

			require.NoError(t, taker.Take(selfheal.Feedback{DedupKey: key, Kind: selfheal.Silenced, By: "eve", Where: "alertmanager", Until: time.Now().Add(time.Hour)}))
			time.Sleep(10 * time.Minute)
			require.Len(t, pager.Pages(), pages, "a silence stops repeats")
			require.NoError(t, taker.Take(selfheal.Feedback{DedupKey: key, Kind: selfheal.Resolved, By: "eve"}))
			time.Sleep(time.Second)
			require.Len(t, trial.Supervisor().Status().Watches[0].Incidents, 1, "it is still sick, whoever says that it is over")

			sick.Set(1)
			time.Sleep(10 * time.Second)
			require.Len(t, pager.Resolved(), 1)
			sick.Set(9)
			time.Sleep(10 * time.Second)
			want := int64(2)
			if stops {
				want = 1
			}
			require.Equal(t, want, ran.Load(), "stops actions: %v", stops)

			require.NoError(t, taker.Take(selfheal.Feedback{DedupKey: key, Kind: selfheal.Unsilenced, By: "eve"}))
			time.Sleep(10 * time.Second)
			require.Equal(t, int64(2), ran.Load())
			require.NoError(t, taker.Take(selfheal.Feedback{DedupKey: "unknown", Kind: selfheal.Acknowledged}))
			require.Error(t, taker.Take(selfheal.Feedback{DedupKey: key, Kind: 99}))
		})
	}
}
