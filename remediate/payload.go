package remediate

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
)

// MarshalJSON writes the request for programs outside: what the command action
// puts on standard input and the webhook action into the body. Numbers that JSON
// does not know (NaN and the infinities) are strings, memo is base64, and save
// and log are left out. The names of the fields are part of the API.
func (r Request) MarshalJSON() ([]byte, error) {
	f := r.Finding
	return json.Marshal(requestJSON{
		Key: r.Key(), Incident: r.Incident, Step: r.Step, Phase: r.Phase,
		Attempt: r.Attempt, Try: r.Try, Fence: r.Fence, Memo: r.Memo,
		Finding: findingJSON{
			Key: f.Key, Severity: f.Severity.String(), Summary: f.Summary,
			Value: number(f.Value), Limit: number(f.Limit), Unit: f.Unit,
			Labels: f.Labels, Evidence: attrs(f.Evidence),
		},
	})
}

type requestJSON struct {
	Key      string      `json:"idempotency_key"`
	Incident string      `json:"incident"`
	Step     string      `json:"step"`
	Phase    Phase       `json:"phase"`
	Attempt  int         `json:"attempt"`
	Try      int         `json:"try"`
	Fence    uint64      `json:"fence,omitempty"`
	Memo     []byte      `json:"memo,omitempty"`
	Finding  findingJSON `json:"finding"`
}

type findingJSON struct {
	Key      string            `json:"key"`
	Severity string            `json:"severity"`
	Summary  string            `json:"summary"`
	Value    number            `json:"value"`
	Limit    number            `json:"limit"`
	Unit     string            `json:"unit,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Evidence []attrJSON        `json:"evidence,omitempty"`
}

// attrJSON keeps evidence a list: names may repeat, and their order tells.
type attrJSON struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

type number float64

func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(nil, strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return json.Marshal(f)
}

func attrs(from []slog.Attr) []attrJSON {
	to := make([]attrJSON, 0, len(from))
	for _, a := range from {
		to = append(to, attrJSON{Name: a.Key, Value: plain(a.Value)})
	}
	return to
}

// plain turns a value of a log attribute into something that JSON can hold,
// whatever the value is: evidence that cannot be written must not keep a fix
// from being called.
func plain(v slog.Value) any {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		return attrs(v.Group())
	case slog.KindFloat64:
		return number(v.Float64())
	case slog.KindBool, slog.KindInt64, slog.KindUint64:
		return v.Any()
	case slog.KindAny:
		return encoded(v.Any())
	}
	return v.String()
}

// encoded is JSON of values of others, whose methods may panic. What has none
// is not printed by reflection instead: a map that holds itself would end the
// process.
func encoded(v any) (out any) {
	defer func() {
		if p := recover(); p != nil {
			out = fmt.Sprintf("%T: panic while it was written: %v", v, p)
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T: cannot be written as JSON", v)
	}
	return json.RawMessage(raw)
}
