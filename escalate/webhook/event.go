package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
	"github.com/selfheal-go/selfheal/remediate"
)

// Types are the types of the events, in the order of [escalate.Kind].
func Types() []string {
	return []string{typePrefix + "trigger", typePrefix + "update", typePrefix + "ask", typePrefix + "resolve"}
}

const (
	typePrefix  = "io.github.selfheal-go.notification."
	longestBody = 64 << 10
	longestAttr = 500 // an attribute besides data
)

// An event is a CloudEvent in structured JSON.
type event struct {
	SpecVersion     string                `json:"specversion"`
	ID              string                `json:"id"`
	Source          string                `json:"source"`
	Type            string                `json:"type"`
	Subject         string                `json:"subject,omitempty"`
	Time            time.Time             `json:"time,omitzero"`
	DataContentType string                `json:"datacontenttype"`
	SeverityText    string                `json:"severitytext"`
	SeverityNumber  int                   `json:"severitynumber"`
	Cut             bool                  `json:"cut,omitempty"`
	Data            escalate.Notification `json:"data"`
}

func (n *Notifier) encode(m escalate.Notification) ([]byte, error) {
	e := event{
		SpecVersion: "1.0", ID: cmp.Or(deliver.Cut(m.ID, longestAttr), messageID(m)), Subject: deliver.DedupKey(m, longestAttr),
		Type: typePrefix + "trigger", Time: m.At, DataContentType: "application/json", SeverityText: "WARN", SeverityNumber: 13, Data: m,
	}
	e.Source = n.cfg.Source
	if e.Source == "" {
		e.Source = "/selfheal/" + url.PathEscape(deliver.Cut(m.Incident.Service, longestAttr))
	}
	if types := Types(); int(m.Kind) < len(types) {
		e.Type = types[m.Kind]
	}
	switch {
	case m.Kind == escalate.Resolve:
		e.SeverityText, e.SeverityNumber = "INFO", 9
	case m.Incident.Finding.Severity == detect.Critical:
		e.SeverityText, e.SeverityNumber = "ERROR", 17
	}
	seen := size(m.Incident.Finding.Evidence)
	if bulk(m)+seen <= longestBody { // else it cannot fit, and may take seconds to write
		if body, err := json.Marshal(e); err != nil || len(body) <= longestBody {
			return body, err
		}
	}
	e.Cut = true
	return deliver.Fit(longestBody, func(room int) any {
		e.Data = shorten(m, room)
		if seen > room/8 {
			e.Data.Incident.Finding.Evidence = []slog.Attr{slog.String("cut", "what was seen is too long for a webhook")}
		}
		return e
	})
}

// bulk is how long the texts and lists are whose length nobody bounds.
func bulk(n escalate.Notification) int {
	in := n.Incident
	sum := len(n.Note) + len(in.Detail) + len(in.Finding.Summary) + len(in.Symptoms) + len(in.Attempts) + len(in.Evidence) + len(n.Links)
	for _, s := range in.Symptoms {
		sum += len(s)
	}
	for k, v := range in.Finding.Labels {
		sum += len(k) + len(v)
	}
	for _, e := range in.Evidence {
		sum += len(e.Name) + len(e.Ref)
	}
	for _, a := range in.Attempts {
		sum += len(a.Step)
	}
	return sum
}

func size(attrs []slog.Attr) int {
	sum := 0
	for _, a := range attrs {
		sum += len(a.Key) + len(fmt.Sprint(a.Value))
	}
	return sum
}

// shorten makes a copy whose texts and lists are the shorter the less room there
// is. What tells incidents apart stays: ids, watch and key.
func shorten(n escalate.Notification, room int) escalate.Notification {
	text, items := max(room/32, 40), max(room/2048, 1)
	if room == 0 {
		items = 0
	}
	cut := func(s string) string { return deliver.CutBytes(s, text) }
	n.ID, n.DedupKey, n.Note = deliver.Cut(n.ID, longestAttr), deliver.Cut(n.DedupKey, longestAttr), cut(n.Note)
	n.Links = firsts(n.Links, items)
	for i, l := range n.Links {
		n.Links[i] = escalate.Link{Text: cut(l.Text), Href: whole(l.Href)}
	}
	in := &n.Incident
	in.ID, in.Watch = deliver.Cut(in.ID, longestAttr), deliver.Cut(in.Watch, longestAttr)
	for _, s := range []*string{&in.Service, &in.Detail, &in.Proposal} {
		*s = cut(*s)
	}
	in.Runbook = whole(in.Runbook)
	in.State, in.Reason, in.HeldBy = escalate.State(cut(string(in.State))), escalate.Reason(cut(string(in.Reason))), remediate.Rail(cut(string(in.HeldBy)))
	in.Symptoms = firsts(in.Symptoms, items)
	for i, s := range in.Symptoms {
		in.Symptoms[i] = cut(s)
	}
	in.Attempts = lasts(in.Attempts, items)
	for i := range in.Attempts {
		a := &in.Attempts[i]
		a.Step, a.Err, a.UndoErr = cut(a.Step), cutError(a.Err, cut), cutError(a.UndoErr, cut)
	}
	in.Evidence = firsts(in.Evidence, items)
	for i := range in.Evidence {
		e := &in.Evidence[i]
		e.Name, e.Type, e.Ref = cut(e.Name), cut(e.Type), whole(e.Ref)
	}
	f := &in.Finding
	f.Key, f.Summary, f.Unit = deliver.Cut(f.Key, longestAttr), cut(f.Summary), cut(f.Unit)
	labels := map[string]string{}
	for _, name := range firsts(slices.Sorted(maps.Keys(f.Labels)), items) {
		labels[cut(name)] = cut(f.Labels[name])
	}
	f.Labels = labels
	return n
}

// whole drops an address that is too long: half of one leads nowhere.
func whole(href string) string {
	const longest = 2000
	if len(href) > longest {
		return ""
	}
	return href
}

func firsts[T any](all []T, n int) []T { return slices.Clone(all[:min(n, len(all))]) }

// lasts keeps the end: how it stands now is there.
func lasts[T any](all []T, n int) []T { return slices.Clone(all[max(len(all)-n, 0):]) }

// A shortError is an error whose text was cut.
type shortError string

// Error returns the text.
func (e shortError) Error() string { return string(e) }

// cutError survives an error whose method panics.
func cutError(err error, cut func(string) string) (short error) {
	if err == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			short = shortError(fmt.Sprintf("an error of type %T whose text cannot be had", err))
		}
	}()
	return shortError(cut(err.Error()))
}
