package strict

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// PagerDuty takes events of the Events API v2 under /v2/enqueue with one routing
// key. What it takes has the verbs trigger, acknowledge and resolve; an
// acknowledge or resolve of what is not open is dropped, as PagerDuty does, with
// the verb "dropped".
func PagerDuty(tb testing.TB, routingKey string) *Server {
	tb.Helper()
	open := map[string]bool{}
	var s *Server
	s = start(tb, func(c *call) {
		if c.r.Method != http.MethodPost || c.r.URL.Path != "/v2/enqueue" {
			c.refuse(http.StatusNotFound, "", "%s %s is not POST /v2/enqueue", c.r.Method, c.r.URL.Path)
			return
		}
		e, wrong := readPagerDuty(c, routingKey)
		if len(wrong) > 0 {
			body, _ := json.Marshal(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": wrong})
			c.refuse(http.StatusBadRequest, string(body), "%s", strings.Join(wrong, "; "))
			return
		}
		verb := e.Action
		s.mu.Lock()
		if verb != "trigger" && !open[e.Key] {
			verb = "dropped"
		}
		if verb != "dropped" {
			open[e.Key] = verb != "resolve"
		}
		s.mu.Unlock()
		if verb != "dropped" {
			s.take(Event{Key: e.Key, Verb: verb, ID: e.Payload.Details["notification"], Body: c.body})
		}
		c.w.Header().Set("Content-Type", "application/json")
		c.answer(http.StatusAccepted, fmt.Sprintf(`{"status":"success","message":"Event processed","dedup_key":%q}`, e.Key))
	})
	return s
}

type pagerDutyEvent struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	Key        string `json:"dedup_key"`
	Payload    struct {
		Summary   string            `json:"summary"`
		Source    string            `json:"source"`
		Severity  string            `json:"severity"`
		Timestamp string            `json:"timestamp"`
		Details   map[string]string `json:"custom_details"`
	} `json:"payload"`
	Links  []struct{ Href, Text string }     `json:"links"`
	Images []struct{ Src, Href, Alt string } `json:"images"`
}

func readPagerDuty(c *call, routingKey string) (e pagerDutyEvent, wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if len(c.body) > 512*1024 {
		complain("the event has %d bytes", len(c.body))
		return e, wrong
	}
	if err := json.Unmarshal(c.body, &e); err != nil {
		complain("no event: %v", err)
		return e, wrong
	}
	if e.RoutingKey != routingKey || len(e.RoutingKey) != 32 {
		complain("'routing_key' is invalid")
	}
	if !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.Action) {
		complain("'event_action' is %q", e.Action)
	}
	if e.Key == "" || utf8.RuneCountInString(e.Key) > 255 {
		complain("'dedup_key' is missing or too long")
	}
	if e.Action != "trigger" {
		return e, wrong
	}
	p := e.Payload
	if p.Summary == "" || utf8.RuneCountInString(p.Summary) > 1024 {
		complain("'payload.summary' is missing or too long")
	}
	if p.Source == "" {
		complain("'payload.source' is missing")
	}
	if !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity) {
		complain("'payload.severity' is %q", p.Severity)
	}
	if p.Timestamp != "" {
		if _, err := time.Parse(time.RFC3339Nano, p.Timestamp); err != nil {
			complain("'payload.timestamp' is %q", p.Timestamp)
		}
	}
	for _, l := range e.Links {
		if u, err := url.Parse(l.Href); err != nil || u.Host == "" {
			complain("a link has the href %q", l.Href)
		}
	}
	for _, i := range e.Images {
		if !strings.HasPrefix(i.Src, "https://") {
			complain("an image has the src %q", i.Src)
		}
	}
	return e, wrong
}
