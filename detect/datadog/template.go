package datadog

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

// Template is the payload to paste into Datadog's webhooks integration. It is
// flat, so that it reads the same with "Encode as form". Fields may be added;
// those that are there must stay.
const Template = `{
  "alert_id": "$ALERT_ID",
  "alert_cycle_key": "$ALERT_CYCLE_KEY",
  "alert_transition": "$ALERT_TRANSITION",
  "alert_type": "$ALERT_TYPE",
  "alert_title": "$ALERT_TITLE",
  "alert_status": "$ALERT_STATUS",
  "alert_scope": "$ALERT_SCOPE",
  "alert_metric": "$ALERT_METRIC",
  "alert_priority": "$ALERT_PRIORITY",
  "date": "$DATE",
  "tags": "$TAGS",
  "link": "$LINK"
}
`

// fields reads a body that the template made, as JSON or as a form.
func fields(m *receive.Message) (map[string]string, *receive.Verdict) {
	all := map[string]string{}
	if strings.HasPrefix(m.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(m.Body))
		if err != nil {
			no := receive.Ignore(receive.Malformed, "the body is no form")
			return nil, &no
		}
		for name := range form {
			all[name] = form.Get(name)
		}
	} else {
		var raw map[string]json.RawMessage
		if no := receive.Decode(m.Body, &raw); no != nil {
			return nil, no
		}
		for name, value := range raw {
			var text string
			if json.Unmarshal(value, &text) != nil {
				text = string(value) // a number that somebody did not quote
			}
			all[name] = text
		}
	}
	for name, value := range all {
		// A variable that Datadog does not know, or that is empty, stays as it is.
		if strings.HasPrefix(value, "$") || value == "null" || value == "None" {
			delete(all, name)
		}
	}
	return all, nil
}

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	f, no := fields(m)
	if no != nil {
		return *no
	}
	if f["alert_id"] == "" || f["alert_transition"] == "" {
		return receive.Ignore(otherPayload, "paste datadog.Template as the payload of the webhook: without, a body names neither the monitor nor what became of it")
	}
	batch := receive.Batch{E: &r.door}
	batch.Add(read(f, m.Came))
	return r.table.Take(ctx, batch.Alerts)
}

func read(f map[string]string, came time.Time) (receive.Alert, string) {
	at, ok := epoch(f["date"])
	if !ok {
		return receive.Alert{}, receive.Undated
	}
	at = receive.NotAfter(at, came)
	title, shown := name(f["alert_title"])
	labels := map[string]string{}
	tags(labels, f["tags"])
	scope := tags(labels, f["alert_scope"])
	for label, value := range map[string]string{"monitor_id": f["alert_id"], "priority": f["alert_priority"], "metric": f["alert_metric"]} {
		if value != "" {
			labels[label] = value
		}
	}
	key := f["alert_id"]
	if scope != "" {
		key += "{" + scope + "}"
	}
	summary := f["alert_status"]
	if summary == "" {
		summary = title
	}
	a := receive.Alert{
		Name: title, Alias: f["alert_id"], State: receive.Firing, Start: at,
		Finding: detect.Finding{
			Key: key, Summary: summary, Labels: labels,
			Evidence: receive.Evidence("title", f["alert_title"], "cycle", f["alert_cycle_key"], "link", f["link"]),
		},
	}
	if f["alert_type"] == "error" {
		a.Finding.Severity = detect.Critical
	}
	switch strings.ToLower(f["alert_transition"]) {
	case "triggered", "re-triggered":
		a.Finding.Severity = detect.Critical
	case "warn", "re-warn":
		a.Finding.Severity = detect.Warning
	case "renotify", "re-notify":
		// What is restated is a warning, an alert, or that there is no data, and
		// only the title may tell.
		a.Again = true
		if strings.HasSuffix(strings.ToLower(shown), "no data") {
			a.State = receive.NoData
		}
	case "no data", "re-no data":
		a.State = receive.NoData
	case "recovered":
		a.State, a.End = receive.Resolved, at
	default:
		return a, receive.OtherStatus
	}
	return a, ""
}

// epoch reads milliseconds, or seconds where that would be long ago.
func epoch(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	switch {
	case err != nil || n <= 0 || n > 1<<46:
		return time.Time{}, false
	case n < 1e11:
		return time.Unix(n, 0), true
	}
	return time.UnixMilli(n), true
}

// name takes the priority and the state off a title, "[Triggered on {host:x}]
// Disk is full", and returns both.
func name(title string) (name, state string) {
	title = strings.TrimSpace(title)
	for strings.HasPrefix(title, "[") {
		end := strings.Index(title, "]")
		if on := strings.Index(title, " on {"); on >= 0 && on < end {
			if brace := strings.Index(title, "}]"); brace >= 0 {
				end = brace + 1
			}
		}
		if end < 0 {
			break
		}
		word, _, _ := strings.Cut(title[1:end], " on {")
		switch strings.ToLower(word) {
		case "p1", "p2", "p3", "p4", "p5":
		case "triggered", "re-triggered", "warn", "re-warn", "no data", "re-no data", "recovered", "renotify", "re-notify":
			state = word
		default:
			return title, state // a bracket of the name itself
		}
		title = strings.TrimSpace(title[end+1:])
	}
	return title, state
}

// tags reads "host:web-1,env:prod" into labels, and returns it in one order.
func tags(labels map[string]string, list string) string {
	own := map[string]string{}
	for _, tag := range strings.Split(list, ",") {
		if tag = strings.TrimSpace(tag); tag != "" && tag != "*" {
			label, value, _ := strings.Cut(tag, ":")
			own[label] = value
			labels[label] = value
		}
	}
	var all []string
	for _, label := range slices.Sorted(maps.Keys(own)) {
		all = append(all, label+":"+own[label])
	}
	return strings.Join(all, ",")
}
