package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

// alert is one alert of a body: our own fields, and those of Alertmanager.
type alert struct {
	receive.Sent
	Name     string  `json:"name"`
	Key      string  `json:"key"`
	At       string  `json:"at"`
	Severity string  `json:"severity"`
	Text     string  `json:"summary"`
	Value    float64 `json:"value"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"`
}

// body is one object: an alert, a list of them, or a CloudEvent.
type body struct {
	alert
	Alerts      []alert         `json:"alerts"`
	SpecVersion string          `json:"specversion"`
	Time        string          `json:"time"`
	Data        json.RawMessage `json:"data"`
}

// maxDepth is a list of CloudEvents whose data has alerts.
const maxDepth = 3

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	batch := receive.Batch{E: &r.door}
	found, no := r.collect(&batch, m.Body, m.Signed, m.Came, maxDepth)
	switch {
	case no != nil:
		return *no
	case !found:
		return receive.Ignore(receive.NoAlerts, "there is no alert in it: an alert has name, status and at")
	}
	return r.table.Take(ctx, batch.Alerts)
}

// collect reads one value, whose alerts happened at a time unless they say
// better.
func (r *Receiver) collect(batch *receive.Batch, value []byte, at, came time.Time, depth int) (found bool, no *receive.Verdict) {
	if depth == 0 {
		return false, nil
	}
	if value = bytes.TrimSpace(value); len(value) > 0 && value[0] == '[' {
		var list []json.RawMessage
		if no := receive.Decode(value, &list); no != nil {
			return false, no
		}
		for _, one := range list {
			f, no := r.collect(batch, one, at, came, depth-1)
			if no != nil {
				return false, no
			}
			found = found || f
		}
		return found, nil
	}
	var b body
	if no := receive.Decode(value, &b); no != nil {
		return false, no
	}
	if b.SpecVersion != "" {
		if t, ok := receive.ParseTime(b.Time); ok && !t.IsZero() {
			at = t
		}
		return r.collect(batch, b.Data, at, came, depth-1)
	}
	for i := range b.Alerts {
		batch.Add(b.Alerts[i].read(at, came))
	}
	if b.Alerts == nil && (b.Name != "" || b.Status != "") {
		batch.Add(b.alert.read(at, came))
		return true, nil
	}
	return len(b.Alerts) > 0, nil
}

// read makes an alert of it.
func (a *alert) read(at, came time.Time) (receive.Alert, string) {
	said := a.At
	if said == "" && a.Status == "resolved" {
		said = a.EndsAt
	}
	if said == "" && a.Status != "resolved" {
		said = a.StartsAt
	}
	t, ok := receive.ParseTime(said)
	if !ok {
		return receive.Alert{}, receive.Undated
	}
	if !t.IsZero() {
		at = t
	}
	if !at.IsZero() {
		at = receive.NotAfter(at, came)
	}
	read := receive.Alert{
		Name: a.Name, Start: at,
		Finding: detect.Finding{
			Key: a.Key, Severity: receive.SeverityOf(a.Severity), Summary: a.Text, Labels: a.Labels,
			Value: a.Value, Limit: a.Limit, Unit: a.Unit,
			Evidence: receive.Evidence("since", said, "source", a.GeneratorURL, "description", a.Annotations["description"],
				"runbook", a.Annotations["runbook_url"]),
		},
	}
	f := &read.Finding
	if read.Name == "" {
		read.Name = a.Labels["alertname"]
	}
	if a.Severity == "" {
		f.Severity = receive.SeverityOf(a.Labels["severity"])
	}
	if strings.TrimSpace(f.Summary) == "" {
		f.Summary = a.Summary()
	}
	switch {
	case read.Name == "":
		return read, receive.Unidentified
	case f.Key != "":
	case a.Fingerprint != "":
		f.Key = a.Fingerprint
	default:
		f.Key = read.Name
		if len(a.Labels) > 0 {
			f.Key += "/" + receive.Fingerprint(a.Labels)
		}
	}
	switch strings.ToLower(a.Status) {
	case "firing":
		read.State = receive.Firing
	case "resolved":
		read.State, read.End = receive.Resolved, at
	case "no data", "nodata", "no_data":
		read.State = receive.NoData
	default:
		return read, receive.OtherStatus
	}
	return read, ""
}
