package escalate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// The types of this file are the JSON of a notification. They stand apart from
// the Go types because errors, slog attributes and numbers that are not finite
// have no JSON of their own.

type notificationJSON struct {
	ID            string    `json:"id"`
	DedupKey      string    `json:"dedup_key"`
	Kind          Kind      `json:"kind"`
	At            time.Time `json:"at"`
	Repeat        int       `json:"repeat,omitempty"`
	BeganAndEnded bool      `json:"began_and_ended,omitempty"`
	Count         int       `json:"count,omitempty"`
	Test          bool      `json:"test,omitempty"`
	Note          string    `json:"note,omitempty"`
	Links         []Link    `json:"links,omitempty"`
	Incident      Incident  `json:"incident"`
}

type incidentJSON struct {
	ID       string         `json:"id"`
	Watch    string         `json:"watch"`
	Service  string         `json:"service,omitempty"`
	Finding  findingJSON    `json:"finding"`
	State    State          `json:"state"`
	Reason   Reason         `json:"reason,omitempty"`
	Detail   string         `json:"detail,omitempty"`
	Opened   time.Time      `json:"opened,omitzero"`
	Closed   time.Time      `json:"closed,omitzero"`
	Attempts []attemptJSON  `json:"attempts,omitempty"`
	HeldBy   remediate.Rail `json:"held_by,omitempty"`
	Symptoms []string       `json:"symptoms,omitempty"`
	Proposal string         `json:"proposal,omitempty"`
	Runbook  string         `json:"runbook,omitempty"`
	Evidence []evidenceJSON `json:"evidence,omitempty"`
}

type findingJSON struct {
	Key      string            `json:"key"`
	Severity detect.Severity   `json:"severity"`
	Summary  string            `json:"summary"`
	Value    *float64          `json:"value"`
	Limit    *float64          `json:"limit"`
	Unit     string            `json:"unit,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Evidence json.RawMessage   `json:"evidence,omitempty"`
}

type attemptJSON struct {
	Step      string            `json:"step"`
	Outcome   remediate.Outcome `json:"outcome"`
	Error     string            `json:"error,omitempty"`
	Tries     int               `json:"tries,omitempty"`
	Started   time.Time         `json:"started,omitzero"`
	Ended     time.Time         `json:"ended,omitzero"`
	Owed      bool              `json:"owed,omitempty"`
	Undone    bool              `json:"undone,omitempty"`
	UndoError string            `json:"undo_error,omitempty"`
}

type evidenceJSON struct {
	Name  string    `json:"name"`
	Type  string    `json:"type,omitempty"`
	Ref   string    `json:"ref"`
	Bytes int64     `json:"bytes,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

// MarshalJSON writes the notification for programs: names in snake_case, times
// in RFC 3339, errors as their text.
func (n Notification) MarshalJSON() ([]byte, error) {
	return json.Marshal(notificationJSON{
		ID: n.ID, DedupKey: n.DedupKey, Kind: n.Kind, At: n.At, Repeat: n.Repeat,
		BeganAndEnded: n.BeganAndEnded, Count: n.Count, Test: n.Test, Note: n.Note, Links: n.Links, Incident: n.Incident,
	})
}

// UnmarshalJSON reads what MarshalJSON writes; see [Incident.UnmarshalJSON].
func (n *Notification) UnmarshalJSON(data []byte) error {
	var v notificationJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("escalate: notification: %w", err)
	}
	*n = Notification{
		ID: v.ID, DedupKey: v.DedupKey, Kind: v.Kind, At: v.At, Repeat: v.Repeat,
		BeganAndEnded: v.BeganAndEnded, Count: v.Count, Test: v.Test, Note: v.Note, Links: v.Links, Incident: v.Incident,
	}
	return nil
}

// MarshalJSON writes the incident as a [Notification] carries it. A value or
// limit that is not a finite number is null. The evidence of the finding is an
// object; an attribute that has no JSON becomes its text.
func (in Incident) MarshalJSON() ([]byte, error) {
	f := in.Finding
	v := incidentJSON{
		ID: in.ID, Watch: in.Watch, Service: in.Service,
		Finding: findingJSON{
			Key: f.Key, Severity: f.Severity, Summary: f.Summary,
			Value: finite(f.Value), Limit: finite(f.Limit), Unit: f.Unit,
			Labels: f.Labels, Evidence: attrsJSON(f.Evidence),
		},
		State: in.State, Reason: in.Reason, Detail: in.Detail, Opened: in.Opened, Closed: in.Closed,
		HeldBy: in.HeldBy, Symptoms: in.Symptoms, Proposal: in.Proposal, Runbook: in.Runbook,
	}
	for _, a := range in.Attempts {
		v.Attempts = append(v.Attempts, attemptJSON{
			Step: a.Step, Outcome: a.Outcome, Error: errText(a.Err), Tries: a.Tries,
			Started: a.Started, Ended: a.Ended, Owed: a.Owed, Undone: a.Undone, UndoError: errText(a.UndoErr),
		})
	}
	for _, e := range in.Evidence {
		v.Evidence = append(v.Evidence, evidenceJSON(e))
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes. Errors come back as their text
// only, a value or limit that is null as 0, and the evidence of the finding as
// the values that JSON has, sorted by key.
func (in *Incident) UnmarshalJSON(data []byte) error {
	var v incidentJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("escalate: incident: %w", err)
	}
	f := v.Finding
	*in = Incident{
		ID: v.ID, Watch: v.Watch, Service: v.Service,
		Finding: detect.Finding{
			Key: f.Key, Severity: f.Severity, Summary: f.Summary,
			Value: number(f.Value), Limit: number(f.Limit), Unit: f.Unit, Labels: f.Labels,
		},
		State: v.State, Reason: v.Reason, Detail: v.Detail, Opened: v.Opened, Closed: v.Closed,
		HeldBy: v.HeldBy, Symptoms: v.Symptoms, Proposal: v.Proposal, Runbook: v.Runbook,
	}
	if len(f.Evidence) > 0 {
		var values map[string]any
		if err := json.Unmarshal(f.Evidence, &values); err != nil {
			return fmt.Errorf("escalate: evidence of a finding: %w", err)
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			in.Finding.Evidence = append(in.Finding.Evidence, slog.Any(key, values[key]))
		}
	}
	for _, a := range v.Attempts {
		in.Attempts = append(in.Attempts, remediate.Attempt{
			Step: a.Step, Outcome: a.Outcome, Err: textError(a.Error), Tries: a.Tries,
			Started: a.Started, Ended: a.Ended, Owed: a.Owed, Undone: a.Undone, UndoErr: textError(a.UndoError),
		})
	}
	for _, e := range v.Evidence {
		in.Evidence = append(in.Evidence, Evidence(e))
	}
	return nil
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func number(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

func textError(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}

// attrsJSON lets slog write the attributes: it knows groups, log valuers and
// values that have no JSON, and survives methods that panic. Everything is in
// a group of our own, because a handler adds its level and message beside it.
func attrsJSON(attrs []slog.Attr) json.RawMessage {
	if len(attrs) == 0 {
		return nil
	}
	var b bytes.Buffer
	h := slog.NewJSONHandler(&b, nil).WithGroup("evidence")
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "", 0)
	r.AddAttrs(attrs...)
	var v struct {
		Evidence json.RawMessage `json:"evidence"`
	}
	err := h.Handle(context.Background(), r)
	if err == nil {
		err = json.Unmarshal(b.Bytes(), &v)
	}
	if err != nil {
		v.Evidence, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return v.Evidence
}
