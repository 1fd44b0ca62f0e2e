package alertmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// A Silence is one that holds now on one of our alerts: somebody knows of it.
type Silence struct {
	ID       string // Alertmanager's
	DedupKey string // of the notifications about the incident
	Incident string // its id
	By       string // who made it, as Alertmanager was told
	Comment  string
	Since    time.Time
	Until    time.Time
}

// Silenced asks all members which silences hold on alerts of selfheal that fire
// now, also those of other services, sorted by ID and DedupKey. Members that do not
// answer are left out; it is an error when none does, and then nothing is known.
//
// Whoever may write to Alertmanager may make silences under any name, and alerts
// that look like ours: what a silence stops should be notices, not healing.
func (n *Notifier) Silenced(ctx context.Context) ([]Silence, error) {
	if n == nil || n.sender == nil {
		return nil, deliver.Unmade(provider)
	}
	found := map[[2]string]Silence{}
	states := map[string]state{}
	var errs []error
	for _, member := range n.members {
		alerts, err := n.silencedAlerts(ctx, member)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, a := range alerts {
			for _, id := range a.Status.SilencedBy {
				s, known := states[id]
				if !known {
					if s, err = n.silence(ctx, member, id); err != nil {
						return nil, err
					}
					states[id] = s
				}
				key := a.Annotations[keyAnnotation]
				if s.Status.State == "active" && key != "" {
					found[[2]string{id, key}] = Silence{
						ID: id, DedupKey: key, Incident: a.Annotations["incident"],
						By: s.CreatedBy, Comment: s.Comment, Since: s.StartsAt, Until: s.EndsAt,
					}
				}
			}
		}
	}
	if len(errs) == len(n.members) {
		return nil, joined(errs)
	}
	for _, err := range errs {
		n.warn("a member did not say which alerts are silenced", "error", err)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Silence) int {
		return strings.Compare(a.ID+"\x00"+a.DedupKey, b.ID+"\x00"+b.DedupKey)
	}), nil
}

type silenced struct {
	Annotations map[string]string
	Status      struct{ SilencedBy []string }
}

// state is what a member says of a silence; the zero value is one that it does
// not know.
type state struct {
	CreatedBy, Comment string
	StartsAt, EndsAt   time.Time
	Status             struct{ State string }
}

func (n *Notifier) silencedAlerts(ctx context.Context, member *url.URL) (found []silenced, err error) {
	u := member.JoinPath("api", "v2", "alerts")
	u.RawQuery = url.Values{
		"filter": {fmt.Sprintf("%s=%q", sourceLabel, source)},
		"active": {"false"}, "unprocessed": {"false"}, "silenced": {"true"}, "inhibited": {"true"},
	}.Encode()
	err = n.get(ctx, u, &found)
	return found, err
}

func (n *Notifier) silence(ctx context.Context, member *url.URL, id string) (s state, err error) {
	err = n.get(ctx, member.JoinPath("api", "v2", "silence", url.PathEscape(id)), &s)
	return s, err
}

// holds says whether a silence still holds: where any member has it as active.
// Members share their silences, so one answer is enough for a no; it is an error
// when there is none.
func (n *Notifier) holds(ctx context.Context, id string) (bool, error) {
	var errs []error
	for _, member := range n.members {
		s, err := n.silence(ctx, member, id)
		if err != nil {
			errs = append(errs, err)
		} else if s.Status.State == "active" {
			return true, nil
		}
	}
	if len(errs) == len(n.members) {
		return false, joined(errs)
	}
	return false, nil
}

// get reads JSON. What is not found leaves v as it is.
func (n *Notifier) get(ctx context.Context, u *url.URL, v any) error {
	a, err := n.sender.Send(ctx, deliver.Request{Method: http.MethodGet, URL: u, Header: n.header.Clone()})
	switch {
	case err != nil:
		return err
	case a.Status == http.StatusNotFound && strings.Contains(u.Path, "/silence/"):
		return nil
	case a.Class() != deliver.Taken:
		return n.sender.Refused(a, a.Class(), "")
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return n.sender.Refused(a, deliver.Passing, "that is no JSON of Alertmanager's API v2: check URLs, and for a proxy in between")
	}
	return nil
}
