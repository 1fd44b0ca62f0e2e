package pagerduty_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/escalate/pagerduty"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const key = "0123456789abcdef0123456789abcdef"

func service(t *testing.T) (*strict.Server, *pagerduty.Notifier) {
	t.Helper()
	s := strict.PagerDuty(t, key)
	n, err := pagerduty.New(pagerduty.Config{RoutingKey: key, BaseURL: s.URL, Client: s.Client()})
	require.NoError(t, err)
	return s, n
}

// verbs are what the provider took, as "verb key".
func verbs(s *strict.Server) []string {
	var all []string
	for _, e := range s.Events() {
		all = append(all, e.Verb+" "+e.Key)
	}
	return all
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		s, n := service(t)
		return selfhealtest.NotifierFixture{
			Notifier: n, Messages: s.Messages, Secrets: []string{key},
			Fail: func() { s.Break(strict.Unavailable) }, Hang: func() { s.Break(strict.Slow) },
			Patience: 5 * time.Second,
		}
	})
}

func TestKindsBecomeVerbs(t *testing.T) {
	s, n := service(t)
	for _, k := range []escalate.Kind{escalate.Ask, escalate.Trigger, escalate.Update, escalate.Resolve, escalate.Trigger} {
		require.NoError(t, n.Notify(t.Context(), strict.Notice(k, 1)))
	}
	require.Equal(t, []string{
		"trigger inc-1/ask", "trigger inc-1", "trigger inc-1", "resolve inc-1", "resolve inc-1/ask", "trigger inc-1",
	}, verbs(s))
	require.Empty(t, s.Refused())
}

func TestAcknowledgeReachesTheIncidentAndItsQuestion(t *testing.T) {
	s, n := service(t)
	require.NoError(t, n.Acknowledge(t.Context(), "inc-1"), "nothing is open: PagerDuty drops it")
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Ask, 1)))
	require.NoError(t, n.Acknowledge(t.Context(), "inc-1"))
	require.Equal(t, []string{"trigger inc-1", "trigger inc-1/ask", "acknowledge inc-1", "acknowledge inc-1/ask"}, verbs(s))
	require.Error(t, n.Acknowledge(t.Context(), ""))
}

func TestWhatBeganAndEndedIsTriggeredAndResolved(t *testing.T) {
	s, n := service(t)
	m := strict.Notice(escalate.Resolve, 1)
	m.BeganAndEnded = true
	require.NoError(t, n.Notify(t.Context(), m))
	require.Equal(t, []string{"trigger inc-1", "resolve inc-1"}, verbs(s))
	require.Contains(t, string(s.Events()[0].Body), "began and ended: orders orders/queue-1")
}

// The second of two events failed: the first is not sent again, for after a
// resolve that only seemed to fail it would open a new alert.
func TestARetryGoesOnWhereItFailed(t *testing.T) {
	s := strict.PagerDuty(t, key)
	client := s.Client()
	fail := true
	inner := client.Transport
	client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		body := peek(r)
		resp, err := inner.RoundTrip(r)
		if fail && err == nil && strings.Contains(body, `"event_action":"resolve"`) {
			resp.Body.Close()
			return nil, fmt.Errorf("cut")
		}
		return resp, err
	})
	n, err := pagerduty.New(pagerduty.Config{RoutingKey: key, BaseURL: s.URL, Client: client})
	require.NoError(t, err)
	m := strict.Notice(escalate.Resolve, 1)
	m.BeganAndEnded = true
	require.Error(t, n.Notify(t.Context(), m))
	fail = false
	require.NoError(t, n.Notify(t.Context(), m))
	require.Equal(t, []string{"trigger inc-1", "resolve inc-1"}, verbs(s))
	require.Equal(t, 4, s.Calls(), "trigger, a resolve whose answer is lost, resolve, resolve of the question")
}

func TestTheEventSaysEverything(t *testing.T) {
	s, n := service(t)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	var e struct {
		ClientURL string `json:"client_url"`
		Payload   struct {
			Summary, Source, Severity, Component, Group, Class string
			Details                                            map[string]string `json:"custom_details"`
		}
		Links  []struct{ Href, Text string }
		Images []struct{ Src, Alt string }
	}
	require.NoError(t, json.Unmarshal(s.Events()[0].Body, &e))
	require.Equal(t, "orders orders/queue-1[eu <1>]: 9000 jobs is above 5000 & grows", e.Payload.Summary)
	require.Equal(t, []string{"orders", "critical", "orders/queue-1", "eu <1>", "exhausted"},
		[]string{e.Payload.Source, e.Payload.Severity, e.Payload.Component, e.Payload.Group, e.Payload.Class})
	require.Contains(t, e.Payload.Details["diagnosis"], "scale-workers: no effect")
	require.Equal(t, "inc-1-trigger", e.Payload.Details["notification"])
	require.Equal(t, "9000 jobs", e.Payload.Details["value"])
	require.Equal(t, "https://console.example/ack?id=inc-1&sig=s", e.ClientURL)
	require.Equal(t, []string{"Acknowledge", "Runbook", "Evidence: goroutines", "Evidence: depth"},
		[]string{e.Links[0].Text, e.Links[1].Text, e.Links[2].Text, e.Links[3].Text})
	require.Len(t, e.Images, 1)
}

// Every value is as long as can be and grows six times in JSON.
func TestAHugeEventIsCutAndSaysSo(t *testing.T) {
	s, n := service(t)
	m := strict.Notice(escalate.Trigger, 1)
	m.DedupKey = strings.Repeat("k", 300)
	m.Incident.Finding.Labels = map[string]string{}
	for i := range 1000 {
		m.Incident.Finding.Labels[fmt.Sprint("l", i)] = strings.Repeat("<", 5000)
		m.Incident.Attempts = append(m.Incident.Attempts, remediate.Attempt{Step: strings.Repeat("<", 1000), UndoErr: errors.New(strings.Repeat("<", 1000))})
		m.Incident.Symptoms = append(m.Incident.Symptoms, strings.Repeat("<", 5000))
		m.Incident.Evidence = append(m.Incident.Evidence, escalate.Evidence{Name: strings.Repeat("<", 5000), Ref: "https://e.example/" + strings.Repeat("x", 1900)})
	}
	require.NoError(t, n.Notify(t.Context(), m))
	e := s.Events()[0]
	require.Greater(t, len(e.Body), 100_000)
	require.Contains(t, string(e.Body), "some details were left out")
	require.Contains(t, string(e.Body), "… (cut)")
	m.Kind = escalate.Resolve
	require.NoError(t, n.Notify(t.Context(), m))
	require.Equal(t, e.Key, s.Events()[1].Key)
	require.Len(t, e.Key, 255)
}

func TestStatusSaysWhetherToTryAgain(t *testing.T) {
	s, n := service(t)
	for _, c := range []struct {
		fault     strict.Fault
		permanent bool
		wait      time.Duration
		text      string
	}{
		{strict.Rejected, true, 0, "answered 400 Bad Request (never)"},
		{strict.Throttled, false, time.Second, "answered 429 Too Many Requests (slow down)"},
		{strict.Unavailable, false, 0, "answered 503 Service Unavailable (upstream is down)"},
		{strict.WrongBody, false, 0, "that is not how PagerDuty accepts"},
	} {
		s.Break(c.fault)
		err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
		require.ErrorContains(t, err, "pagerduty: ")
		require.ErrorContains(t, err, c.text)
		require.Equal(t, c.permanent, escalate.IsPermanent(err), c.text)
		var f *escalate.Failure
		require.ErrorAs(t, err, &f)
		require.Equal(t, c.wait, f.RetryAfter)
	}
}

func TestAWrongKeyIsFinalAndNotShown(t *testing.T) {
	s := strict.PagerDuty(t, key)
	wrong := strings.Repeat("z", 32)
	n, err := pagerduty.New(pagerduty.Config{RoutingKey: escalate.Secret(wrong), BaseURL: s.URL, Client: s.Client()})
	require.NoError(t, err)
	err = n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "'routing_key' is invalid")
	require.NotContains(t, err.Error(), wrong)
}

func TestConfigErrorsSayWhatToDo(t *testing.T) {
	for want, c := range map[string]pagerduty.Config{
		"RoutingKey is missing":            {},
		"RoutingKey has 3 characters":      {RoutingKey: "abc"},
		"a line break":                     {RoutingKey: escalate.Secret(key[:31] + "\n")},
		"BaseURL begins with http://":      {RoutingKey: key, BaseURL: "http://events.example"},
		"BaseURL holds credentials":        {RoutingKey: key, BaseURL: "https://u:p@events.example"},
		"BaseURL does not begin with http": {RoutingKey: key, BaseURL: "events.example"},
		"Timeout is -1s":                   {RoutingKey: key, Timeout: -time.Second},
	} {
		_, err := pagerduty.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "u:p")
	}
	n, err := pagerduty.New(pagerduty.Config{RoutingKey: key})
	require.NoError(t, err)
	require.Equal(t, escalate.Rate{N: 120, Per: time.Minute}, escalate.RateOf(escalate.Named("oncall", n)))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", pagerduty.Config{RoutingKey: key}, pagerduty.Config{RoutingKey: key}, pagerduty.Config{RoutingKey: key}), key)
}

func TestTheZeroNotifierSaysHowToMakeOne(t *testing.T) {
	err := (&pagerduty.Notifier{}).Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "was not made by New")
	require.Error(t, (&pagerduty.Notifier{}).Acknowledge(t.Context(), "k"))
}
