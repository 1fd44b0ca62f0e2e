package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

const (
	// longestGroup is a little more than Alertmanager's default group_interval:
	// what fires for so long is told.
	longestGroup = 6 * time.Minute
	// skew is by how much the clocks of members may be behind ours. Alertmanager
	// takes an end that is not in its past for one that may only be put off.
	skew = 30 * time.Second
	// again is how long a resolve is sent again, in which a member that was down
	// may come back ([Run]).
	again = 5 * time.Minute
	// mostLive bounds the alerts that are remembered. What is beyond it is sent,
	// and not sent again.
	mostLive = 10_000
)

// A sent alert is what the members are to have.
type sent struct {
	alert
	key      string // the incident's
	question bool
	first    time.Time // when it was first taken
	over     bool      // EndsAt stays as it is
	unsure   bool      // no member said that it has it, and one may
	// before is said first, where a member may have the alert with a later end:
	// Alertmanager never brings an end forward, so one that is to fire for a while
	// more ends and begins again.
	before *alert
}

// ends lets s end: at once, or after it has fired until then.
func (s *sent) ends(now, closed, until time.Time) {
	end := now.Add(-skew)
	if !closed.IsZero() && closed.Before(end) {
		end = closed
	}
	ended := s.end(end)
	s.over, s.before, s.alert = true, nil, ended
	if until.After(now) {
		s.before = &ended
		s.StartsAt, s.EndsAt = ended.EndsAt, until.UTC()
	}
}

// Notify sends one notification as an alert to all members at once; see the
// package for what becomes of each kind. nil means that at least one member has
// it. An error is final when it is for all members, and no error shows a
// credential.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	m = deliver.Clean(m)
	now := time.Now()
	n.sweep(now)
	var batch []*sent
	switch {
	case m.Kind == escalate.Resolve && m.BeganAndEnded:
		// It has to fire to be told at all, and ends by itself.
		s := n.sent(m, false)
		s.first = now
		hold := n.cfg.Hold
		if hold < 0 {
			hold = longestGroup
		}
		s.ends(now, m.Incident.Closed, now.Add(hold))
		n.mu.Lock()
		if n.live[s.identity()] == nil {
			s.before = nil
		}
		n.mu.Unlock()
		batch = []*sent{s}
	case m.Kind == escalate.Resolve:
		batch = n.resolve(m, now)
	default:
		batch = n.fire(m, now)
	}
	if len(batch) == 0 {
		return nil
	}
	err := n.post(ctx, batch)
	n.remember(batch, err != nil)
	return err
}

func (n *Notifier) sent(m escalate.Notification, question bool) *sent {
	return &sent{alert: n.alert(m, question), key: deliver.DedupKey(m, longestValue), question: question}
}

// fire is the alert, and the end of what it was before under other labels: its
// severity may have changed.
func (n *Notifier) fire(m escalate.Notification, now time.Time) []*sent {
	s := n.sent(m, m.Kind == escalate.Ask)
	s.first = now
	s.alert = s.end(now.Add(n.cfg.Expire))
	id := s.identity()
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.live[id]; old != nil && old.key == s.key && !old.over {
		s.first = old.first
	}
	batch := []*sent{s}
	for other, old := range n.live {
		if other != id && old.key == s.key && old.question == s.question && !old.over {
			ended := *old
			ended.ends(now, time.Time{}, time.Time{})
			batch = append(batch, &ended)
		}
	}
	return batch
}

// resolve ends all that is known of an incident, and what would be known but for
// a restart. What fires for another incident now is left alone. It is remembered
// as over before it is sent, so that Run does not say otherwise meanwhile.
func (n *Notifier) resolve(m escalate.Notification, now time.Time) []*sent {
	main, question := n.sent(m, false), n.sent(m, true)
	byID := map[string]*sent{main.identity(): main}
	n.mu.Lock()
	defer n.mu.Unlock()
	restarted := n.live[main.identity()] == nil
	for id, old := range n.live {
		if old.key == main.key && byID[id] == nil {
			ended := *old
			byID[id] = &ended
			restarted = false
		}
	}
	if id := question.identity(); restarted || byID[id] != nil {
		byID[id] = question
	}
	var batch []*sent
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		s, old := byID[id], n.live[id]
		until := time.Time{}
		if old != nil {
			if old.key != s.key && !old.over {
				continue
			}
			if old.key == s.key {
				s.first, s.StartsAt = old.first, old.StartsAt
				until = old.first.Add(n.cfg.Hold)
			}
		}
		s.ends(now, m.Incident.Closed, until)
		if old != nil {
			n.live[id] = s
		}
		batch = append(batch, s)
	}
	return batch
}

// remember keeps what members have, or may have although they did not say so.
func (n *Notifier) remember(batch []*sent, unsure bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range batch {
		id := s.identity()
		_, known := n.live[id]
		if known && unsure || !known && len(n.live) >= mostLive {
			continue
		}
		s.unsure = unsure
		n.live[id] = s
	}
}

// sweep forgets what has been over for long enough.
func (n *Notifier) sweep(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.live, func(_ string, s *sent) bool {
		return s.over && now.After(s.EndsAt.Add(again)) || s.unsure && now.After(s.first.Add(n.cfg.Expire))
	})
}

// post sends alerts to the members. It fails when none takes them. What goes
// before goes alone: Alertmanager tells two states of an alert apart by the time of
// the request, and may drop the later of one request with the earlier.
func (n *Notifier) post(ctx context.Context, batch []*sent) error {
	var before, alerts []alert
	for _, s := range batch {
		if s.before != nil {
			before = append(before, *s.before)
		}
		alerts = append(alerts, s.alert)
	}
	if len(before) > 0 {
		if err := n.postAll(ctx, before); err != nil {
			return err
		}
	}
	return n.postAll(ctx, alerts)
}

// postAll sends alerts to all members at once.
func (n *Notifier) postAll(ctx context.Context, alerts []alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return escalate.Permanent(fmt.Errorf("alertmanager: the notification has no JSON: %w", err))
	}
	errs := make([]error, len(n.members))
	var all sync.WaitGroup
	for i, u := range n.members {
		all.Go(func() { errs[i] = n.postTo(ctx, u, body) })
	}
	all.Wait()
	if !slices.Contains(errs, nil) {
		return joined(errs)
	}
	for i, err := range errs {
		if err != nil {
			n.warn("a member did not take what another took", "member", i, "error", err)
		}
	}
	return nil
}

func (n *Notifier) postTo(ctx context.Context, member *url.URL, body []byte) error {
	a, err := n.sender.Send(ctx, deliver.Request{URL: member.JoinPath("api", "v2", "alerts"), Header: n.header.Clone(), Body: body})
	switch {
	case err != nil:
		return err
	case a.Class() != deliver.Taken:
		return n.sender.Refused(a, a.Class(), "")
	case strings.TrimSpace(string(a.Body)) != "":
		return n.sender.Refused(a, deliver.Passing, "Alertmanager accepts without a word: check URLs, and for a proxy in between")
	}
	return nil
}

// joined is the error of all members: final when all are, and with the longest
// wait that one of them asks for.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	f := &escalate.Failure{Permanent: true}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
		var one *escalate.Failure
		if errors.As(err, &one) {
			f.RetryAfter = max(f.RetryAfter, one.RetryAfter)
			texts[i] = one.Err.Error()
		}
		f.Permanent = f.Permanent && escalate.IsPermanent(err)
	}
	f.Err = fmt.Errorf("alertmanager: all %d members failed: %s", len(errs), strings.Join(texts, "; "))
	return f
}
