package receive

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/detect"
)

// Oversized is an alert whose labels are longer than anybody's are.
const Oversized = "oversized"

const (
	maxKey      = 512 // longer ones are hashed
	maxSummary  = 1000
	maxEvidence = 4 << 10
	maxLabels   = 64 << 10
)

// Decode reads JSON. A field of another type than expected is left empty, and
// what needs it is ignored by itself; unknown fields pass.
func Decode(body []byte, to any) *Verdict {
	err := json.Unmarshal(body, to)
	var field *json.UnmarshalTypeError
	if err == nil || errors.As(err, &field) {
		return nil
	}
	no := Ignore(Malformed, "the body is no JSON that this receiver can read")
	no.Err = err
	return &no
}

// Fit bounds what is kept of an alert, and says what is wrong with it.
func Fit(a *Alert) (reason string) {
	f := &a.Finding
	switch {
	case f.Key == "":
		return Unidentified
	case a.State == Resolved && a.End.IsZero(), a.State != Resolved && a.Start.IsZero():
		return Undated
	}
	size := 0
	for name, value := range f.Labels {
		size += len(name) + len(value)
	}
	if size > maxLabels {
		return Oversized
	}
	if len(f.Key) > maxKey || !utf8.ValidString(f.Key) {
		f.Key = Fingerprint(map[string]string{"": f.Key})
	}
	f.Summary = OneLine(f.Summary)
	if f.Summary == "" {
		f.Summary = OneLine(a.Name)
	}
	if f.Summary == "" {
		f.Summary = "an alert without a name or a summary"
	}
	f.Summary = Cut(f.Summary, maxSummary)
	for i, e := range f.Evidence {
		f.Evidence[i].Value = cutValue(e)
	}
	return ""
}

// Batch collects the alerts of a body and deals with them.
type Batch struct {
	Alerts []Alert
	E      *Endpoint
}

// Add takes one in, or counts why not.
func (b *Batch) Add(a Alert, reason string) {
	if reason == "" {
		reason = Fit(&a)
	}
	if reason != "" {
		b.E.Count(http.StatusOK, reason, nil)
		return
	}
	b.Alerts = append(b.Alerts, a)
}

// Sent is an alert as Alertmanager and, with more fields, Grafana send it.
type Sent struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`

	DashboardURL string `json:"dashboardURL"`
	PanelURL     string `json:"panelURL"`
	SilenceURL   string `json:"silenceURL"`
	ValueString  string `json:"valueString"`
	ImageURL     string `json:"imageURL"`
}

// Alert reads it, and says why it is of no use otherwise.
func (s *Sent) Alert(came time.Time) (a Alert, reason string) {
	start, okStart := ParseTime(s.StartsAt)
	end, okEnd := ParseTime(s.EndsAt)
	key := s.Fingerprint
	if key == "" && len(s.Labels) > 0 {
		key = Fingerprint(s.Labels)
	}
	a = Alert{
		Name:  s.Labels["alertname"],
		Start: NotAfter(start, came),
		Finding: detect.Finding{
			Key: key, Severity: SeverityOf(s.Labels["severity"]), Summary: s.Summary(), Labels: s.Labels,
			Evidence: Evidence(
				"since", s.StartsAt, "source", s.GeneratorURL, "description", s.Annotations["description"],
				"runbook", s.Annotations["runbook_url"], "dashboard", s.DashboardURL, "panel", s.PanelURL,
				"values", s.ValueString, "image", s.ImageURL,
			),
		},
	}
	switch {
	case !okStart || !okEnd:
		return a, Undated
	case s.Status == "firing":
		a.State = Firing
	case s.Status == "resolved":
		// The end is where the bout is over; without one it is over now.
		a.State, a.End = Resolved, NotAfter(end, came)
		if end.IsZero() {
			a.End = came
		}
	default:
		return a, OtherStatus
	}
	return a, ""
}

// Summary is what a person reads: the annotation, or the next best; "" without.
func (s *Sent) Summary() string {
	for _, text := range []string{s.Annotations["summary"], s.Annotations["message"], s.Annotations["description"]} {
		if text = OneLine(text); text != "" {
			return text
		}
	}
	return ""
}
