package selfhealtest

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// megabyte is longer than any provider takes.
const megabyte = 1 << 20

// hostileTexts are what names and summaries from outside can hold.
func hostileTexts() []string {
	return []string{
		"two\nlines\r\nand\ttabs",
		"NUL \x00, bell \a, escape \x1b[2J\x1b]0;title\a, delete \x7f",
		"not UTF-8: \xff\xfe\xc3\x28",
		"right to left \u202e override, zero \u200b width, line \u2028 separator",
		`quotes " ' and \ backslash`,
		"<script>alert(1)</script> &amp; <!channel> @everyone",
		"*bold* _it_ ~no~ `code` ```block``` [link](http://example.com) {{template}} ${expansion} $(command)",
		"%s %d %n %!(EXTRA)",
		"; rm -rf / #",
		"../../../../etc/passwd",
		"' OR 1=1 --",
		"Subject: injected\r\nBcc: everyone@example.com",
		"-rf",
		strings.Repeat(" ", 100),
		strings.Repeat("é", 5000),
	}
}

func hostileFinding(text string) detect.Finding {
	return detect.Finding{
		Key: text, Summary: text, Unit: text, Value: 2, Limit: 1,
		Labels:   map[string]string{text: text, "": text, "label": text},
		Evidence: []slog.Attr{slog.String(text, text), slog.Group(text, slog.Any(text, errors.New(text)))},
	}
}

func oddFinding() detect.Finding {
	return detect.Finding{
		Severity: detect.Severity(200), Value: math.NaN(), Limit: math.Inf(-1), For: math.MinInt64,
		Evidence: []slog.Attr{{}, slog.Float64("value", math.Inf(1)), slog.Any("nil", nil), slog.Any("function", func() {}), slog.Any("channel", make(chan int))},
	}
}

func hostileFindings() []detect.Finding {
	var fs []detect.Finding
	for _, text := range hostileTexts() {
		fs = append(fs, hostileFinding(text))
	}
	return append(fs, oddFinding(), hostileFinding(strings.Repeat("x", megabyte)))
}

// hostileIncident is an incident that says text wherever it can.
func hostileIncident(text string, attempts int) escalate.Incident {
	now := time.Now()
	in := escalate.Incident{
		ID: text, Watch: text, Service: text, Finding: hostileFinding(text), Opened: now.Add(-time.Minute),
		State: escalate.State(text), Reason: escalate.Reason(text), Detail: text, HeldBy: remediate.Rail(text),
		Symptoms: []string{text, ""}, Proposal: text, Runbook: text,
		Evidence: []escalate.Evidence{{Name: text, Type: text, Ref: text, Bytes: -1, At: now}},
	}
	for range attempts {
		in.Attempts = append(in.Attempts, remediate.Attempt{
			Step: text, Outcome: remediate.Failed, Err: errors.New(text), Tries: 2, Started: now, Ended: now, UndoErr: errors.New(text),
		})
	}
	return in
}

// oddNotifications hold values out of their range, and none at all.
func oddNotifications() []escalate.Notification {
	far := time.Date(292_277, 1, 1, 0, 0, 0, 0, time.UTC)
	wrapped := fmt.Errorf("outer: %w", errors.Join(errors.New("one\ntwo"), nil, errors.New("")))
	return []escalate.Notification{
		{ID: "odd-finding", DedupKey: "odd", Incident: escalate.Incident{ID: "odd", Watch: "odd", Finding: oddFinding()}},
		{ID: "odd-kind", DedupKey: "odd", Kind: escalate.Kind(200), Incident: escalate.Incident{ID: "odd", Watch: "odd"}, Repeat: -1},
		{ID: "odd-times", DedupKey: "odd", At: far, Incident: escalate.Incident{ID: "odd", Watch: "odd", Opened: far, Closed: time.Unix(-1<<40, 0)}},
		{ID: "odd-attempts", DedupKey: "odd", Incident: escalate.Incident{ID: "odd", Watch: "odd", Attempts: []remediate.Attempt{
			{}, {Outcome: remediate.Outcome(200), Err: wrapped, Tries: -1, Started: far, Ended: time.Unix(0, 0)},
		}}},
		{ID: "odd-resolve", DedupKey: "odd", Kind: escalate.Resolve, BeganAndEnded: true, Incident: escalate.Incident{ID: "odd", Watch: "odd"}},
	}
}
