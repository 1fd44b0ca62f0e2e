package alertmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// group is a body of n alerts.
func group(tb testing.TB, n int, status string, at time.Time) string {
	alerts := make([]map[string]any, n)
	for i := range alerts {
		alerts[i] = map[string]any{
			"status": status, "startsAt": at, "endsAt": at, "fingerprint": fmt.Sprintf("%016x", i+1), "generatorURL": "http://prometheus.example/graph",
			"labels":      map[string]string{"alertname": "HostDiskFull", "instance": fmt.Sprint("web-", i), "job": "node", "severity": "critical"},
			"annotations": map[string]string{"summary": fmt.Sprint("disk of web-", i, " is full"), "description": "97 % used"},
		}
	}
	b, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": alerts})
	require.NoError(tb, err)
	return string(b)
}

// BenchmarkReceiverThroughput measures posts that are proved, read and taken:
// through the handler, and over a kept connection on loopback. flip fires and
// resolves in turns, restate says the same again.
func BenchmarkReceiverThroughput(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("handler/restate/alerts=%d", n), func(b *testing.B) {
			r, body := receiver(b, alertmanager.Config{}), group(b, n, "firing", time.Now().Add(-time.Hour))
			b.ReportAllocs()
			for b.Loop() {
				if code := receivetest.Send(r, request(b, body)); code != 200 {
					b.Fatal(code)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
	b.Run("handler/flip/alerts=1", func(b *testing.B) {
		r := receiver(b, alertmanager.Config{Store: &detect.MemoryStore{}})
		d := r.Alerts("HostDiskFull")
		began := time.Now().Add(-24 * time.Hour)
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			status := "firing"
			if n%2 == 0 {
				status = "resolved"
			}
			body := `{"version":"4","alerts":[{"status":"` + status + `","startsAt":"` + began.Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano) +
				`","endsAt":"` + began.Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano) + `","labels":{"alertname":"HostDiskFull"}}]}`
			if code := receivetest.Send(r, request(b, body)); code != 200 {
				b.Fatal(code)
			}
			if found, _ := d.Detect(b.Context()); len(found) != n%2 {
				b.Fatal(n, found)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
	})
	b.Run("loopback/restate/alerts=1", func(b *testing.B) {
		r, body := receiver(b, alertmanager.Config{}), group(b, 1, "firing", time.Now().Add(-time.Hour))
		server := httptest.NewServer(r)
		defer server.Close()
		client := server.Client()
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			post(b, client, server.URL, body)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
	})
}

func post(b *testing.B, client *http.Client, address, body string) {
	q, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(b, err)
	q.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(q)
	require.NoError(b, err)
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	require.Equal(b, 200, answer.StatusCode)
}

// BenchmarkReceiverToAction measures from the start of a post on loopback to the
// first line of Run.
func BenchmarkReceiverToAction(b *testing.B) {
	r := receiver(b, alertmanager.Config{Lag: -1})
	server := httptest.NewServer(r)
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	acted := make(chan time.Time, 1)
	s := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(slog.New(slog.DiscardHandler))), Logger: slog.New(slog.DiscardHandler)})
	s.Watch(selfheal.Watch{
		Name: "disk-full", Detector: r.Alerts("HostDiskFull"), KeepFor: -1,
		Playbook: remediate.Playbook{
			Limits: remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: -1}, Heals: remediate.Heals{N: -1}},
			Steps: []remediate.Step{{
				Name: "empty", Risk: remediate.Safe, Settle: time.Millisecond,
				Run: func(context.Context, remediate.Request) error { acted <- time.Now(); return nil },
			}},
		},
	})
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	post(b, client, server.URL, group(b, 1, "resolved", time.Now().Add(-24*time.Hour))) // it is heard, and the connection is there
	began := time.Now().Add(-20 * time.Hour)
	var took []time.Duration
	n := 0
	for b.Loop() {
		for range 200 {
			n++
			alert := `"status":"%s","startsAt":"` + began.Add(time.Duration(n)*time.Second).Format(time.RFC3339) +
				`","endsAt":"` + began.Add(time.Duration(n)*time.Second+time.Millisecond).Format(time.RFC3339Nano) +
				`","labels":{"alertname":"HostDiskFull","n":"` + fmt.Sprint(n) + `"}`
			start := time.Now()
			post(b, client, server.URL, `{"version":"4","alerts":[{`+fmt.Sprintf(alert, "firing")+`}]}`)
			took = append(took, (<-acted).Sub(start))
			post(b, client, server.URL, `{"version":"4","alerts":[{`+fmt.Sprintf(alert, "resolved")+`}]}`)
			time.Sleep(3 * time.Millisecond)
		}
	}
	stop()
	require.NoError(b, <-done)
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))]) / 1e6 }
	b.ReportMetric(at(0.50), "ms-p50")
	b.ReportMetric(at(0.99), "ms-p99")
	b.ReportMetric(0, "ns/op")
}
