package slack_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/escalate/slack"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const path = "/services/T0000SECRET/B0000SECRET/xoxxSECRETxoxxSECRETxoxx"

func channel(t *testing.T) (*strict.Server, *slack.Notifier) {
	t.Helper()
	s := strict.Slack(t, path)
	n, err := slack.New(slack.Config{URL: escalate.Secret(s.URL + path), Client: s.Client()})
	require.NoError(t, err)
	return s, n
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		s, n := channel(t)
		return selfhealtest.NotifierFixture{
			Notifier: n, Messages: s.Messages, Secrets: []string{path, "T0000SECRET", "xoxxSECRETxoxxSECRETxoxx", s.URL},
			Fail: func() { s.Break(strict.Unavailable) }, Hang: func() { s.Break(strict.Slow) },
			Patience: 5 * time.Second,
			Skip:     map[string]string{"same-id": "an incoming webhook cannot tell a repetition"},
		}
	})
}

func TestEachKindIsAMessage(t *testing.T) {
	s, n := channel(t)
	for i, want := range []string{
		"orders orders/queue-1[eu &lt;1&gt;]: 9000 jobs is above 5000 &amp; grows", "update: orders", "approve? orders", "resolved: orders",
	} {
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Kind(i), 1)))
		body := plain(s.Events()[i].Body)
		require.Contains(t, body, `"text":"`+want)
		require.Contains(t, body, "incident inc-1 · notice inc-1-"+escalate.Kind(i).String())
		require.Contains(t, body, "<https://console.example/ack?id=inc-1&amp;sig=s|Acknowledge>")
		require.Contains(t, body, "<https://runbooks.example/queue|Runbook>")
		require.Contains(t, body, "<https://evidence.example/goroutines.txt|Evidence: goroutines>")
	}
	require.Contains(t, plain(s.Events()[2].Body), "approve or reject proposal inc-1-p")
	require.Empty(t, s.Refused())
}

func TestNobodyIsMentionedByAFinding(t *testing.T) {
	s, n := channel(t)
	m := strict.Notice(escalate.Trigger, 1)
	m.Note = "<!here>"
	m.Incident.Finding.Summary = "<!channel> ``` *x* <https://evil.example|runbook> &lt;"
	m.Incident.Detail = "<@U123>"
	require.NoError(t, n.Notify(t.Context(), m))
	body := plain(s.Events()[0].Body)
	require.NotContains(t, body, "<!")
	require.NotContains(t, body, "<@")
	require.NotContains(t, body, "<https://evil")
	require.Contains(t, body, `&lt;!channel&gt; ''' *x*`, "no fence but ours")
	require.Contains(t, body, "&amp;lt;")
}

func TestALongDiagnosisIsCutAndSaysSo(t *testing.T) {
	s, n := channel(t)
	m := strict.Notice(escalate.Trigger, 1)
	m.Note = strings.Repeat("&é", 4000)
	m.Incident.Watch = strings.Repeat("<", 4000)
	for i := range 100 {
		m.Incident.Symptoms = append(m.Incident.Symptoms, strings.Repeat("&é", 500))
		m.Incident.Evidence = append(m.Incident.Evidence, escalate.Evidence{Name: "e", Ref: fmt.Sprint("https://e.example/", i, strings.Repeat("x", 1000))})
	}
	require.NoError(t, n.Notify(t.Context(), m))
	require.Empty(t, s.Refused())
	body := plain(s.Events()[0].Body)
	require.Contains(t, body, "… (cut)\\n```")
	require.Contains(t, body, "|Runbook>")
}

func TestOnlyOkIsAcceptance(t *testing.T) {
	s, n := channel(t)
	for _, c := range []struct {
		fault     strict.Fault
		permanent bool
		text      string
	}{
		{strict.Rejected, true, "answered 410 Gone (never)"},
		{strict.Throttled, false, "(retry after 1s)"},
		{strict.Unavailable, false, "answered 503"},
		{strict.WrongBody, false, "Slack accepts by \"ok\" alone"},
	} {
		s.Break(c.fault)
		err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
		require.ErrorContains(t, err, c.text)
		require.Equal(t, c.permanent, escalate.IsPermanent(err), c.text)
	}
	require.Zero(t, s.Messages())
}

func TestARevokedWebhookIsFinal(t *testing.T) {
	s := strict.Slack(t, path)
	n, err := slack.New(slack.Config{URL: escalate.Secret(s.URL + path + "x"), Client: s.Client()})
	require.NoError(t, err)
	err = n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "(no_service): the webhook is not in service: make a new one")
}

func TestConfigErrorsDoNotShowTheAddress(t *testing.T) {
	for url, want := range map[escalate.Secret]string{
		"":                                 "Config.URL is missing",
		"hooks.slack.com/SECRET":           "Config.URL does not begin with https://",
		"http://hooks.slack.com/SECRET":    "would go in the clear",
		"https://hooks.slack.com/%zSECRET": "Config.URL is no address",
	} {
		_, err := slack.New(slack.Config{URL: url})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "SECRET")
	}
	n, err := slack.New(slack.Config{URL: "https://hooks.slack.com/services/x"})
	require.NoError(t, err)
	require.Equal(t, escalate.Rate{N: 1, Per: time.Second}, n.Rate())
	_, err = slack.New(slack.Config{URL: "https://hooks.slack.com/services/x", Timeout: -1})
	require.ErrorContains(t, err, "Timeout")
}

// plain is JSON as it reads without the escapes that only json.Marshal writes.
func plain(body []byte) string {
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(body))
}

func TestTheZeroNotifierSaysHowToMakeOne(t *testing.T) {
	err := (&slack.Notifier{}).Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "was not made by New")
}
