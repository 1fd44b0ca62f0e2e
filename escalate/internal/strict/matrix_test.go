package strict_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/alertmanager"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/escalate/opsgenie"
	"github.com/selfheal-go/selfheal/escalate/pagerduty"
	"github.com/selfheal-go/selfheal/escalate/slack"
	"github.com/selfheal-go/selfheal/escalate/webhook"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// A subject builds a notifier with the provider that it calls.
type subject func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier)

func subjects() map[string]subject {
	built := func(t *testing.T, s *strict.Server, n escalate.Notifier, err error) (*strict.Server, escalate.Notifier) {
		t.Helper()
		require.NoError(t, err)
		return s, n
	}
	return map[string]subject{
		"alertmanager": func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier) {
			s := strict.NewAlertmanager(t)
			n, err := alertmanager.New(alertmanager.Config{URLs: []string{s.URL}, Client: s.Client(), Timeout: timeout, Hold: -1})
			return built(t, s.Server, n, err)
		},
		"opsgenie": func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier) {
			s := strict.Opsgenie(t, "", "key-of-a-test")
			n, err := opsgenie.New(opsgenie.Config{Key: "key-of-a-test", BaseURL: s.URL, Client: s.Client(), Timeout: timeout})
			return built(t, s, n, err)
		},
		"pagerduty": func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier) {
			key := strings.Repeat("k", 32)
			s := strict.PagerDuty(t, key)
			n, err := pagerduty.New(pagerduty.Config{RoutingKey: escalate.Secret(key), BaseURL: s.URL, Client: s.Client(), Timeout: timeout})
			return built(t, s, n, err)
		},
		"slack": func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier) {
			s := strict.Slack(t, "/services/secret")
			n, err := slack.New(slack.Config{URL: escalate.Secret(s.URL + "/services/secret"), Client: s.Client(), Timeout: timeout})
			return built(t, s, n, err)
		},
		"webhook": func(t *testing.T, timeout time.Duration) (*strict.Server, escalate.Notifier) {
			const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
			s := strict.Webhook(t, "/hook", secret)
			n, err := webhook.New(webhook.Config{URL: escalate.Secret(s.URL + "/hook"), Secrets: []escalate.Secret{secret}, Client: s.Client(), Timeout: timeout})
			return built(t, s, n, err)
		},
	}
}

// Every notifier meets every fault, behind the outbox that serves it in
// production. Nothing is lost, nothing is doubled under another id, and order is
// kept.
func TestFaultMatrix(t *testing.T) {
	for name, build := range subjects() {
		for what, fault := range strict.Faults {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				timeout := 10 * time.Second
				if fault == strict.Slow {
					timeout = time.Second
				}
				s, n := build(t, timeout)
				meet(t, s, n, fault)
			})
		}
	}
}

// A run is an outbox with one target, and what became of what.
type run struct {
	t   *testing.T
	box *outbox.Driver

	mu     sync.Mutex
	handed map[string]escalate.Notification // by id
	ended  map[string]string
	final  []error
}

func newRun(t *testing.T, n escalate.Notifier) *run {
	t.Helper()
	r := &run{t: t, handed: map[string]escalate.Notification{}, ended: map[string]string{}}
	r.box = outbox.NewDriver(outbox.DriverOptions{
		Machine: outbox.Options{IDPrefix: "life-1-", RetryFirst: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond},
		Timeout: 20 * time.Second,
		Deliver: func(ctx context.Context, _ string, m escalate.Notification) error {
			r.mu.Lock()
			r.handed[m.ID] = m
			r.mu.Unlock()
			return n.Notify(ctx, m)
		},
		On: func(e outbox.Effect) {
			r.mu.Lock()
			defer r.mu.Unlock()
			switch e := e.(type) {
			case outbox.Delivered:
				r.ended[e.Notification.ID] = "delivered"
			case outbox.Superseded:
				r.ended[e.ID] = "superseded"
			case outbox.Undeliverable:
				r.ended[e.Notification.ID] = "undeliverable"
				r.final = append(r.final, e.Last)
			}
		},
	})
	return r
}

func (r *run) trigger(i int) {
	n := strict.Notice(escalate.Trigger, i)
	r.box.Input(outbox.Escalate{Notification: n, Plan: outbox.Plan{Levels: []outbox.Level{{To: []string{"people"}}}}})
}

func (r *run) resolve(i int) {
	n := strict.Notice(escalate.Resolve, i)
	r.box.Input(outbox.Resolve{DedupKey: n.DedupKey, Incident: n.Incident, At: n.At})
}

func (r *run) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("not within 90 s: %s; owed: %+v; ended: %v", what, r.box.Snapshot(), r.ended)
		}
	}
}

func (r *run) settled() bool { return r.box.Stats().Owed == 0 }

func meet(t *testing.T, s *strict.Server, n escalate.Notifier, fault strict.Fault) {
	r := newRun(t, n)
	r.trigger(1)
	r.until("the first call is delivered", r.settled)

	s.Break(fault)
	before := s.Hits(fault)
	r.trigger(2)
	r.trigger(3)
	r.until("the fault was met", func() bool {
		hits := s.Hits(fault) - before
		return hits >= 2 || hits == 1 && r.settled() // a webhook is switched off by one 410
	})
	r.resolve(3) // it began and ends while the provider is down
	r.resolve(1)
	if fault == strict.Rejected {
		r.until("what is refused for good is given up", r.settled)
	}
	s.Break(strict.None)
	r.until("all is delivered when the provider is back", r.settled)
	r.resolve(2)
	r.until("the last end is told", r.settled)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, r.box.Drain(ctx))

	r.mu.Lock()
	defer r.mu.Unlock()
	for id, m := range r.handed {
		require.NotEmpty(t, r.ended[id], "%s of %s was lost", m.Kind, m.DedupKey)
	}
	require.Empty(t, s.Refused(), "the notifier broke a rule of its provider")
	for _, err := range r.final {
		require.True(t, escalate.IsPermanent(err), "given up for a passing failure: %v", err)
	}
	if fault == strict.Rejected {
		require.NotEmpty(t, r.final)
	} else {
		require.Empty(t, r.final)
	}
	r.told(s, fault)
}

// told holds what the provider took to what people must have read, and how often.
func (r *run) told(s *strict.Server, fault strict.Fault) {
	ids := map[string]map[string]bool{} // by incident and kind
	story := map[string][]string{}      // by incident
	for _, e := range s.Events() {
		key, kind := e.Key, escalate.Resolve.String() // only ends have no id
		if m, known := r.handed[e.ID]; known {
			key, kind = m.DedupKey, m.Kind.String()
			about := key + " " + kind
			if ids[about] == nil {
				ids[about] = map[string]bool{}
			}
			ids[about][e.ID] = true
		} else {
			require.Empty(r.t, e.ID, "the provider has an id that is not ours")
		}
		if told := story[key]; len(told) == 0 || told[len(told)-1] != kind {
			story[key] = append(told, kind)
		}
	}
	for about, all := range ids {
		require.Len(r.t, all, 1, "%s was told under several ids: %v", about, slices.Collect(maps.Keys(all)))
	}
	if fault == strict.Rejected {
		return // what was not given up is told; the rest is for the next level
	}
	both := []string{"trigger", "resolve"}
	require.Equal(r.t, both, story["inc-1"])
	require.Equal(r.t, both, story["inc-2"])
	if got := story["inc-3"]; !slices.Equal(got, both) {
		require.Equal(r.t, []string{"resolve"}, got, "one notice that says that it began and ended")
	}
	require.Len(r.t, story, 3, fmt.Sprint(story))
}
