package cloudwatch

import (
	"context"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

// notAnAlarm is the reason of messages of other things.
const notAnAlarm = "not an alarm"

// alarm is the Message of a notification. A composite alarm has an AlarmRule and
// no Trigger, metric math has Trigger.Metrics in place of one metric.
type alarm struct {
	AlarmName        string
	AlarmArn         string
	AlarmDescription string // may be null
	AWSAccountID     string `json:"AWSAccountId"`
	NewStateValue    string
	OldStateValue    string
	NewStateReason   string
	StateChangeTime  string
	Region           string // in words: "EU (Ireland)"
	AlarmRule        string
	Trigger          struct {
		MetricName string
		Namespace  string
		Dimensions []dimension
		Metrics    []struct {
			Expression string
			Label      string
			MetricStat struct {
				Metric struct {
					MetricName string
					Namespace  string
					Dimensions []dimension
				}
			}
		}
	}
}

type dimension struct{ Name, Value string }

// take deals with the message of a notification that was proved.
func (r *Receiver) take(ctx context.Context, message string, came time.Time) receive.Verdict {
	var a alarm
	if no := receive.Decode([]byte(message), &a); no != nil || a.AlarmName == "" || a.NewStateValue == "" {
		return receive.Ignore(notAnAlarm, "the message is no CloudWatch alarm")
	}
	batch := receive.Batch{E: &r.door}
	batch.Add(a.read(came))
	return r.table.Take(ctx, batch.Alerts)
}

func (a *alarm) read(came time.Time) (receive.Alert, string) {
	at, ok := changeTime(a.StateChangeTime)
	if !ok {
		return receive.Alert{}, receive.Undated
	}
	at = receive.NotAfter(at, came)
	key := a.AlarmArn
	if key == "" {
		key = a.AWSAccountID + "/" + a.Region + "/" + a.AlarmName
	}
	summary := a.AlarmDescription
	if strings.TrimSpace(summary) == "" {
		summary = a.NewStateReason
	}
	read := receive.Alert{
		Name: a.AlarmName, Alias: a.AlarmArn, Start: at,
		Finding: detect.Finding{
			Key: key, Summary: summary, Labels: a.labels(),
			Evidence: receive.Evidence("reason", a.NewStateReason, "since", a.StateChangeTime, "rule", a.AlarmRule, "expression", a.expression()),
		},
	}
	switch a.NewStateValue {
	case "ALARM":
		read.State = receive.Firing
	case "OK":
		read.State, read.End = receive.Resolved, at
	case "INSUFFICIENT_DATA":
		read.State = receive.NoData
	default:
		return read, receive.OtherStatus
	}
	return read, ""
}

func (a *alarm) labels() map[string]string {
	labels := map[string]string{}
	set := func(name, value string) {
		if name != "" && value != "" && labels[name] == "" {
			labels[name] = value
		}
	}
	set("alarm", a.AlarmName)
	set("account", a.AWSAccountID)
	region := a.Region
	if parts := strings.Split(a.AlarmArn, ":"); len(parts) > 3 {
		region = parts[3]
	}
	set("region", region)
	t := &a.Trigger
	set("namespace", t.Namespace)
	set("metric", t.MetricName)
	for _, d := range t.Dimensions {
		set(d.Name, d.Value)
	}
	for i := range t.Metrics { // what several metrics differ in, the first says
		m := &t.Metrics[i].MetricStat.Metric
		set("namespace", m.Namespace)
		set("metric", m.MetricName)
		for _, d := range m.Dimensions {
			set(d.Name, d.Value)
		}
	}
	return labels
}

func (a *alarm) expression() string {
	for _, m := range a.Trigger.Metrics {
		if m.Expression != "" {
			return m.Expression
		}
	}
	return ""
}

// changeTime reads "2026-03-01T12:00:00.123+0000", which RFC 3339 is not, and
// what is.
func changeTime(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999-0700", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1 {
			return t, true
		}
	}
	return time.Time{}, false
}
