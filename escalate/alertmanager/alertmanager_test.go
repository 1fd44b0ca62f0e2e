package alertmanager_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/alertmanager"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func cluster(t *testing.T, change ...func(*alertmanager.Config)) (*strict.Alertmanager, *alertmanager.Notifier) {
	t.Helper()
	s := strict.NewAlertmanager(t)
	c := alertmanager.Config{URLs: []string{s.URL + "/"}, Client: s.Client(), Hold: -1}
	for _, f := range change {
		f(&c)
	}
	n, err := alertmanager.New(c)
	require.NoError(t, err)
	return s, n
}

func verbs(s *strict.Alertmanager) []string {
	var all []string
	for _, e := range s.Events() {
		all = append(all, e.Verb+" "+e.Key)
	}
	return all
}

// bubble runs a test in virtual time, against a stand-in that was started outside.
func bubble(t *testing.T, c alertmanager.Config, f func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier)) {
	t.Helper()
	s := strict.NewAlertmanager(t)
	synctest.Test(t, func(t *testing.T) {
		c.URLs, c.Client = []string{s.URL}, s.Direct()
		n, err := alertmanager.New(c)
		require.NoError(t, err)
		f(t, s, n)
	})
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		const token = "eyJhbGciOi.SECRET"
		s, n := cluster(t, func(c *alertmanager.Config) { c.Bearer = token })
		return selfhealtest.NotifierFixture{
			Notifier: n, Messages: s.Messages, Secrets: []string{token},
			Fail: func() { s.Break(strict.Unavailable) }, Hang: func() { s.Break(strict.Slow) },
			Patience: 5 * time.Second,
		}
	})
}

func TestKindsBecomeAlerts(t *testing.T) {
	s, n := cluster(t)
	for _, k := range []escalate.Kind{escalate.Ask, escalate.Trigger, escalate.Update, escalate.Resolve} {
		require.NoError(t, n.Notify(t.Context(), strict.Notice(k, 1)))
	}
	require.Equal(t, []string{
		"firing orders/queue-1/inc-1", "firing orders/queue-1/inc-1", "firing orders/queue-1/inc-1",
		"resolved orders/queue-1/inc-1", "resolved orders/queue-1/inc-1",
	}, verbs(s), "the question, the call, its update, and the end of both")
	require.Empty(t, s.Firing())
	require.Empty(t, s.Refused())
}

func TestLabelsAreTheSameForEver(t *testing.T) {
	s, n := cluster(t, func(c *alertmanager.Config) {
		c.Labels = map[string]string{"team": "orders"}
		c.FindingLabels = []string{"service.name", "absent"}
	})
	m := strict.Notice(escalate.Trigger, 1)
	require.NoError(t, n.Notify(t.Context(), m))
	m = strict.Notice(escalate.Trigger, 1) // hours later, another incident
	m.ID, m.DedupKey, m.Incident.ID = "x", "x", "x"
	m.Incident.Opened = time.Now()
	m.Incident.Finding.Summary, m.Incident.Finding.Value = "12000 jobs", 12000
	require.NoError(t, n.Notify(t.Context(), m))
	as := s.Alerts()
	require.Len(t, as, 1)
	require.Equal(t, map[string]string{
		"alertname": "orders/queue-1", "service": "orders", "key": "eu <1>", "severity": "critical", "source": "selfheal",
		"team": "orders", "service_name": "orders",
	}, as[0].Labels)
	notes := as[0].Annotations
	require.Equal(t, "orders orders/queue-1[eu <1>]: 12000 jobs", notes["summary"])
	require.Contains(t, notes["description"], "scale-workers: no effect")
	require.Equal(t, "https://runbooks.example/queue", notes["runbook_url"])
	require.Equal(t, []string{"x", "x", "eu"}, []string{notes["dedup_key"], notes["incident"], notes["label_region"]})
	require.Contains(t, notes["links"], "Acknowledge: https://console.example/ack?id=inc-1&sig=s\nRunbook: ")
	require.Contains(t, notes["links"], "Evidence: goroutines: https://evidence.example/goroutines.txt")
	require.Equal(t, "https://console.example/ack?id=inc-1&sig=s", as[0].GeneratorURL)
}

func TestAChangeOfSeverityEndsTheFormerAlert(t *testing.T) {
	s, n := cluster(t)
	m := strict.Notice(escalate.Trigger, 1)
	m.Incident.Finding.Severity = detect.Warning
	require.NoError(t, n.Notify(t.Context(), m))
	m = strict.Notice(escalate.Update, 1)
	require.NoError(t, n.Notify(t.Context(), m))
	as := s.Alerts()
	require.Len(t, as, 1)
	require.Equal(t, "critical", as[0].Labels["severity"])
	m = strict.Notice(escalate.Resolve, 1)
	m.Incident.Finding.Severity = detect.Warning // as it was at the end
	require.NoError(t, n.Notify(t.Context(), m))
	require.Empty(t, s.Alerts())
}

// A resolve that was late ends its own incident, not the one that has opened since.
func TestALateResolveLeavesANewIncidentAlone(t *testing.T) {
	s, n := cluster(t)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	next := strict.Notice(escalate.Trigger, 1)
	next.ID, next.DedupKey, next.Incident.ID = "inc-2-trigger", "inc-2", "inc-2"
	require.NoError(t, n.Notify(t.Context(), next))
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
	require.Len(t, s.Firing(), 1)
	next.Kind = escalate.Resolve
	require.NoError(t, n.Notify(t.Context(), next))
	require.Empty(t, s.Firing())
}

func TestAfterARestartAResolveStillEndsTheAlert(t *testing.T) {
	s, n := cluster(t)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Ask, 1)))
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	again, err := alertmanager.New(alertmanager.Config{URLs: []string{s.URL}, Client: s.Client()})
	require.NoError(t, err)
	require.NoError(t, again.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
	require.Empty(t, s.Alerts())
}

func TestAShortAlertFiresUntilItsGroupWasDue(t *testing.T) {
	bubble(t, alertmanager.Config{}, func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier) {
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		time.Sleep(10 * time.Second)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
		time.Sleep(5 * time.Minute)
		require.Len(t, s.Firing(), 1, "its group may be due after 5 min")
		time.Sleep(time.Minute)
		require.Empty(t, s.Firing())

		m := strict.Notice(escalate.Resolve, 2)
		m.BeganAndEnded = true
		require.NoError(t, n.Notify(t.Context(), m))
		require.Len(t, s.Firing(), 1, "else nobody is told at all")
		require.Contains(t, s.Alerts()[0].Annotations["summary"], "began and ended: ")
		time.Sleep(6 * time.Minute)
		require.Empty(t, s.Firing())
	})
}

// A trigger whose answer was lost has an end that is far off. What says that it
// began and ended must not leave it firing.
func TestALostAnswerLeavesNothingFiring(t *testing.T) {
	bubble(t, alertmanager.Config{}, func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier) {
		s.Break(strict.Slow)
		require.Error(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		s.Break(strict.None)
		require.Len(t, s.Firing(), 1)
		m := strict.Notice(escalate.Resolve, 1)
		m.BeganAndEnded = true
		require.NoError(t, n.Notify(t.Context(), m))
		require.Contains(t, s.Alerts()[0].Annotations["summary"], "began and ended: ")
		time.Sleep(6 * time.Minute)
		require.Empty(t, s.Firing())
	})
}

func TestOneMemberIsEnough(t *testing.T) {
	a, b := strict.NewAlertmanager(t), strict.NewAlertmanager(t)
	both := a.Client()
	both.Transport = trusting(t, a, b)
	var log bytes.Buffer
	n, err := alertmanager.New(alertmanager.Config{
		URLs: []string{a.URL, b.URL}, Client: both, Hold: -1, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	a.Break(strict.Unavailable)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	require.Equal(t, 1, b.Messages())
	require.Contains(t, log.String(), "a member did not take what another took")

	b.Break(strict.Throttled)
	err = n.Notify(t.Context(), strict.Notice(escalate.Trigger, 2))
	require.ErrorContains(t, err, "all 2 members failed: alertmanager: answered 503")
	var f *escalate.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, time.Second, f.RetryAfter)
	require.False(t, f.Permanent)
	require.NotContains(t, err.Error(), strings.TrimPrefix(a.URL, "https://"))

	a.Break(strict.Rejected)
	require.False(t, escalate.IsPermanent(n.Notify(t.Context(), strict.Notice(escalate.Trigger, 3))), "one may take it later")
	b.Break(strict.Rejected)
	require.True(t, escalate.IsPermanent(n.Notify(t.Context(), strict.Notice(escalate.Trigger, 4))))
}

func TestAWordIsNoAcceptance(t *testing.T) {
	s, n := cluster(t)
	s.Break(strict.WrongBody)
	err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.ErrorContains(t, err, "accepts without a word")
	require.False(t, escalate.IsPermanent(err))
}

func TestConfigErrorsSayWhatToDo(t *testing.T) {
	for want, c := range map[string]alertmanager.Config{
		"Config.URLs is empty":                    {},
		"Config.URLs[1] does not begin with http": {URLs: []string{"http://a:9093", "b:9093"}},
		"Config.URLs[0] holds credentials":        {URLs: []string{"http://u:S3CRET@a:9093"}},
		"Config.Bearer and BasicUser":             {URLs: []string{"http://a"}, Bearer: "b", BasicUser: "u"},
		"Config.BasicPassword is set without":     {URLs: []string{"http://a"}, BasicPassword: "S3CRET"},
		"Config.Labels has the name \"a.b\"":      {URLs: []string{"http://a"}, Labels: map[string]string{"a.b": "c"}},
		"Config.Expire is -1ns":                   {URLs: []string{"http://a"}, Expire: -1},
		"Config.Hold is -2ns":                     {URLs: []string{"http://a"}, Hold: -2},
		"make Expire three times Resend":          {URLs: []string{"http://a"}, Expire: time.Minute},
		"Timeout is -1ns":                         {URLs: []string{"http://a"}, Timeout: -1},
	} {
		_, err := alertmanager.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "S3CRET")
	}
	require.Equal(t, escalate.Rate{}, escalate.RateOf(&alertmanager.Notifier{}))
}

func TestTheZeroNotifierSaysHowToMakeOne(t *testing.T) {
	err := (&alertmanager.Notifier{}).Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "was not made by New")
	require.Error(t, (&alertmanager.Notifier{}).Run(t.Context()))
	_, err = (&alertmanager.Notifier{}).Silenced(t.Context())
	require.Error(t, err)
}
