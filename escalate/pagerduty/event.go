package pagerduty

import (
	"cmp"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// An event as the API has it.
type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	Key        string   `json:"dedup_key"`
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Payload    *payload `json:"payload,omitempty"`
	Links      []link   `json:"links,omitempty"`
	Images     []image  `json:"images,omitempty"`

	about escalate.Notification
}

type payload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp,omitempty"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

type image struct {
	Src string `json:"src"`
	Alt string `json:"alt,omitempty"`
}

// event is a trigger, without its details; see fit.
func (n *Notifier) event(key string, m escalate.Notification) event {
	in := m.Incident
	e := event{
		Action: "trigger", Key: key, Client: cmp.Or(deliver.Cut(in.Service, longestName), "selfheal"), about: m,
		Payload: &payload{
			Summary:   deliver.Cut(m.Title(), longestName),
			Source:    deliver.Cut(cmp.Or(strings.TrimSpace(n.cfg.Source), strings.TrimSpace(in.Service), strings.TrimSpace(in.Watch), "selfheal"), longestName),
			Severity:  severity(in.Finding.Severity),
			Component: deliver.Cut(in.Watch, longestName),
			Group:     deliver.Cut(in.Finding.Key, longestName),
			Class:     deliver.Cut(string(in.Reason), longestName),
		},
	}
	if !in.Opened.IsZero() {
		e.Payload.Timestamp = in.Opened.Format(time.RFC3339Nano)
	}
	for _, l := range deliver.Links(m) {
		e.Links = append(e.Links, link{Href: l.Href, Text: l.Text})
	}
	if len(m.Links) > 0 && deliver.IsWeb(m.Links[0].Href) {
		e.ClientURL = m.Links[0].Href
	}
	for _, ev := range in.Evidence {
		const mostImages = 10
		if len(e.Images) < mostImages && strings.HasPrefix(ev.Type, "image/") && strings.HasPrefix(ev.Ref, "https://") && deliver.IsWeb(ev.Ref) {
			e.Images = append(e.Images, image{Src: ev.Ref, Alt: deliver.Cut(ev.Name, longestName)})
		}
	}
	return e
}

// fit writes the event, with as many details as its length allows.
func (e event) fit(most int) ([]byte, error) {
	if e.Payload == nil {
		return deliver.Fit(most, func(int) any { return e })
	}
	text := e.about.Text()
	return deliver.Fit(most, func(room int) any {
		e.Payload.Details = deliver.Details(e.about, room/2)
		e.Payload.Details["diagnosis"] = deliver.CutBytes(text, room/2)
		return e
	})
}

func severity(s detect.Severity) string {
	switch s {
	case detect.Warning:
		return "warning"
	case detect.Critical:
		return "critical"
	}
	return "error" // one that is not known yet
}
