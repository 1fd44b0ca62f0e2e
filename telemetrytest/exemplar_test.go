package telemetrytest

import (
	"context"
	"net/http/httptest"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// A slow heal on a chart leads to its trace: what is scraped names it.
func TestAHistogramNamesTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter := tracetest.NewInMemoryExporter()
		p := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
		depth := selfhealtest.NewGauge(9_000)
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: p}, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5_000),
			Playbook: remediate.Ladder(remediate.Step{Name: "drain", Risk: remediate.Safe, Run: func(context.Context, remediate.Request) error { depth.Set(1); return nil }}),
		})
		time.Sleep(5 * time.Minute)
		trial.Stop()
		ids := map[string]bool{}
		for _, s := range exporter.GetSpans() {
			ids[s.SpanContext.TraceID().String()] = true
		}
		require.Len(t, ids, 1)

		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(trial.Supervisor().Collector())
		scrape, page := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		scrape.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(page, scrape)
		found := regexp.MustCompile(`(?m)^selfheal_(detect|heal)_seconds_bucket\{.*\} \d+ # \{trace_id="([0-9a-f]{32})"\} [0-9.e-]+ `).FindAllStringSubmatch(page.Body.String(), -1)
		named := map[string]string{}
		for _, f := range found {
			named[f[1]] = f[2]
			require.True(t, ids[f[2]], "trace %s", f[2])
		}
		require.Len(t, named, 2, "both histograms have one:\n%s", page.Body)
	})
}
