package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/escalate/webhook"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const (
	path    = "/hooks/SECRETsecretSECRET"
	current = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	former  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func receiver(t *testing.T, knows string, secrets ...escalate.Secret) (*strict.Server, *webhook.Notifier) {
	t.Helper()
	s := strict.Webhook(t, path, knows)
	n, err := webhook.New(webhook.Config{URL: escalate.Secret(s.URL + path), Secrets: secrets, Client: s.Client()})
	require.NoError(t, err)
	return s, n
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		s, n := receiver(t, current, current)
		return selfhealtest.NotifierFixture{
			Notifier: n, Messages: s.Messages, Secrets: []string{current, current[6:], path, s.URL},
			Fail: func() { s.Break(strict.Unavailable) }, Hang: func() { s.Break(strict.Slow) },
			Patience: 5 * time.Second,
		}
	})
}

// The vector that the reference implementations of Standard Webhooks publish.
func TestThePublishedVector(t *testing.T) {
	got, err := webhook.Sign(current, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
	_, err = webhook.Sign("x", "", time.Time{}, nil)
	require.ErrorContains(t, err, "does not begin with whsec_")
}

func TestDuringARotationEitherSecretWillDo(t *testing.T) {
	for _, knows := range []string{current, former} {
		s, n := receiver(t, knows, current, former)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		require.Equal(t, 1, s.Messages())
	}
	s, n := receiver(t, former, current)
	require.Error(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	require.Equal(t, []string{"401 no signature fits"}, s.Refused())
}

func TestTheBodyIsACloudEvent(t *testing.T) {
	s, n := receiver(t, current, current)
	for i, typ := range webhook.Types() {
		m := strict.Notice(escalate.Kind(i), 1)
		require.NoError(t, n.Notify(t.Context(), m))
		var e struct {
			SpecVersion, ID, Source, Type, Subject, Time, DataContentType, SeverityText string
			SeverityNumber                                                              int
			Data                                                                        escalate.Notification
		}
		require.NoError(t, json.Unmarshal(s.Events()[i].Body, &e))
		require.Equal(t, []string{"1.0", m.ID, "/selfheal/orders", typ, "inc-1", "application/json"},
			[]string{e.SpecVersion, e.ID, e.Source, e.Type, e.Subject, e.DataContentType})
		require.Equal(t, m.At.UTC().Format(time.RFC3339Nano), e.Time)
		want := "ERROR17"
		if i == 3 {
			want = "INFO9"
		}
		require.Equal(t, want, fmt.Sprint(e.SeverityText, e.SeverityNumber))
		require.Equal(t, m.Incident.Finding.Summary, e.Data.Incident.Finding.Summary)
		require.Equal(t, m.Incident.Runbook, e.Data.Incident.Runbook)
		require.Equal(t, m.Links, e.Data.Links)
		require.Len(t, e.Data.Incident.Evidence, 3)
	}
}

func TestALongBodyIsCutAndSaysSo(t *testing.T) {
	s, n := receiver(t, current, current)
	long := strings.Repeat("<", 3000)
	m := strict.Notice(escalate.Trigger, 1)
	m.ID, m.DedupKey, m.Note = long, long, long
	in := &m.Incident
	in.ID, in.Watch, in.Service, in.Detail, in.Runbook, in.Proposal = long, long, long, long, long, long
	in.State, in.Reason, in.HeldBy = escalate.State(long), escalate.Reason(long), remediate.Rail(long)
	in.Finding.Key, in.Finding.Summary, in.Finding.Unit = long, long, long
	in.Finding.Evidence = []slog.Attr{slog.String("a", long+long)}
	for i := range 300 {
		in.Finding.Labels[fmt.Sprint(i, long)] = long
		in.Symptoms = append(in.Symptoms, long)
		in.Attempts = append(in.Attempts, remediate.Attempt{Step: fmt.Sprint("step-", i), Outcome: remediate.Failed, Err: errors.New(long), UndoErr: errors.New(long)})
		in.Evidence = append(in.Evidence, escalate.Evidence{Name: long, Ref: long})
		m.Links = append(m.Links, escalate.Link{Text: long, Href: long})
	}
	require.NoError(t, n.Notify(t.Context(), m))
	require.Empty(t, s.Refused())
	body := string(s.Events()[0].Body)
	require.LessOrEqual(t, len(body), 64<<10)
	require.Greater(t, len(body), 8<<10)
	require.Contains(t, body, `"cut":true`)
	require.Contains(t, body, "… (cut)")
	require.Contains(t, body, `"step":"step-299"`, "the last attempt is what counts")
	require.Len(t, m.Incident.Attempts, 301, "the notification is not changed")
	require.Equal(t, "step-0", m.Incident.Attempts[1].Step)
}

func TestGoneSwitchesTheTargetOff(t *testing.T) {
	s, n := receiver(t, current, current)
	s.Break(strict.Rejected)
	err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "switched off")
	s.Break(strict.None)
	err = n.Notify(t.Context(), strict.Notice(escalate.Trigger, 2))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "make a new notifier")
	require.Equal(t, 1, s.Calls(), "not asked again")
}

func TestEveryOtherStatusIsPassing(t *testing.T) {
	s, n := receiver(t, "whsec_"+strings.Repeat("A", 32), current)
	err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.ErrorContains(t, err, "answered 401")
	require.False(t, escalate.IsPermanent(err), "it may be a rotation")
	s.Break(strict.Throttled)
	var f *escalate.Failure
	require.ErrorAs(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)), &f)
	require.Equal(t, time.Second, f.RetryAfter)
	require.False(t, f.Permanent)
}

func TestIdsAreSafeAndDiffer(t *testing.T) {
	s, n := receiver(t, current, current)
	for _, id := range []string{"a.b", "a b", "a\nb", "a_b", strings.Repeat("x", 300), strings.Repeat("x", 301), ""} {
		m := strict.Notice(escalate.Trigger, 1)
		m.ID = id
		require.NoError(t, n.Notify(t.Context(), m), "%q", id)
	}
	require.Len(t, s.Events(), 7)
}

func TestConfigErrorsShowNoSecret(t *testing.T) {
	for want, c := range map[string]webhook.Config{
		"Config.URL is missing":                        {Secrets: []escalate.Secret{current}},
		"Config.Secrets is empty":                      {URL: "https://x.example"},
		"Config.Secrets[0] does not begin with whsec_": {URL: "https://x.example", Secrets: []escalate.Secret{"S3CRET"}},
		"Config.Secrets[1] is no base64":               {URL: "https://x.example", Secrets: []escalate.Secret{current, "whsec_S3CRET!"}},
		"Config.Secrets[0] has 4 bytes":                {URL: "https://x.example", Secrets: []escalate.Secret{"whsec_S3CRET=="}},
		"Config.Source is no URI":                      {URL: "https://x.example", Secrets: []escalate.Secret{current}, Source: ":\x00"},
		"Config.Rate is negative":                      {URL: "https://x.example", Secrets: []escalate.Secret{current}, Rate: escalate.Rate{Per: -1}},
		"webhook: Timeout is -1ns":                     {URL: "https://x.example", Secrets: []escalate.Secret{current}, Timeout: -1},
	} {
		_, err := webhook.New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "S3CRET")
	}
	n, err := webhook.New(webhook.Config{URL: "https://x.example", Secrets: []escalate.Secret{current}, Rate: escalate.Rate{N: 5, Per: time.Second}})
	require.NoError(t, err)
	require.Equal(t, escalate.Rate{N: 5, Per: time.Second}, n.Rate())
}

func FuzzSign(f *testing.F) {
	f.Add(current, "msg_1", int64(1614265330), []byte("{}"))
	f.Add("whsec_", "", int64(-1), []byte(nil))
	f.Fuzz(func(t *testing.T, secret, id string, unix int64, body []byte) {
		s, err := webhook.Sign(escalate.Secret(secret), id, time.Unix(unix, 0), body)
		if err != nil {
			if len(secret) > 12 && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
			return
		}
		if len(s) != 3+44 || !strings.HasPrefix(s, "v1,") {
			t.Errorf("a signature of another form: %q", s)
		}
	})
}

func TestTheZeroNotifierSaysHowToMakeOne(t *testing.T) {
	err := (&webhook.Notifier{}).Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "was not made by New")
}
