package opsgenie

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// errAbsent says that there is no open alert to do something to.
var errAbsent = errors.New("opsgenie: there is no such alert")

type alert struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"`
	Description string            `json:"description,omitempty"`
	Responders  []Responder       `json:"responders,omitempty"`
	Tags        []string          `json:"tags,omitempty"`
	Details     map[string]string `json:"details,omitempty"`
	Entity      string            `json:"entity,omitempty"`
	Source      string            `json:"source,omitempty"`
	Priority    string            `json:"priority,omitempty"`
}

func (n *Notifier) create(ctx context.Context, alias string, m escalate.Notification) error {
	a := alert{
		Message: message(m.Title()), Alias: alias,
		Description: description(m), Responders: n.cfg.Responders, Tags: n.cfg.Tags,
		// Details are counted in characters, and room in bytes: never too many.
		Details: deliver.Details(m, longestDetails-200),
		Entity:  deliver.Cut(m.Incident.Finding.Key, longestEntity),
		Source:  deliver.Cut(cmp.Or(m.Incident.Service, "selfheal"), longestSource), Priority: n.priority(m.Incident),
	}
	return n.request(ctx, http.MethodPost, n.base.JoinPath("v2", "alerts"), a)
}

// act does something to the alert of an alias.
func (n *Notifier) act(ctx context.Context, method, alias, verb string, body map[string]string) error {
	u := n.base.JoinPath("v2", "alerts", url.PathEscape(alias), verb)
	u.RawQuery = "identifierType=alias"
	return n.request(ctx, method, u, body)
}

func (n *Notifier) request(ctx context.Context, method string, u *url.URL, v any) error {
	body, err := deliver.Fit(longestBody, func(int) any { return v })
	if err != nil {
		return escalate.Permanent(fmt.Errorf("opsgenie: %w", err))
	}
	a, err := n.sender.Send(ctx, deliver.Request{Method: method, URL: u, Header: n.header(), Body: body})
	if err != nil {
		return err
	}
	if c := class(a); c != deliver.Taken {
		return n.refused(a, c)
	}
	var said struct {
		RequestID string `json:"requestId"`
	}
	if a.Status != http.StatusAccepted || json.Unmarshal(a.Body, &said) != nil || said.RequestID == "" {
		return n.sender.Refused(a, deliver.Passing, "that is not how a request is accepted: check BaseURL, and for a proxy in between")
	}
	return n.confirm(ctx, said.RequestID)
}

// confirm waits for the result of a request. What the provider has queued is not
// lost, so only its own no is a failure.
func (n *Notifier) confirm(ctx context.Context, id string) error {
	if n.cfg.Confirm < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Confirm)
	defer cancel()
	u := n.base.JoinPath("v2", "alerts", "requests", url.PathEscape(id))
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		a, err := n.sender.Send(ctx, deliver.Request{Method: http.MethodGet, URL: u, Header: n.header()})
		var said struct {
			Data struct {
				IsSuccess *bool
				Status    string
			}
		}
		if err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, &said) == nil && said.Data.IsSuccess != nil {
			switch status := said.Data.Status; {
			case *said.Data.IsSuccess:
				return nil
			case strings.Contains(strings.ToLower(status), "does not exist"):
				return errAbsent
			default:
				return n.sender.Refused(a, deliver.Passing, "it was queued, and then refused")
			}
		}
		if err == nil && a.Status != http.StatusNotFound && a.Status != http.StatusOK && class(a) == deliver.Final {
			return nil // the key may not read results
		}
		if !deliver.Pause(ctx, pause) {
			return nil
		}
	}
}

func (n *Notifier) header() http.Header {
	return http.Header{"Authorization": {"GenieKey " + string(n.cfg.Key)}}
}

// class is that of the status, but for one: a method that is not implemented
// will not be later.
func class(a deliver.Answer) deliver.Class {
	if a.Status == http.StatusNotImplemented {
		return deliver.Final
	}
	return a.Class()
}

// refused keeps to the provider's own header where Retry-After is missing.
func (n *Notifier) refused(a deliver.Answer, c deliver.Class) error {
	err := n.sender.Refused(a, c, "")
	var f *escalate.Failure
	if errors.As(err, &f) && f.RetryAfter == 0 && strings.EqualFold(a.Header.Get("X-RateLimit-State"), "THROTTLED") {
		f.RetryAfter = deliver.Seconds(a.Header.Get("X-RateLimit-Period-In-Sec"))
	}
	return err
}

func message(title string) string { return deliver.Cut(title, longestMessage) }

// description is the diagnosis with the links that it does not name.
func description(m escalate.Notification) string {
	links := ""
	for _, l := range deliver.Links(escalate.Notification{Links: m.Links}) {
		if more := l.Text + ": " + l.Href + "\n"; len(links)+len(more) < longestDescription/3 {
			links += more
		}
	}
	if links != "" {
		links = "\n" + links
	}
	return deliver.Cut(m.Text(), longestDescription-len(links)) + links
}

func (n *Notifier) priority(in escalate.Incident) string {
	if in.Finding.Severity == detect.Critical {
		return n.cfg.CriticalPriority
	}
	return n.cfg.WarningPriority
}
