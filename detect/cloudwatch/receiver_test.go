package cloudwatch_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/cloudwatch"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
)

func fixture(tb testing.TB) receivetest.Fixture {
	s := newSNS(tb)
	return receivetest.Fixture{
		Instance: "InstanceId",
		New: func(_ testing.TB, o receivetest.Options) (receivetest.Receiver, error) {
			return cloudwatch.New(cloudwatch.Config{
				Topics: []string{topic}, SigningRoots: s.roots, Client: s.client(), Store: o.Store, Expiry: o.Expiry, Lag: o.Lag,
				MaxAlerts: o.MaxAlerts, MaxBody: o.MaxBody, Logger: receivetest.Quiet(),
			})
		},
		Request: func(tb testing.TB, a receivetest.Alert, _ time.Time) *http.Request {
			at := a.Start
			state := map[string]string{receivetest.Firing: "ALARM", receivetest.Resolved: "OK", receivetest.NoData: "INSUFFICIENT_DATA"}[a.State]
			if a.State == receivetest.Resolved {
				at = a.End
			}
			message, err := json.Marshal(map[string]any{
				"AlarmName": a.Name, "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:" + a.Name + "-" + a.Instance,
				"AlarmDescription": nil, "NewStateValue": state, "NewStateReason": "Threshold Crossed",
				"StateChangeTime": at.UTC().Format("2006-01-02T15:04:05.000-0700"),
				"Trigger":         map[string]any{"Dimensions": []any{map[string]string{"name": "InstanceId", "value": a.Instance}}},
			})
			require.NoError(tb, err)
			return post(tb, s.sign(tb, map[string]string{"Type": "Notification", "Message": string(message), "SignatureVersion": "2"}))
		},
	}
}

func TestReceiver(t *testing.T) { receivetest.Test(t, fixture(t)) }

func file(tb testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(tb, err)
	return string(b)
}

// What SNS wraps was recorded; it is signed anew with a key of the test.
func TestRecordedMessages(t *testing.T) {
	s := newSNS(t)
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	send := func(name string) {
		require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, map[string]string{"Type": "Notification", "Subject": "ALARM", "Message": file(t, name)}))), name)
	}
	one := func(d detect.Detector) detect.Finding {
		found, err := d.Detect(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0]
	}
	send("metric.json")
	f := one(r.Alerts("orders-disk-full", "InstanceId=i-0abc", "namespace=AWS/EC2", "region=eu-west-1"))
	require.Equal(t, "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:orders-disk-full", f.Key)
	require.Equal(t, "The disk of orders is nearly full", f.Summary)
	require.Zero(t, f.Severity)
	one(r.Alerts(f.Key))

	send("math.json")
	f = one(r.Alerts("orders-error-rate"))
	require.Equal(t, "app/orders/123", f.Labels["LoadBalancer"])
	require.True(t, strings.HasPrefix(f.Summary, "Threshold Crossed"), "a description that is null")
	require.Contains(t, f.Evidence, slog.String("expression", "100*(m1/m2)"))

	send("composite.json")
	f = one(r.Alerts("orders-down"))
	require.Contains(t, f.Evidence, slog.String("rule", "ALARM(orders-error-rate) AND ALARM(orders-disk-full)"))
	found, err := r.All().Detect(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 3)

	send("ok.json")
	found, err = r.Alerts("orders-disk-full").Detect(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)

	send("insufficient.json")
	found, err = r.Alerts("orders-error-rate").Detect(t.Context())
	require.Empty(t, found)
	require.Len(t, detect.StaleOf(err), 1)
	require.Equal(t, "app/orders/123", detect.StaleOf(err)[0].Finding.Labels["LoadBalancer"])
}

func TestUselessMessagesAreCounted(t *testing.T) {
	s := newSNS(t)
	for message, want := range map[string]string{
		"Successfully validated SNS topic for Amazon SES": "not an alarm", `{}`: "not an alarm", `{"AlarmName":"a"}`: "not an alarm", "": "not an alarm",
		`{"AlarmName":"a","NewStateValue":"ALARM"}`:                                                    "undated",
		`{"AlarmName":"a","NewStateValue":"ALARM","StateChangeTime":"soon"}`:                           "undated",
		`{"AlarmName":"a","NewStateValue":"SNOOZED","StateChangeTime":"2026-03-01T12:00:00.000+0000"}`: "other status",
	} {
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
		require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, map[string]string{"Type": "Notification", "Message": message}))))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, message)
	}
}

// SNS repeats a message for an hour, with the signature and the time of the first
// try.
func TestReplays(t *testing.T) {
	s := newSNS(t)
	synctest.Test(t, func(t *testing.T) {
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
		m := s.sign(t, alarmMessage())
		time.Sleep(time.Hour)
		require.Equal(t, 200, receivetest.Send(r, post(t, m)), "a retry")
		time.Sleep(6 * time.Minute)
		require.Equal(t, 403, receivetest.Send(r, post(t, m)), "a replay")
		ahead := alarmMessage()
		ahead["Timestamp"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, ahead))))
		none := alarmMessage()
		none["Timestamp"] = "today"
		require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, none))))
		require.Equal(t, map[string]uint64{"outside window": 3}, r.Stats().Refused)
	})
}

func TestMistakes(t *testing.T) {
	good := []string{topic}
	for _, c := range []struct {
		c    cloudwatch.Config
		want string
	}{
		{cloudwatch.Config{}, "Topics is empty"},
		{cloudwatch.Config{Topics: []string{"alarms"}}, "use the ARN"},
		{cloudwatch.Config{Topics: []string{"arn:aws:sns:*:123456789012:alarms"}}, "use the ARN"},
		{cloudwatch.Config{Topics: good, ReplayWindow: time.Minute}, "use at least that"},
		{cloudwatch.Config{Topics: good, Insecure: true, SigningRoots: newSNS(t).roots}, "Insecure is set beside"},
		{cloudwatch.Config{Topics: good, MaxBody: -1}, "MaxBody"},
	} {
		_, err := cloudwatch.New(c.c)
		require.ErrorContains(t, err, c.want)
	}
	_, err := cloudwatch.New(cloudwatch.Config{Topics: good})
	require.NoError(t, err)
}

func FuzzReceiver(f *testing.F) {
	s := newSNS(f)
	for _, name := range []string{"metric.json", "math.json", "composite.json", "ok.json", "insufficient.json"} {
		f.Add(file(f, name), "Notification", true)
	}
	f.Add("You have chosen", "SubscriptionConfirmation", true)
	f.Add("x", "UnsubscribeConfirmation", false)
	f.Fuzz(func(t *testing.T, message, kind string, signed bool) {
		if !json.Valid([]byte(`"`+kind+`"`)) || strings.ToValidUTF8(message, "") != message || strings.ToValidUTF8(kind, "") != kind {
			t.Skip("JSON cannot carry it, so neither can SNS")
		}
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots, MaxAlerts: 5, MaxBody: 64 << 10})
		m := s.sign(t, map[string]string{"Type": kind, "Message": message, "SignatureVersion": "2"})
		if !signed {
			m["Message"] += "."
		}
		known := kind == "Notification" || kind == "SubscriptionConfirmation" || kind == "UnsubscribeConfirmation"
		receivetest.Fuzzed(t, r, post(t, m), signed && known)
	})
}

// FuzzEnvelope takes bodies that nobody has signed.
func FuzzEnvelope(f *testing.F) {
	s := newSNS(f)
	b, err := json.Marshal(s.sign(f, alarmMessage()))
	require.NoError(f, err)
	f.Add(string(b[:len(b)-2]))
	f.Add(`{"Type":"Notification","TopicArn":"` + topic + `","SigningCertURL":"` + certURL + `","SignatureVersion":"1","Signature":"AA=="}`)
	f.Add(`{"Type":{},"TopicArn":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		if body == string(b) {
			t.Skip("that is signed")
		}
		before := len(s.visits())
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots, MaxBody: 64 << 10})
		code := receivetest.Send(r, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body)))
		require.NotEqual(t, 2, code/100)
		for _, v := range s.visits()[before:] {
			require.True(t, strings.HasPrefix(v, "GET https://sns.") && strings.HasSuffix(v, ".pem"), v)
		}
	})
}
