package remediate

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlaybookString(t *testing.T) {
	require.Equal(t, `playbook orders:
  1. scale: safe, self, timeout 30s
  2. shed: disruptive, host, undo, measure shedding, own verify, settle 1m, timeout 10s, 3 tries, 1s ×1.5 to 5s, jitter 25%
  limits: cooldown 1m, breaker at 2 failed ladders in 1h for 1m, masking at 4 heals in 1h, exclusive db
`, full().String())
	require.Equal(t, "playbook: no steps, detect and escalate only\n", Playbook{}.String())
	require.Equal(t, `playbook:
  1. "a\nb": disruptive, self, no run, lasting, timeout 1h1m1s
  limits: no cooldown, no breaker, no masking
`, Playbook{
		Steps:  []Step{{Name: "a\nb", Lasting: true, Timeout: time.Hour + time.Minute + time.Second}},
		Limits: Limits{Cooldown: -1, Breaker: Breaker{Failures: -1}, Heals: Heals{N: -1}},
	}.String(), "a name that is a mistake breaks no line")
}

func TestDescribe(t *testing.T) {
	text, err := json.MarshalIndent(full().Describe(), "", "  ")
	require.NoError(t, err)
	require.Equal(t, `{
  "name": "orders",
  "fingerprint": "0656113ba3459998f90711f0e14ecdb9",
  "steps": [
    {
      "name": "scale",
      "run": true,
      "undo": false,
      "verify": false,
      "lasting": false,
      "scope": "self",
      "risk": "safe",
      "settle_seconds": 0,
      "timeout_seconds": 30,
      "tries": 1
    },
    {
      "name": "shed",
      "run": true,
      "undo": true,
      "verify": true,
      "lasting": false,
      "measure": "shedding",
      "scope": "host",
      "risk": "disruptive",
      "settle_seconds": 60,
      "timeout_seconds": 10,
      "tries": 3,
      "pause_seconds": 1,
      "pause_max_seconds": 5,
      "pause_multiplier": 1.5,
      "pause_jitter": 0.25
    }
  ],
  "limits": {
    "cooldown_seconds": 60,
    "exclusive": "db",
    "breaker_failures": 2,
    "breaker_within_seconds": 3600,
    "breaker_open_seconds": 60,
    "heals": 4,
    "heals_within_seconds": 3600
  }
}`, string(text))

	var back Description
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, full().Describe(), back)

	text, err = json.Marshal(Playbook{Limits: Limits{Cooldown: -1, Breaker: Breaker{Failures: -1}, Heals: Heals{N: -1}}}.Describe())
	require.NoError(t, err)
	require.Contains(t, string(text), `"steps":[]`)
	require.Contains(t, string(text), `"cooldown_seconds":0`)
	require.Contains(t, string(text), `"breaker_failures":0`)
	require.Contains(t, string(text), `"heals":0`)
}

// No field of a playbook is missing from what people and tools see of it, now
// or when fields are added.
func TestDescriptionsCoverEveryField(t *testing.T) {
	base := full()
	changed(t, full, func(field string, p Playbook) {
		if strings.HasPrefix(field, "Playbook.Steps[0].Retry.") && !strings.HasSuffix(field, "Tries") {
			return // the pauses of a single try are not shown
		}
		d, want := p.Describe(), base.Describe()
		d.Fingerprint, want.Fingerprint = "", ""
		require.False(t, reflect.DeepEqual(d, want), "%s is not in Describe", field)
		require.NotEqual(t, base.String(), p.String(), "%s is not in String", field)
	})
}

func TestLogValues(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("watching", "playbook", full(), "step", full().Steps[0])
	require.Equal(t, `level=INFO msg=watching playbook.name=orders playbook.steps="[scale shed]"`+
		` playbook.limits="cooldown 1m, breaker at 2 failed ladders in 1h for 1m, masking at 4 heals in 1h, exclusive db"`+
		` playbook.fingerprint=0656113ba3459998f90711f0e14ecdb9 step="scale: safe, self, timeout 30s"`+"\n", out.String())
}

func TestEffective(t *testing.T) {
	require.Equal(t, Limits{
		Cooldown: 5 * time.Minute,
		Breaker:  Breaker{Failures: 3, Within: time.Hour, OpenFor: 30 * time.Minute},
		Heals:    Heals{N: 5, Within: 24 * time.Hour},
	}, Limits{}.Effective())
	off := Limits{Cooldown: -1, Breaker: Breaker{Failures: -1}, Heals: Heals{N: -1}}.Effective()
	require.Equal(t, off, off.Effective(), "off stays off")
	require.EqualValues(t, -1, off.Cooldown)
	require.EqualValues(t, -1, off.Breaker.Failures)
	require.EqualValues(t, -1, off.Heals.N)

	s := Step{}.Effective(10 * time.Second)
	require.Equal(t, 20*time.Second, s.Settle)
	require.Equal(t, 30*time.Second, s.Timeout)
	require.Equal(t, Disruptive, s.Risk)
	require.Equal(t, 1, s.Retry.Tries)
	require.Equal(t, time.Second, Step{}.Effective(100*time.Millisecond).Settle, "at least 1 s")
	require.Zero(t, Step{}.Effective(0).Settle, "only the watch knows")
	require.Equal(t, time.Hour, Step{Settle: time.Hour}.Effective(time.Second).Settle)
}
