package alertmanager

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// An alert as the API has it.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// The labels by which our alerts are known.
const (
	sourceLabel = "source"
	source      = "selfheal"
	// keyAnnotation holds the dedup key, by which a silence finds its incident
	// also after a restart.
	keyAnnotation = "dedup_key"
)

const (
	longestValue       = 500 // of a label, in bytes
	longestAnnotation  = 1000
	longestDescription = 16_000
	detailRoom         = 8_000
)

// alert is the alert of a notification, without its end. A question has an
// identity of its own: a call that follows it under the same would be no news to
// Alertmanager.
func (n *Notifier) alert(m escalate.Notification, question bool) alert {
	in := m.Incident
	a := alert{Labels: map[string]string{}, Annotations: map[string]string{}}
	label := func(name, value string) {
		if value = short(value); strings.TrimSpace(value) != "" {
			a.Labels[name] = value
		}
	}
	for _, name := range n.cfg.FindingLabels {
		label(labelName(name), in.Finding.Labels[name])
	}
	label("alertname", source)
	label("alertname", in.Watch)
	label("service", in.Service)
	label("key", in.Finding.Key)
	label("severity", in.Finding.Severity.String())
	if question {
		label("question", "approve")
	}
	for name, value := range n.cfg.Labels {
		label(name, value)
	}
	label(sourceLabel, source)

	note := func(name, value string) {
		if value != "" {
			a.Annotations[name] = strings.ToValidUTF8(value, "\uFFFD")
		}
	}
	for name, value := range deliver.Details(m, detailRoom) {
		note(labelName(name), deliver.Cut(value, longestAnnotation))
	}
	note("summary", deliver.Cut(m.Title(), longestAnnotation))
	note("description", deliver.CutBytes(m.Text(), longestDescription))
	note("runbook_url", deliver.Cut(in.Runbook, longestAnnotation))
	note(keyAnnotation, deliver.DedupKey(m, longestValue))
	var links strings.Builder
	for _, l := range deliver.Links(m) {
		fmt.Fprintf(&links, "%s: %s\n", l.Text, l.Href)
	}
	note("links", strings.TrimSuffix(links.String(), "\n"))
	if len(m.Links) > 0 && deliver.IsWeb(m.Links[0].Href) {
		a.GeneratorURL = m.Links[0].Href
	}
	a.StartsAt = in.Opened
	for _, t := range []time.Time{m.At, time.Now()} {
		if a.StartsAt.IsZero() || a.StartsAt.After(time.Now()) {
			a.StartsAt = t.UTC()
		}
	}
	return a
}

// end sets when the alert ends, never before it starts.
func (a alert) end(at time.Time) alert {
	a.EndsAt = at.UTC()
	if a.StartsAt.After(a.EndsAt) {
		a.StartsAt = a.EndsAt
	}
	return a
}

// identity is what Alertmanager takes for the same alert: the labels.
func (a alert) identity() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(&b, "%s=%q,", name, a.Labels[name])
	}
	return b.String()
}

// labelName makes a name that Alertmanager takes: [a-zA-Z_][a-zA-Z0-9_]*.
func labelName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		s = "_" + s
	}
	return s
}

// short bounds the value of a label. Two that differ stay different, for they are
// identities.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= longestValue {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return cmp.Or(deliver.CutBytes(s, longestValue-40), source) + "-" + hex.EncodeToString(sum[:16])
}
