package alertmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const token = "canary-token"

func request(tb testing.TB, body string) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/alerts", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func fixture() receivetest.Fixture {
	return receivetest.Fixture{
		Instance: "instance",
		NoNoData: true,
		New: func(_ testing.TB, o receivetest.Options) (receivetest.Receiver, error) {
			return alertmanager.New(alertmanager.Config{
				Bearer: token, Store: o.Store, Repeat: o.Expiry / 2, Expiry: o.Expiry, Lag: o.Lag, MaxAlerts: o.MaxAlerts, MaxBody: o.MaxBody,
				Logger: receivetest.Quiet(),
			})
		},
		Request: func(tb testing.TB, a receivetest.Alert, _ time.Time) *http.Request {
			body, err := json.Marshal(map[string]any{
				"version": "4", "receiver": "selfheal", "status": a.State,
				"alerts": []any{map[string]any{
					"status": a.State, "labels": map[string]string{"alertname": a.Name, "instance": a.Instance},
					"annotations": map[string]string{"summary": a.Name + " on " + a.Instance},
					"startsAt":    a.Start, "endsAt": a.End,
				}},
			})
			if err != nil {
				tb.Fatal(err)
			}
			return request(tb, string(body))
		},
		Garbage: func(tb testing.TB) *http.Request { return request(tb, "{") },
	}
}

func TestReceiver(t *testing.T) { receivetest.Test(t, fixture()) }

func file(tb testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(tb, err)
	return string(b)
}

func receiver(tb testing.TB, c alertmanager.Config) *alertmanager.Receiver {
	c.Bearer, c.Logger = token, receivetest.Quiet()
	r, err := alertmanager.New(c)
	require.NoError(tb, err)
	return r
}

func summaries(t *testing.T, d detect.Detector) (all []string) {
	found, err := d.Detect(t.Context())
	require.NoError(t, err)
	for _, f := range found {
		all = append(all, f.Summary)
	}
	return all
}

// What Alertmanager 0.25 has posted: two alerts; then one of them resolved in a
// group that fires; then a group that max_alerts has cut.
func TestRecordedBodies(t *testing.T) {
	r := receiver(t, alertmanager.Config{})
	d, one := r.Alerts("HostDiskFull", "severity=critical"), r.Alerts("HostDiskFull", "instance=web-1")
	post := func(name string) { require.Equal(t, 200, receivetest.Send(r, request(t, file(t, name)))) }
	post("v0.25-firing")
	require.Equal(t, []string{"disk of web-2 is full", "disk of web-1 is full"}, summaries(t, d), "sorted by fingerprint")
	found, err := one.Detect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []detect.Finding{{
		Key: "fe5bc8172e039099", Severity: detect.Critical, Summary: "disk of web-1 is full",
		Labels: map[string]string{"alertname": "HostDiskFull", "instance": "web-1", "severity": "critical"},
		Evidence: []slog.Attr{
			slog.String("since", "2026-03-01T12:00:00Z"), slog.String("source", "http://prometheus.example/graph?g0.expr=disk"),
			slog.String("description", "97 % used"), slog.String("runbook", "https://runbooks.example/disk"),
		},
	}}, found)
	require.Equal(t, found[0].Key, receive.Fingerprint(found[0].Labels))

	post("v0.25-resolved")
	require.Empty(t, summaries(t, one), "the group fires, and this alert does not")
	require.Equal(t, []string{"disk of web-2 is full"}, summaries(t, d))
}

// An alert that is missing, from a group that was cut or is not, is not resolved.
func TestAbsenceResolvesNothing(t *testing.T) {
	r := receiver(t, alertmanager.Config{})
	post := func(body string) { require.Equal(t, 200, receivetest.Send(r, request(t, body))) }
	third := strings.NewReplacer("web-1", "web-3", "fe5bc8172e039099", "0123456789abcdef").Replace(file(t, "v0.34-utf8"))
	post(third)
	post(file(t, "v0.25-truncated"))
	require.Len(t, summaries(t, r.All()), 3)
	require.Equal(t, map[string]uint64{"truncated": 1}, r.Stats().Ignored)
	post(third)
	require.Len(t, summaries(t, r.All()), 3)
}

func TestLabelsOfTheWorld(t *testing.T) {
	r := receiver(t, alertmanager.Config{})
	require.Equal(t, 200, receivetest.Send(r, request(t, file(t, "v0.34-utf8"))))
	found, err := r.All().Detect(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "an alert without a name or a summary", found[0].Summary)
	require.Equal(t, detect.Critical, found[0].Severity)
	require.Equal(t, "97 %", found[0].Labels["größe"])
}

func TestUselessBodiesAreCounted(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "no alerts", `{"text":"a custom payload"}`: "no alerts", `[1]`: "no alerts", ``: "malformed",
		`{"version":"5","alerts":[{}]}`: "other version", `{"version":"4","alerts":[{}]}`: "other status",
		`{"version":"4","alerts":[{"status":"firing","startsAt":"2026-03-01T12:00:00Z"}]}`:        "unidentified",
		`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"}}]}`:                       "undated",
		`{"version":"4","alerts":[{"status":"resolved","labels":{"a":"b"},"endsAt":"tomorrow"}]}`: "undated",
	} {
		r := receiver(t, alertmanager.Config{})
		require.Equal(t, 200, receivetest.Send(r, request(t, body)))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, body)
		_, err := r.All().Detect(t.Context())
		require.ErrorContains(t, err, "nothing was received")
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		c    alertmanager.Config
		want string
	}{
		{alertmanager.Config{}, "nothing proves where a request comes from: set Bearer, BasicUser and BasicPassword, or ClientCAs"},
		{alertmanager.Config{Bearer: "canary", Insecure: true}, "Insecure is set beside a proof"},
		{alertmanager.Config{Bearer: "canary", Expiry: 7 * time.Hour}, "less than twice Repeat, which is 4h0m0s"},
		{alertmanager.Config{Bearer: "canary", MaxAlerts: -1, Lag: -2}, "MaxAlerts is -1"},
		{alertmanager.Config{Bearer: "canary", Store: failing{}}, "the Store could not be read: no such file"},
	} {
		_, err := alertmanager.New(c.c)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "canary")
	}
}

// failing is a store that cannot be read.
type failing struct{}

func (failing) Load(context.Context) ([]detect.Entry, error) { return nil, errors.New("no such file") }
func (failing) Put(context.Context, ...detect.Entry) error   { return nil }
func (failing) Delete(context.Context, ...string) error      { return nil }

// The conformance suite of detectors, as every user's detector passes it.
func TestDetector(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		r := receiver(t, alertmanager.Config{})
		n := 0
		say := func(state string) {
			n++
			now := time.Now().Add(time.Duration(n-1000) * time.Second)
			a := receivetest.Alert{Name: "A", Instance: "a", State: state, Start: now, End: now}
			require.Equal(t, 200, receivetest.Send(r, fixture().Request(t, a, now)))
		}
		say(receivetest.Resolved)
		return selfhealtest.DetectorFixture{
			Detector: r.Alerts("A"),
			Sicken:   func() { say(receivetest.Firing) },
			Heal:     func() { say(receivetest.Resolved) },
		}
	})
}

func FuzzReceiver(f *testing.F) {
	for _, name := range []string{"v0.25-firing", "v0.25-resolved", "v0.25-truncated", "v0.34-utf8"} {
		f.Add(file(f, name), true)
	}
	f.Add(`{"version":"4","alerts":[{"status":"firing","labels":{"":"\u0000"},"startsAt":"9999-12-31T23:59:59Z","fingerprint":"\n"}]}`, true)
	f.Add(`{"version":"4","alerts":[{"STATUS":"firing"},null,{"labels":[]}],"alerts":{}}`, false)
	f.Fuzz(func(t *testing.T, body string, proved bool) {
		r := receiver(t, alertmanager.Config{MaxAlerts: 5, MaxBody: 64 << 10})
		q := request(t, body)
		if !proved {
			q.Header.Set("Authorization", "Bearer x"+token)
		}
		receivetest.Fuzzed(t, r, q, proved)
	})
}
