package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
	"github.com/selfheal-go/selfheal/detect/webhook"
)

// secret is the one of the examples of Standard Webhooks.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		io.WriteString(h, p)
	}
	return h.Sum(nil)
}

func standard(tb testing.TB, secret, id, stamp, body string) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(tb, err)
	return "v1," + base64.StdEncoding.EncodeToString(mac(key, id, ".", stamp, ".", body))
}

func request(tb testing.TB, body string, now time.Time) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(body))
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("webhook-id", "msg_1")
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", standard(tb, secret, "msg_1", stamp, body))
	return r
}

func fixture() receivetest.Fixture {
	return receivetest.Fixture{
		Instance: "instance",
		New: func(_ testing.TB, o receivetest.Options) (receivetest.Receiver, error) {
			return webhook.New(webhook.Config{
				Secrets: []detect.Secret{secret}, Store: o.Store, Expiry: o.Expiry, Lag: o.Lag,
				MaxAlerts: o.MaxAlerts, MaxBody: o.MaxBody, Logger: receivetest.Quiet(),
			})
		},
		Request: func(tb testing.TB, a receivetest.Alert, now time.Time) *http.Request {
			at := a.Start
			if a.State == receivetest.Resolved {
				at = a.End
			}
			body, err := json.Marshal(map[string]any{
				"name": a.Name, "status": a.State, "at": at, "labels": map[string]string{"instance": a.Instance},
			})
			require.NoError(tb, err)
			return request(tb, string(body), now)
		},
		Garbage: func(tb testing.TB) *http.Request { return request(tb, "{", time.Now()) },
	}
}

func TestReceiver(t *testing.T) { receivetest.Test(t, fixture()) }

// The vector of the Standard Webhooks documentation and its libraries.
func TestThePublishedVector(t *testing.T) {
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		standard(t, secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`))
}

func receiver(tb testing.TB, c webhook.Config) *webhook.Receiver {
	c.Logger = receivetest.Quiet()
	r, err := webhook.New(c)
	require.NoError(tb, err)
	return r
}

func TestStandardWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver(t, webhook.Config{Secrets: []detect.Secret{"whsec_b2xkIG9sZCBvbGQgb2xk", secret}, HMACSecret: "plain text"})
		body := `{"alerts":[]}`
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		good := standard(t, secret, "m", stamp, body)
		post := func(id, stamp, signature string) int {
			q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			for name, value := range map[string]string{"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature} {
				if value != "" {
					q.Header.Set(name, value)
				}
			}
			return receivetest.Send(r, q)
		}
		require.Equal(t, 200, post("m", stamp, good))
		require.Equal(t, 200, post("m", stamp, "v1,bm8= v1a,xx "+good))
		require.Equal(t, 200, post("m", stamp, standard(t, "whsec_b2xkIG9sZCBvbGQgb2xk", "m", stamp, body)))
		require.Equal(t, 200, post("m", stamp, standard(t, base64.StdEncoding.EncodeToString([]byte("plain text")), "m", stamp, body)))
		require.Equal(t, 401, post("", stamp, good))
		require.Equal(t, 401, post("m", "", good))
		require.Equal(t, 401, post("m", stamp, ""))
		require.Equal(t, 401, post("n", stamp, good))
		require.Equal(t, 401, post("m", stamp+"0", good))
		require.Equal(t, 401, post("m", stamp, good[3:]))
		require.Equal(t, 401, post("m", stamp, strings.Repeat("v1,bm8= ", 1000)+good))
		time.Sleep(5 * time.Minute)
		require.Equal(t, 200, post("m", stamp, good))
		time.Sleep(time.Second)
		require.Equal(t, 403, post("m", stamp, good))
	})
}

func TestBodyHMAC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"name":"a","status":"firing"}`
		plain := receiver(t, webhook.Config{HMACSecret: "s", HMACHeader: "X-Hub-Signature-256"})
		timed := receiver(t, webhook.Config{HMACSecret: "s", HMACHeader: "X-Signature", HMACTimestampHeader: "X-Time"})
		q := func(header, value, stamp string) *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set(header, value)
			r.Header.Set("X-Time", stamp)
			return r
		}
		sum := hex.EncodeToString(mac([]byte("s"), body))
		require.Equal(t, 200, receivetest.Send(plain, q("X-Hub-Signature-256", "sha256="+sum, "")))
		require.Equal(t, 200, receivetest.Send(plain, q("X-Hub-Signature-256", sum, "")))
		require.Equal(t, 401, receivetest.Send(plain, q("X-Hub-Signature-256", sum[2:], "")))
		require.Equal(t, map[string]uint64{"undated": 2}, plain.Stats().Ignored, "told again it could not be told from a new one")

		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		signed := hex.EncodeToString(mac([]byte("s"), stamp, ":", body))
		require.Equal(t, 200, receivetest.Send(timed, q("X-Signature", signed, stamp)))
		require.Equal(t, 401, receivetest.Send(timed, q("X-Signature", sum, stamp)))
		found, err := timed.Alerts("a").Detect(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1, "the time that is signed is since when")
		time.Sleep(6 * time.Minute)
		require.Equal(t, 403, receivetest.Send(timed, q("X-Signature", signed, stamp)))
	})
}

func TestRecordedBodies(t *testing.T) {
	type want struct {
		key, summary string
		severity     detect.Severity
		value        float64
	}
	for name, wants := range map[string][]want{
		"own.json":          {{"orders", "nothing moved for 5 minutes", detect.Critical, 9000}},
		"list.json":         {{"a", "a", 0, 0}, {"b", "b is stuck", 0, 0}},
		"alertmanager.json": {{"57c6d9296de2ad39", "disk of web-1 is full", detect.Critical, 0}},
		"cloudevent.json":   {{"orders", "nothing moved for 5 minutes", detect.Critical, 9000}},
		"cloudevents.json":  {{"a", "a", 0, 0}, {"b", "b", 0, 0}},
	} {
		b, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		r := receiver(t, webhook.Config{Secrets: []detect.Secret{secret}})
		require.Equal(t, 200, receivetest.Send(r, request(t, string(b), time.Now())), name)
		found, err := r.All().Detect(t.Context())
		require.NoError(t, err, name)
		var got []want
		for _, f := range found {
			got = append(got, want{f.Key, f.Summary, f.Severity, f.Value})
		}
		require.Equal(t, wants, got, name)
	}
}

func TestUselessBodiesAreCounted(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "no alerts", `[]`: "no alerts", `[[[[{"name":"a","status":"firing"}]]]]`: "no alerts", `5`: "no alerts",
		`{"specversion":"1.0","data":null}`:                                       "no alerts",
		`{"specversion":"1.0"}`:                                                   "malformed",
		`{"status":"firing","at":"2026-03-01T12:00:00Z"}`:                         "unidentified",
		`{"name":"a","status":"firing"}`:                                          "undated",
		`{"name":"a","status":"firing","at":"now"}`:                               "undated",
		`{"name":"a","status":"resolved"}`:                                        "undated",
		`{"name":"a","at":"2026-03-01T12:00:00Z"}`:                                "other status",
		`{"name":"a","status":"sick","at":"2026-03-01T12:00:00Z","value":"high"}`: "other status",
	} {
		r := receiver(t, webhook.Config{Bearer: "canary", Secrets: []detect.Secret{"canary-2"}})
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		q.Header.Set("Authorization", "bearer canary-2")
		require.Equal(t, 200, receivetest.Send(r, q))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, body)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		c    webhook.Config
		want string
	}{
		{webhook.Config{}, "nothing proves where a request comes from: set Secrets"},
		{webhook.Config{Secrets: []detect.Secret{"whsec_canary!"}}, `Secrets[0]: "whsec_" must be followed by`},
		{webhook.Config{HMACSecret: "whsec_"}, "HMACSecret"},
		{webhook.Config{HMACHeader: "X"}, "without a secret"},
		{webhook.Config{HMACSecret: "a", HMACTimestampHeader: "X"}, "without HMACHeader"},
		{webhook.Config{Secrets: []detect.Secret{secret}, Insecure: true}, "Insecure is set beside"},
	} {
		_, err := webhook.New(c.c)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzReceiver(f *testing.F) {
	for _, name := range []string{"own.json", "list.json", "alertmanager.json", "cloudevent.json", "cloudevents.json"} {
		b, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(string(b), true)
	}
	f.Add(`{"specversion":"1.0","time":"x","data":{"specversion":"1.0","data":[{"name":"a","status":"FIRING"}]}}`, true)
	f.Add(`[{"name":"a","key":"\u0000","status":"no data","value":1e400}]`, false)
	f.Fuzz(func(t *testing.T, body string, signed bool) {
		r := receiver(t, webhook.Config{Secrets: []detect.Secret{secret}, MaxAlerts: 5, MaxBody: 64 << 10})
		q := request(t, body, time.Now())
		if !signed {
			q.Header.Set("webhook-id", "msg_2")
		}
		receivetest.Fuzzed(t, r, q, signed)
	})
}
