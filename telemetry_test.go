package selfheal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// healing is a trial with one incident that healed and one that is held.
func healing(t *testing.T, o selfheal.Options) *selfhealtest.Trial {
	depth := selfhealtest.NewGauge(9)
	trial := selfhealtest.StartWith(t, o,
		selfheal.Watch{Name: "heals", Detector: detect.Above(depth.Read, 5).Unit("jobs"), Playbook: remediate.Ladder(
			remediate.Step{Name: "no-help", Lasting: true, Run: func(context.Context, remediate.Request) error { return errors.New("boom") }},
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { depth.Set(1) })},
		)},
		selfheal.Watch{Name: "held", Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Key: "a", Summary: "sick <b>"}}}), Playbook: remediate.Ladder(
			remediate.Step{Name: "reach-out", Scope: remediate.Shared, Lasting: true, Run: do(func() { t.Error("there is no fleet") })},
		)},
		selfheal.Watch{Name: "blind", Detector: selfhealtest.Script(selfhealtest.Frame{Err: errors.New("no route")})},
		selfheal.Watch{Name: "off", Mode: selfheal.Off, Detector: selfhealtest.Script()},
		selfheal.Watch{Name: "well", Detector: selfhealtest.Script()}, selfheal.Watch{Name: "well-too", Detector: selfhealtest.Script()},
	)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	return trial
}

func TestLogRecordsCarryFixedFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		trial := healing(t, selfheal.Options{Logger: slog.New(slog.NewJSONHandler(&b, nil))})
		trial.Stop()
		known := []string{"time", "level", "msg", "watch", "key", "incident", "severity", "step", "outcome", "rail", "why", "reason", "detail", "target", "error"}
		healed := false
		for line := range strings.Lines(b.String()) {
			var record map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			for field := range record {
				require.Contains(t, known, field, line)
			}
			healed = healed || record["watch"] == "heals" && record["step"] == "fix" && record["outcome"] == "healed"
		}
		require.True(t, healed, b.String())
	})
}
