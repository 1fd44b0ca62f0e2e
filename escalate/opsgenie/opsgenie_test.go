package opsgenie_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
	"github.com/selfheal-go/selfheal/escalate/opsgenie"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const (
	key  = "f0e1d2c3-b4a5-6789-0123-456789abcdef"
	base = "/jsm/ops/integration"
)

func account(t *testing.T, change ...func(*opsgenie.Config)) (*strict.Server, *opsgenie.Notifier) {
	t.Helper()
	s := strict.Opsgenie(t, base, key)
	c := opsgenie.Config{Key: key, BaseURL: s.URL + base + "/", Client: s.Client()}
	for _, f := range change {
		f(&c)
	}
	n, err := opsgenie.New(c)
	require.NoError(t, err)
	return s, n
}

func verbs(s *strict.Server) []string {
	var all []string
	for _, e := range s.Events() {
		all = append(all, e.Verb+" "+e.Key)
	}
	return all
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		s, n := account(t)
		return selfhealtest.NotifierFixture{
			Notifier: n, Messages: s.Messages, Secrets: []string{key},
			Fail: func() { s.Break(strict.Unavailable) }, Hang: func() { s.Break(strict.Slow) },
			Patience: 5 * time.Second,
		}
	})
}

func TestKindsBecomeVerbs(t *testing.T) {
	s, n := account(t)
	for _, k := range []escalate.Kind{escalate.Ask, escalate.Trigger, escalate.Update, escalate.Resolve} {
		require.NoError(t, n.Notify(t.Context(), strict.Notice(k, 1)))
	}
	require.Equal(t, []string{
		"create inc-1/ask", "create inc-1", "message inc-1", "priority inc-1", "note inc-1", "close inc-1", "close inc-1/ask",
	}, verbs(s))
	require.Empty(t, s.Refused())
}

func TestAnUpdateOfNothingCreatesTheAlert(t *testing.T) {
	s, n := account(t)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Update, 1)))
	require.Equal(t, []string{"create inc-1"}, verbs(s))
}

// The stand-in carries out a request only when its result was asked for: a close
// that is sent before would meet no alert, and the alert would stay open.
func TestACloseDoesNotOvertakeItsCreate(t *testing.T) {
	s, n := account(t)
	m := strict.Notice(escalate.Resolve, 1)
	m.BeganAndEnded = true
	require.NoError(t, n.Notify(t.Context(), m))
	require.Equal(t, []string{"create inc-1", "close inc-1"}, verbs(s))
}

func TestAcknowledge(t *testing.T) {
	s, n := account(t)
	require.NoError(t, n.Acknowledge(t.Context(), "inc-1", "ann"), "nothing is open")
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	require.NoError(t, n.Acknowledge(t.Context(), "inc-1", "ann"))
	require.Equal(t, []string{"create inc-1", "acknowledge inc-1"}, verbs(s))
	require.Contains(t, string(s.Events()[1].Body), "acknowledged by ann")
	require.Error(t, n.Acknowledge(t.Context(), "", "ann"))
}

func TestTheAlertSaysEverything(t *testing.T) {
	s, n := account(t, func(c *opsgenie.Config) {
		c.Tags = []string{"selfheal"}
		c.Responders = []opsgenie.Responder{{Type: "team", Name: "orders"}}
	})
	m := strict.Notice(escalate.Trigger, 1)
	require.NoError(t, n.Notify(t.Context(), m))
	var a struct {
		Message, Description, Priority, Entity, Source string
		Tags                                           []string
		Details                                        map[string]string
		Responders                                     []opsgenie.Responder
	}
	require.NoError(t, json.Unmarshal(s.Events()[0].Body, &a))
	require.Equal(t, []string{"orders orders/queue-1[eu <1>]: 9000 jobs is above 5000 & grows", "P1", "eu <1>", "orders"},
		[]string{a.Message, a.Priority, a.Entity, a.Source})
	for _, want := range []string{
		"scale-workers: no effect", "https://runbooks.example/queue", "https://evidence.example/goroutines.txt", "/var/lib/selfheal/heap.pb.gz",
		"Acknowledge: https://console.example/ack?id=inc-1&sig=s",
	} {
		require.Contains(t, a.Description, want)
	}
	require.Equal(t, "eu", a.Details["label region"])
	require.Equal(t, []opsgenie.Responder{{Type: "team", Name: "orders"}}, a.Responders)
	m = strict.Notice(escalate.Trigger, 2)
	m.Incident.Finding.Severity = detect.Warning
	require.NoError(t, n.Notify(t.Context(), m))
	require.Contains(t, string(s.Events()[1].Body), `"priority":"P3"`)
}

func TestALongAlertIsCutAndSaysSo(t *testing.T) {
	s, n := account(t)
	for _, k := range []escalate.Kind{escalate.Trigger, escalate.Update, escalate.Resolve} {
		m := strict.Notice(k, 1)
		m.DedupKey = strings.Repeat("k/é", 300)
		m.Incident.Service = strings.Repeat("é", 5000)
		m.Incident.Finding.Key = strings.Repeat("é", 5000)
		for i := range 100 {
			m.Incident.Finding.Labels[fmt.Sprint("l", i)] = strings.Repeat("é", 500)
			m.Incident.Symptoms = append(m.Incident.Symptoms, strings.Repeat("é", 5000))
			m.Links = append(m.Links, escalate.Link{Text: "x", Href: "https://e.example/" + strings.Repeat("x", 1500)})
		}
		require.NoError(t, n.Notify(t.Context(), m))
	}
	require.Empty(t, s.Refused())
	require.Len(t, s.Events(), 5)
	require.Contains(t, string(s.Events()[0].Body), "… (cut)")
	require.Contains(t, string(s.Events()[0].Body), "some details were left out")
	for _, e := range s.Events() {
		require.Equal(t, s.Events()[0].Key, e.Key)
	}
}

func TestStatusSaysWhetherToTryAgain(t *testing.T) {
	s, n := account(t)
	for _, c := range []struct {
		fault     strict.Fault
		permanent bool
		text      string
	}{
		{strict.Rejected, true, "answered 422 Unprocessable Entity (never)"},
		{strict.Throttled, false, "(retry after 1s)"},
		{strict.Unavailable, false, "answered 503"},
		{strict.WrongBody, false, "that is not how a request is accepted"},
	} {
		s.Break(c.fault)
		err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
		require.ErrorContains(t, err, c.text)
		require.Equal(t, c.permanent, escalate.IsPermanent(err), c.text)
	}
}

// what answers every request with a status, headers and a body.
func answering(t *testing.T, status int, header map[string]string, body string) *opsgenie.Notifier {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		if r.Method == http.MethodPost && status == http.StatusOK {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"requestId":"r"}`)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	n, err := opsgenie.New(opsgenie.Config{Key: key, BaseURL: srv.URL, Confirm: 200 * time.Millisecond})
	require.NoError(t, err)
	return n
}

func TestALimitSaysWhenToGoOn(t *testing.T) {
	n := answering(t, 429, map[string]string{"X-RateLimit-State": "THROTTLED", "X-RateLimit-Period-In-Sec": "60"}, "")
	err := n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	var f *escalate.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, time.Minute, f.RetryAfter)
	require.False(t, f.Permanent)
	require.True(t, escalate.IsPermanent(answering(t, 501, nil, "").Notify(t.Context(), strict.Notice(escalate.Trigger, 1))))
	require.False(t, escalate.IsPermanent(answering(t, 500, nil, "").Notify(t.Context(), strict.Notice(escalate.Trigger, 1))))
}

func TestWhatIsRefusedLaterIsAFailure(t *testing.T) {
	n := answering(t, 200, nil, `{"data":{"isSuccess":false,"status":"Throttled"}}`)
	require.ErrorContains(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)), "it was queued, and then refused")
	n = answering(t, 200, nil, `{"data":{}}`)
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)), "no result in time: it is queued")
}

func TestConfigErrorsSayWhatToDo(t *testing.T) {
	for want, c := range map[string]opsgenie.Config{
		"Config.Key is missing":                          {},
		"Config.BaseURL begins with http://":             {Key: key, BaseURL: "http://api.example"},
		"Config.CriticalPriority is \"high\"":            {Key: key, CriticalPriority: "high"},
		"Config.Tags are wrong: there may be at most 20": {Key: key, Tags: []string{strings.Repeat("x", 51)}},
		"Config.Responders[0] needs a Type":              {Key: key, Responders: []opsgenie.Responder{{Type: "team"}}},
		"Config.Confirm is -2ns: use 0 for":              {Key: key, Confirm: -2},
		"Config.Rate is negative":                        {Key: key, Rate: escalate.Rate{N: -1}},
		"Timeout is -1s: use 0 for the default,":         {Key: key, Timeout: -time.Second},
	} {
		_, err := opsgenie.New(c)
		require.ErrorContains(t, err, want)
	}
	n, err := opsgenie.New(opsgenie.Config{Key: key, Rate: escalate.Rate{N: 60, Per: time.Minute}, Confirm: -1})
	require.NoError(t, err)
	require.Equal(t, escalate.Rate{N: 60, Per: time.Minute}, n.Rate())
}

func TestTheZeroNotifierSaysHowToMakeOne(t *testing.T) {
	err := (&opsgenie.Notifier{}).Notify(t.Context(), strict.Notice(escalate.Trigger, 1))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "was not made by New")
	require.Error(t, (&opsgenie.Notifier{}).Acknowledge(t.Context(), "k", "ann"))
}
