package strict

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// An Alertmanager is a stand-in for the API v2 of an Alertmanager of version 0.25
// under a path. Its events have the verbs firing and resolved, and the alertname
// and annotation "incident" as key.
type Alertmanager struct {
	*Server
	alerts   map[string]*amAlert
	silences map[string]amSilence
	seq      int
}

// NewAlertmanager starts one.
func NewAlertmanager(tb testing.TB) *Alertmanager {
	tb.Helper()
	a := &Alertmanager{alerts: map[string]*amAlert{}, silences: map[string]amSilence{}}
	a.Server = start(tb, a.serve)
	return a
}

type amAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Fingerprint  string            `json:"fingerprint,omitempty"`
	Status       amStatus          `json:"status"`

	timeout bool // its end is resolve_timeout, and not the sender's
}

// merge is what Alertmanager makes of an alert that it has and one that comes: it
// never brings an end forward, unless to one that is past already.
func (a *amAlert) merge(old *amAlert, now time.Time) {
	overlap := a.EndsAt.After(old.StartsAt) && a.EndsAt.Before(old.EndsAt) || a.StartsAt.After(old.StartsAt) && a.StartsAt.Before(old.EndsAt)
	if !overlap {
		return
	}
	if old.StartsAt.Before(a.StartsAt) {
		a.StartsAt = old.StartsAt
	}
	resolved := !a.EndsAt.After(now)
	later := old.EndsAt.After(a.EndsAt)
	if later && (resolved && !old.EndsAt.After(now) || !resolved && !old.timeout) {
		a.EndsAt = old.EndsAt
	}
}

type amStatus struct {
	State       string   `json:"state"`
	SilencedBy  []string `json:"silencedBy"`
	InhibitedBy []string `json:"inhibitedBy"`
}

type amSilence struct {
	ID        string      `json:"id"`
	Matchers  []amMatcher `json:"matchers"`
	StartsAt  time.Time   `json:"startsAt"`
	EndsAt    time.Time   `json:"endsAt"`
	CreatedBy string      `json:"createdBy"`
	Comment   string      `json:"comment"`
	Status    struct {
		State string `json:"state"`
	} `json:"status"`
}

type amMatcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual"`
}

func (m amMatcher) matches(labels map[string]string) bool {
	equal := m.IsEqual == nil || *m.IsEqual
	if m.IsRegex {
		re, err := regexp.Compile("^(?:" + m.Value + ")$")
		return err == nil && re.MatchString(labels[m.Name]) == equal
	}
	return (labels[m.Name] == m.Value) == equal
}

// Forget drops all alerts and keeps the silences: what a restart does.
func (a *Alertmanager) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.alerts)
}

// Firing are the alerts that fire now, by alertname, with their end.
func (a *Alertmanager) Firing() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]time.Time{}
	for _, alert := range a.alerts {
		if alert.EndsAt.After(time.Now()) {
			all[alert.Labels["alertname"]] = alert.EndsAt
		}
	}
	return all
}

// Silence makes a silence as a person would, and returns its id.
func (a *Alertmanager) Silence(by, comment string, until time.Time, label, value string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seq++
	s := amSilence{ID: fmt.Sprintf("silence-%d", a.seq), CreatedBy: by, Comment: comment, StartsAt: time.Now(), EndsAt: until}
	s.Matchers = []amMatcher{{Name: label, Value: value}}
	a.silences[s.ID] = s
	return s.ID
}

// Expire ends a silence.
func (a *Alertmanager) Expire(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.silences[id]
	s.EndsAt = time.Now()
	a.silences[id] = s
}

func (a *Alertmanager) serve(c *call) {
	if id, ok := strings.CutPrefix(c.r.URL.Path, "/api/v2/silence/"); ok && c.r.Method == http.MethodGet {
		a.one(c, id)
		return
	}
	switch c.r.Method + " " + c.r.URL.Path {
	case "POST /api/v2/alerts":
		a.post(c)
	case "GET /api/v2/alerts":
		a.list(c)
	default:
		c.refuse(http.StatusNotFound, "", "%s %s", c.r.Method, c.r.URL.Path)
	}
}

// one answers with a silence.
func (a *Alertmanager) one(c *call, id string) {
	a.mu.Lock()
	s, ok := a.silences[id]
	a.mu.Unlock()
	if !ok {
		c.answer(http.StatusNotFound, "")
		return
	}
	s.Status.State = "active"
	if !s.EndsAt.After(time.Now()) {
		s.Status.State = "expired"
	}
	c.json(s)
}

func (c *call) json(v any) {
	body, err := json.Marshal(v)
	if err != nil {
		c.refuse(http.StatusInternalServerError, "", "%v", err)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.answer(http.StatusOK, string(body))
}

var (
	amLabel  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	amFilter = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="(.*)"$`)
)

// post takes the valid alerts of a batch and says 400 when one is not, as 0.25 does.
func (a *Alertmanager) post(c *call) {
	if !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		c.refuse(http.StatusUnsupportedMediaType, "", "content type %q", c.r.Header.Get("Content-Type"))
		return
	}
	var batch []*amAlert
	if err := json.Unmarshal(c.body, &batch); err != nil {
		c.refuse(http.StatusBadRequest, "", "%v", err)
		return
	}
	for _, alert := range batch {
		if alert.GeneratorURL != "" {
			if u, err := url.ParseRequestURI(alert.GeneratorURL); err != nil || u.Host == "" {
				c.refuse(http.StatusUnprocessableEntity, "", "generatorURL %q", alert.GeneratorURL)
				return
			}
		}
	}
	var wrong []string
	for _, alert := range batch {
		if why := a.put(alert); why != "" {
			wrong = append(wrong, why)
		}
	}
	if len(wrong) > 0 {
		c.refuse(http.StatusBadRequest, "", "%s", strings.Join(wrong, "; "))
		return
	}
	c.w.WriteHeader(http.StatusOK)
}

func (a *Alertmanager) put(alert *amAlert) (wrong string) {
	now := time.Now()
	switch {
	case alert.StartsAt.IsZero() && !alert.EndsAt.IsZero():
		alert.StartsAt = alert.EndsAt
	case alert.StartsAt.IsZero():
		alert.StartsAt = now
	}
	if alert.EndsAt.IsZero() {
		alert.EndsAt, alert.timeout = now.Add(5*time.Minute), true
	}
	if alert.EndsAt.Before(alert.StartsAt) {
		return "start time must be before end time"
	}
	maps.DeleteFunc(alert.Labels, func(_, v string) bool { return v == "" })
	if len(alert.Labels) == 0 {
		return "at least one label pair required"
	}
	for _, names := range []map[string]string{alert.Labels, alert.Annotations} {
		for name := range names {
			if !amLabel.MatchString(name) {
				return fmt.Sprintf("invalid name %q", name)
			}
		}
	}
	alert.Fingerprint = fmt.Sprint(alert.Labels)
	verb := "firing"
	if !alert.EndsAt.After(now) {
		verb = "resolved"
	}
	a.mu.Lock()
	if old := a.alerts[alert.Fingerprint]; old != nil {
		alert.merge(old, now)
	}
	a.alerts[alert.Fingerprint] = alert
	a.mu.Unlock()
	a.take(Event{
		Key: alert.Labels["alertname"] + "/" + alert.Annotations["incident"], Verb: verb, ID: alert.Annotations["notification"],
		same: fmt.Sprint(alert.Labels, alert.Annotations),
	})
	return ""
}

// list answers with the alerts that fire and match the filters.
func (a *Alertmanager) list(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := []amAlert{}
	for _, fp := range slices.Sorted(maps.Keys(a.alerts)) {
		alert := *a.alerts[fp]
		matches := alert.EndsAt.After(time.Now())
		if c.r.URL.Query().Get("active") == "false" {
			matches = matches && len(a.silencedBy(&alert)) > 0
		}
		for _, f := range c.r.URL.Query()["filter"] {
			m := amFilter.FindStringSubmatch(f)
			matches = matches && m != nil && alert.Labels[m[1]] == m[2]
		}
		if !matches {
			continue
		}
		alert.Status = amStatus{State: "active", SilencedBy: a.silencedBy(&alert), InhibitedBy: []string{}}
		if len(alert.Status.SilencedBy) > 0 {
			alert.Status.State = "suppressed"
		}
		found = append(found, alert)
	}
	body, err := json.Marshal(found)
	if err != nil {
		c.answer(http.StatusInternalServerError, err.Error())
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.answer(http.StatusOK, string(body))
}

// silencedBy are the silences that match an alert. a.mu is held.
func (a *Alertmanager) silencedBy(alert *amAlert) []string {
	ids := []string{}
	for _, id := range slices.Sorted(maps.Keys(a.silences)) {
		s := a.silences[id]
		all := s.EndsAt.After(time.Now())
		for _, m := range s.Matchers {
			all = all && m.matches(alert.Labels)
		}
		if all {
			ids = append(ids, id)
		}
	}
	return ids
}

// An Alert that fires.
type Alert struct {
	Labels, Annotations map[string]string
	GeneratorURL        string
}

// Alerts are those that fire now.
func (a *Alertmanager) Alerts() []Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Alert
	for _, fp := range slices.Sorted(maps.Keys(a.alerts)) {
		if alert := a.alerts[fp]; alert.EndsAt.After(time.Now()) {
			all = append(all, Alert{alert.Labels, alert.Annotations, alert.GeneratorURL})
		}
	}
	return all
}
