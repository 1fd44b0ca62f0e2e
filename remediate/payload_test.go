package remediate

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/stretchr/testify/require"
)

type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("boom") }

func TestRequestJSON(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	req := Request{
		Incident: "orders-7", Step: "shed", Phase: Undo, Attempt: 2, Try: 3, Fence: math.MaxUint64,
		Memo: []byte("before"), Save: func([]byte) error { return nil }, Log: slog.Default(),
		Finding: detect.Finding{
			Key: "queue\n\"a\"", Severity: detect.Critical, Summary: "9000 is above 5000", Value: 9000, Limit: math.Inf(1), Unit: "jobs",
			Labels: map[string]string{"b": "2", "a": "1"},
			Evidence: []slog.Attr{
				slog.Int("n", 1), slog.Int("n", 2), slog.Float64("load", math.NaN()), slog.Duration("age", time.Minute),
				slog.Group("disk", slog.String("mount", "/"), slog.Bool("full", true)),
				slog.Any("err", errors.New("no space")), slog.Any("list", []int{1}), slog.Any("fn", func() {}), slog.Any("bomb", bomb{}), slog.Any("loop", loop),
			},
		},
	}
	text, err := json.MarshalIndent(req, "", " ")
	require.NoError(t, err)
	require.Equal(t, `{
 "idempotency_key": "orders-7/shed/2/undo",
 "incident": "orders-7",
 "step": "shed",
 "phase": "undo",
 "attempt": 2,
 "try": 3,
 "fence": 18446744073709551615,
 "memo": "YmVmb3Jl",
 "finding": {
  "key": "queue\n\"a\"",
  "severity": "critical",
  "summary": "9000 is above 5000",
  "value": 9000,
  "limit": "+Inf",
  "unit": "jobs",
  "labels": {
   "a": "1",
   "b": "2"
  },
  "evidence": [
   {
    "name": "n",
    "value": 1
   },
   {
    "name": "n",
    "value": 2
   },
   {
    "name": "load",
    "value": "NaN"
   },
   {
    "name": "age",
    "value": "1m0s"
   },
   {
    "name": "disk",
    "value": [
     {
      "name": "mount",
      "value": "/"
     },
     {
      "name": "full",
      "value": true
     }
    ]
   },
   {
    "name": "err",
    "value": "no space"
   },
   {
    "name": "list",
    "value": [
     1
    ]
   },
   {
    "name": "fn",
    "value": "func(): cannot be written as JSON"
   },
   {
    "name": "bomb",
    "value": "remediate.bomb: panic while it was written: boom"
   },
   {
    "name": "loop",
    "value": "map[string]interface {}: cannot be written as JSON"
   }
  ]
 }
}`, string(text))

	text, err = json.Marshal(Request{})
	require.NoError(t, err)
	require.JSONEq(t, `{"idempotency_key":"//0/run","incident":"","step":"","phase":"run","attempt":0,"try":0,
		"finding":{"key":"","severity":"warning","summary":"","value":0,"limit":0}}`, string(text))
}
