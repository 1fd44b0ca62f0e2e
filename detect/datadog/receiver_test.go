package datadog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/datadog"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
)

// fill does to the template what Datadog does: it replaces the variables that it
// knows.
func fill(vars map[string]string) string {
	return regexp.MustCompile(`\$[A-Z_]+`).ReplaceAllStringFunc(datadog.Template, func(name string) string {
		value, ok := vars[name[1:]]
		if !ok {
			return name
		}
		quoted, _ := json.Marshal(value)
		return string(quoted[1 : len(quoted)-1])
	})
}

func request(tb testing.TB, body string) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.SetBasicAuth("datadog", "canary")
	r.Header.Set("Content-Type", "application/json")
	return r
}

func fixture() receivetest.Fixture {
	return receivetest.Fixture{
		Instance: "host",
		New: func(_ testing.TB, o receivetest.Options) (receivetest.Receiver, error) {
			return datadog.New(datadog.Config{
				BasicUser: "datadog", BasicPassword: "canary", Store: o.Store, Expiry: o.Expiry, Lag: o.Lag,
				MaxAlerts: o.MaxAlerts, MaxBody: o.MaxBody, Logger: receivetest.Quiet(),
			})
		},
		Request: func(tb testing.TB, a receivetest.Alert, _ time.Time) *http.Request {
			at, transition := a.Start, "Triggered"
			switch a.State {
			case receivetest.Resolved:
				at, transition = a.End, "Recovered"
			case receivetest.NoData:
				transition = "No Data"
			}
			return request(tb, fill(map[string]string{
				"ALERT_ID": "1234", "ALERT_TRANSITION": transition, "DATE": fmt.Sprint(at.UnixMilli()),
				"ALERT_TITLE": "[" + transition + " on {host:" + a.Instance + "}] " + a.Name, "ALERT_SCOPE": "host:" + a.Instance,
			}))
		},
		Garbage: func(tb testing.TB) *http.Request { return request(tb, `{"alert_id": "`) },
	}
}

func TestReceiver(t *testing.T) { receivetest.Test(t, fixture()) }

func receiver(tb testing.TB) *datadog.Receiver {
	r, err := datadog.New(datadog.Config{Bearer: "canary", Logger: receivetest.Quiet()})
	require.NoError(tb, err)
	return r
}

func send(tb testing.TB, r *datadog.Receiver, body, kind string) {
	q := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(body))
	q.Header.Set("Authorization", "Bearer canary")
	q.Header.Set("Content-Type", kind)
	require.Equal(tb, 200, receivetest.Send(r, q))
}

func file(tb testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(tb, err)
	return string(b)
}

// The same payload, with "Encode as form" and without.
func TestRecordedBodies(t *testing.T) {
	for _, form := range []bool{false, true} {
		r := receiver(t)
		post := func(name string) {
			body := file(t, name)
			if !form {
				send(t, r, body, "application/json")
				return
			}
			var all map[string]string
			require.NoError(t, json.Unmarshal([]byte(body), &all))
			values := url.Values{}
			for k, v := range all {
				values.Set(k, v)
			}
			send(t, r, values.Encode(), "application/x-www-form-urlencoded")
		}
		post("triggered.json")
		for _, d := range []detect.Detector{r.Alerts("[orders] Disk is full", "env=prod", "host=web-1"), r.Alerts("1234", "priority=P2"), r.All()} {
			found, err := d.Detect(t.Context())
			require.NoError(t, err)
			require.Len(t, found, 1)
			f := found[0]
			require.Equal(t, "1234{disk:/var,host:web-1}", f.Key)
			require.Equal(t, "system.disk.in_use over disk:/var,host:web-1 was > 0.9 on average during the last 5m.", f.Summary)
			require.Equal(t, detect.Critical, f.Severity)
		}
		post("warn.json")
		found, err := r.All().Detect(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, detect.Warning, found[0].Severity, "the same alert, less bad")
		post("recovered.json")
		found, err = r.All().Detect(t.Context())
		require.NoError(t, err)
		require.Empty(t, found)
	}
}

func TestTransitions(t *testing.T) {
	const t0 = 1772366400000 // 2026-03-01T12:00:00Z
	n := 0
	body := func(transition, kind string) string {
		n++
		return fill(map[string]string{
			"ALERT_ID": "7", "ALERT_TRANSITION": transition, "ALERT_TYPE": kind, "ALERT_TITLE": "[P1] [" + transition + "] Lag", "DATE": fmt.Sprint(t0 + n),
		})
	}
	for _, c := range []struct {
		before, kind, transition string
		found, stale             int
		severity                 detect.Severity
	}{
		{"", "error", "Triggered", 1, 0, detect.Critical},
		{"", "error", "Re-Triggered", 1, 0, detect.Critical},
		{"", "warning", "Warn", 1, 0, detect.Warning},
		{"", "warning", "Re-Warn", 1, 0, detect.Warning},
		{"", "error", "No Data", 0, 1, 0},
		{"", "error", "Re-No Data", 0, 1, 0},
		{"Triggered", "error", "No Data", 0, 1, 0},
		{"Triggered", "error", "Renotify", 1, 0, detect.Critical},
		{"Warn", "warning", "Renotify", 1, 0, detect.Warning},
		{"No Data", "error", "Renotify", 0, 1, 0},
		{"", "error", "Renotify", 1, 0, detect.Critical},
		{"No Data", "error", "Triggered", 1, 0, detect.Critical},
		{"Triggered", "success", "Recovered", 0, 0, 0},
		{"No Data", "success", "Recovered", 0, 0, 0},
	} {
		r := receiver(t)
		if c.before != "" {
			send(t, r, body(c.before, c.kind), "application/json")
		}
		send(t, r, body(c.transition, c.kind), "application/json")
		found, err := r.Alerts("Lag").Detect(t.Context())
		require.Len(t, found, c.found, "%+v", c)
		require.Len(t, detect.StaleOf(err), c.stale, "%+v", c)
		if c.found > 0 {
			require.Equal(t, c.severity, found[0].Severity, "%+v", c)
		}
		if c.stale == 0 {
			require.NoError(t, err)
		}
	}
	r := receiver(t)
	send(t, r, strings.Replace(body("Renotify", "error"), "[P1] [Renotify]", "[P1] [Renotify] [No Data on {host:a}]", 1), "application/json")
	found, err := r.Alerts("Lag").Detect(t.Context())
	require.Empty(t, found)
	require.Len(t, detect.StaleOf(err), 1, "the title tells of what it is a repeat")
}

func TestUselessBodiesAreCounted(t *testing.T) {
	for body, want := range map[string]string{
		file(t, "default.json"): "other payload", datadog.Template: "other payload", `{}`: "other payload", `null`: "other payload",
		`{"alert_id":"1","alert_transition":"Triggered"}`:                            "undated",
		`{"alert_id":"1","alert_transition":"Triggered","date":"soon"}`:              "undated",
		`{"alert_id":"1","alert_transition":"Triggered","date":"-1"}`:                "undated",
		`{"alert_id":"1","alert_transition":"Triggered","date":"99999999999999999"}`: "undated",
		`{"alert_id":"1","alert_transition":"Null","date":"1772366400000"}`:          "other status",
		`[1]`: "other payload",
	} {
		r := receiver(t)
		send(t, r, body, "application/json")
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, body)
	}
	r := receiver(t)
	send(t, r, "%zz", "application/x-www-form-urlencoded")
	require.Equal(t, map[string]uint64{"malformed": 1}, r.Stats().Ignored)
	send(t, r, `{"alert_id":1,"alert_transition":"Triggered","date":1772366400,"alert_title":"x"}`, "application/json")
	require.Equal(t, uint64(1), r.Stats().Taken, "numbers that somebody did not quote, seconds")
}

// Every field of the template is read, so that none is there for nothing.
func TestTheTemplateIsJSON(t *testing.T) {
	var fields map[string]string
	require.NoError(t, json.Unmarshal([]byte(datadog.Template), &fields))
	code, err := os.ReadFile("template.go")
	require.NoError(t, err)
	for name := range fields {
		require.Contains(t, string(code), `f["`+name+`"]`)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		c    datadog.Config
		want string
	}{
		{datadog.Config{}, "nothing proves where a request comes from: set Bearer"},
		{datadog.Config{Bearer: "a", Insecure: true}, "Insecure is set beside a proof"},
		{datadog.Config{Bearer: "a", Repeat: time.Hour, Expiry: time.Hour}, "less than twice Repeat"},
		{datadog.Config{Bearer: "a", Repeat: -1}, "Repeat is"},
		{datadog.Config{BasicPassword: "canary"}, "belong together"},
	} {
		_, err := datadog.New(c.c)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzReceiver(f *testing.F) {
	for _, name := range []string{"triggered.json", "warn.json", "recovered.json", "default.json"} {
		f.Add(file(f, name), false, true)
	}
	f.Add("alert_id=1&alert_transition=Triggered&date=1772366400000&alert_title=[x", true, true)
	f.Add(`{"alert_id":"1","alert_transition":"Warn","date":"1","alert_title":"[Triggered on {a:]}] [P1] n","alert_scope":",:,*,a"}`, false, true)
	f.Add(`{"alert_id":"1","alert_transition":"Triggered","date":"1772366400000","alert_title":"[P1]"}`, false, true) // no name
	f.Fuzz(func(t *testing.T, body string, form, proved bool) {
		r, err := datadog.New(datadog.Config{Bearer: "canary", MaxAlerts: 5, MaxBody: 64 << 10, Logger: receivetest.Quiet()})
		require.NoError(t, err)
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		if proved {
			q.Header.Set("Authorization", "Bearer canary")
		}
		if form {
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		receivetest.Fuzzed(t, r, q, proved)
	})
}
