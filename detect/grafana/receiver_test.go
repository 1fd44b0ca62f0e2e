package grafana_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/grafana"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
)

const (
	secret     = "canary-secret"
	timeHeader = "X-Grafana-Timestamp"
)

// sign does as grafana/alerting does.
func sign(key, stamp, body string) string {
	h := hmac.New(sha256.New, []byte(key))
	if stamp != "" {
		io.WriteString(h, stamp+":")
	}
	io.WriteString(h, body)
	return hex.EncodeToString(h.Sum(nil))
}

func request(tb testing.TB, body string, now time.Time) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPut, "/alerts", strings.NewReader(body))
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set(timeHeader, stamp)
	r.Header.Set("X-Grafana-Alerting-Signature", sign(secret, stamp, body))
	return r
}

func fixture() receivetest.Fixture {
	return receivetest.Fixture{
		Instance: "instance",
		New: func(_ testing.TB, o receivetest.Options) (receivetest.Receiver, error) {
			return grafana.New(grafana.Config{
				HMACSecret: secret, HMACTimestampHeader: timeHeader, Store: o.Store, Repeat: o.Expiry / 2, Expiry: o.Expiry,
				Lag: o.Lag, MaxAlerts: o.MaxAlerts, MaxBody: o.MaxBody, Logger: receivetest.Quiet(),
			})
		},
		Request: func(tb testing.TB, a receivetest.Alert, now time.Time) *http.Request {
			labels := map[string]string{"alertname": a.Name, "instance": a.Instance}
			status := a.State
			if a.State == receivetest.NoData || a.Data {
				labels["rulename"], labels["alertname"] = a.Name, "DatasourceNoData"
			}
			if a.State == receivetest.NoData {
				status = "firing"
			}
			body, err := json.Marshal(map[string]any{
				"version": "1", "orgId": 1, "state": "alerting",
				"alerts": []any{map[string]any{
					"status": status, "labels": labels, "annotations": map[string]string{"summary": a.Name + " on " + a.Instance},
					"startsAt": a.Start, "endsAt": a.End, "values": nil, "valueString": "",
				}},
			})
			require.NoError(tb, err)
			return request(tb, string(body), now)
		},
		Garbage: func(tb testing.TB) *http.Request { return request(tb, "[", time.Now()) },
	}
}

func TestReceiver(t *testing.T) { receivetest.Test(t, fixture()) }

func file(tb testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(tb, err)
	return string(b)
}

func receiver(tb testing.TB, c grafana.Config) *grafana.Receiver {
	c.Logger = receivetest.Quiet()
	r, err := grafana.New(c)
	require.NoError(tb, err)
	return r
}

// The recorded body has values, a null among them, a panel and a silence.
func TestARecordedBody(t *testing.T) {
	r := receiver(t, grafana.Config{HMACSecret: secret})
	post := func(name string) int {
		body := file(t, name)
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		q.Header.Set("X-Grafana-Alerting-Signature", sign(secret, "", body))
		return receivetest.Send(r, q)
	}
	require.Equal(t, 200, post("firing.json"))
	d := r.Alerts("Disk is full", "severity=critical", "host=~web-.+")
	found, err := d.Detect(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1, "the second is resolved")
	f := found[0]
	require.Equal(t, "6c3a1f2e9b0d4c57", f.Key)
	require.Equal(t, "disk of web-1 is 97 % full", f.Summary)
	require.Equal(t, detect.Critical, f.Severity)
	require.Equal(t, "web-1", f.Labels["host"])
	evidence := map[string]string{}
	for _, a := range f.Evidence {
		evidence[a.Key] = a.Value.String()
	}
	require.Equal(t, []string{"panel", "runbook", "since", "source", "values"}, slices.Sorted(maps.Keys(evidence)))
	require.Equal(t, 200, post("resolved.json"))
	found, err = d.Detect(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

// The alert of a rule without data has the rule's name in another label, and
// makes what fired before stale, whatever its labels.
func TestARuleWithoutDataIsBlind(t *testing.T) {
	r := receiver(t, grafana.Config{HMACSecret: secret})
	post := func(name string) {
		body := file(t, name)
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		q.Header.Set("X-Grafana-Alert-Signature", sign(secret, "", body)) // as older versions name it
		require.Equal(t, 200, receivetest.Send(r, q))
	}
	post("firing.json")
	d := r.Alerts("Disk is full", "host=web-1")
	post("nodata.json")
	found, err := d.Detect(t.Context())
	require.Empty(t, found)
	require.Len(t, detect.StaleOf(err), 2)
	require.ErrorContains(t, err, "the sender has no data")
	named, err := r.Alerts("DatasourceNoData").Detect(t.Context())
	require.Empty(t, named)
	require.NoError(t, err)
	post("resolved.json")
	found, err = d.Detect(t.Context())
	require.Empty(t, found)
	require.Len(t, detect.StaleOf(err), 1, "a resolve for want of data heals nothing")
	post("nodata-resolved.json")
	found, err = d.Detect(t.Context())
	require.Empty(t, found)
	require.NoError(t, err)
}

func TestUselessBodiesAreCounted(t *testing.T) {
	for name, want := range map[string]string{
		"test.json": "test", "legacy.json": "legacy form",
	} {
		r := receiver(t, grafana.Config{Bearer: "canary"})
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(file(t, name)))
		q.Header.Set("Authorization", "Bearer canary")
		require.Equal(t, 200, receivetest.Send(r, q))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, name)
		_, err := r.All().Detect(t.Context())
		require.ErrorContains(t, err, "nothing was received")
	}
	for body, want := range map[string]string{
		`{}`: "no alerts", `{"version":"4","alerts":[{}]}`: "other version", `[]`: "no alerts", `"x"`: "no alerts",
		`{"version":"1","alerts":[{"status":"firing"}]}`:                                                                                        "unidentified",
		`{"version":"1","alerts":[{"status":"firing","fingerprint":"a"}]}`:                                                                      "undated",
		`{"version":"1","alerts":[{"status":"pending","fingerprint":"a","startsAt":"2026-03-01T12:00:00Z"}]}`:                                   "other status",
		`{"version":"1","alerts":[{"status":"firing","fingerprint":"a","startsAt":"yesterday"}]}`:                                               "undated",
		`{"version":"1","alerts":[{"status":7,"fingerprint":"a","startsAt":"2026-03-01T12:00:00Z"}]}`:                                           "other status",
		`{"version":"1","alerts":[{"status":"firing","labels":{"x":"` + strings.Repeat("y", 70_000) + `"},"startsAt":"2026-03-01T12:00:00Z"}]}`: "oversized",
	} {
		r := receiver(t, grafana.Config{Insecure: true})
		require.Equal(t, 200, receivetest.Send(r, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, body)
	}
}

func TestSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"version":"1","alerts":[]}`
		now := time.Now()
		stamp := strconv.FormatInt(now.Unix(), 10)
		r := receiver(t, grafana.Config{HMACSecret: "new", Secrets: []detect.Secret{"old"}, HMACHeader: "X-Sig", HMACTimestampHeader: "X-Time"})
		post := func(stamp, signature string) int {
			q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			q.Header.Set("X-Sig", signature)
			if stamp != "" {
				q.Header.Set("X-Time", stamp)
			}
			return receivetest.Send(r, q)
		}
		require.Equal(t, 200, post(stamp, sign("new", stamp, body)))
		require.Equal(t, 200, post(stamp, sign("old", stamp, body)), "both, while one is rotated")
		require.Equal(t, 401, post(stamp, sign("other", stamp, body)))
		require.Equal(t, 401, post(stamp, sign("new", "", body)), "the time must be covered")
		require.Equal(t, 401, post("", sign("new", "", body)), "and be there")
		require.Equal(t, 401, post("1", sign("new", stamp, body)))
		require.Equal(t, 401, post("never", sign("new", "never", body)))
		require.Equal(t, 401, post("-1", sign("new", "-1", body)))
		require.Equal(t, 401, post(stamp, "no hex"))
		time.Sleep(5 * time.Minute)
		require.Equal(t, 200, post(stamp, sign("new", stamp, body)))
		time.Sleep(time.Second)
		require.Equal(t, 403, post(stamp, sign("new", stamp, body)), "a replay")
		ahead := strconv.FormatInt(time.Now().Add(6*time.Minute).Unix(), 10)
		require.Equal(t, 403, post(ahead, sign("new", ahead, body)))
		require.Equal(t, map[string]uint64{"no proof": 1, "wrong proof": 6, "outside window": 2}, r.Stats().Refused)
	})
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		c    grafana.Config
		want string
	}{
		{grafana.Config{}, "nothing proves where a request comes from: set HMACSecret"},
		{grafana.Config{HMACTimestampHeader: "X"}, "without a secret"},
		{grafana.Config{HMACSecret: "a", Insecure: true}, "Insecure is set beside a proof"},
		{grafana.Config{HMACSecret: "a\n"}, "trim it"},
		{grafana.Config{HMACSecret: "a", Secrets: []detect.Secret{""}}, "Secrets[0] is empty"},
		{grafana.Config{BasicUser: "a"}, "belong together"},
		{grafana.Config{HMACSecret: "a", ReplayWindow: -1}, "ReplayWindow"},
		{grafana.Config{HMACSecret: "a", Expiry: time.Hour}, "less than twice Repeat"},
	} {
		_, err := grafana.New(c.c)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzReceiver(f *testing.F) {
	for _, name := range []string{"firing.json", "resolved.json", "nodata.json", "test.json", "legacy.json"} {
		f.Add([]byte(file(f, name)), true)
	}
	f.Add([]byte(`{"version":"1","alerts":[{"status":"firing","labels":{"":""},"startsAt":"9999-12-31T23:59:59Z"}]}`), true)
	f.Add([]byte(`null`), false)
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		r := receiver(t, grafana.Config{HMACSecret: secret, MaxAlerts: 5, MaxBody: 64 << 10})
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(body)))
		if signed {
			q.Header.Set("X-Grafana-Alerting-Signature", sign(secret, "", string(body)))
		}
		receivetest.Fuzzed(t, r, q, signed)
	})
}
