package selfheal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// recorder is a tracer that remembers what was started and ended. What the spans
// look like in detail is tested with the SDK, in telemetrytest.
type recorder struct {
	noop.TracerProvider
	start func() // called by each Start; may be nil

	mu    sync.Mutex
	lines []string
	ids   uint64
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return recording{r: r} }

func (r *recorder) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

type recording struct {
	noop.Tracer
	r *recorder
}

func (t recording) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	r := t.r
	if r.start != nil {
		r.start()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	config := trace.NewSpanStartConfig(o...)
	words := []string{"start", name}
	for _, a := range config.Attributes() {
		if a.Key != "selfheal.incident" {
			words = append(words, string(a.Key)+"="+a.Value.String())
		}
	}
	if strings.HasPrefix(name, "selfheal.incident") != config.NewRoot() {
		words = append(words, "(a root, or not: the other way round)")
	}
	parent := trace.SpanContextFromContext(ctx)
	r.ids++
	id := parent.TraceID()
	if !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], r.ids)
	}
	var own trace.SpanID
	binary.BigEndian.PutUint64(own[:], r.ids)
	r.lines = append(r.lines, strings.Join(words, " "))
	x := &span{r: r, name: name, c: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: own, TraceFlags: trace.FlagsSampled})}
	return trace.ContextWithSpan(ctx, x), x
}

type span struct {
	noop.Span
	r    *recorder
	name string
	c    trace.SpanContext
}

func (s *span) SpanContext() trace.SpanContext { return s.c }

func (s *span) End(...trace.SpanEndOption) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.lines = append(s.r.lines, "end "+s.name)
}

func (s *span) SetAttributes(kv ...attribute.KeyValue) {}

// twoSteps is a watch whose second step heals, and is undone.
func twoSteps(depth *selfhealtest.Gauge[int], saw func(context.Context, remediate.Request)) selfheal.Watch {
	seen := func(f func() error) remediate.Action {
		return func(ctx context.Context, r remediate.Request) error {
			saw(ctx, r)
			return f()
		}
	}
	nothing := func() error { return nil }
	return selfheal.Watch{Name: "queue", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(
		remediate.Step{Name: "no-help", Lasting: true, Run: seen(func() error { return errors.New("boom") })},
		remediate.Step{Name: "fix", Run: seen(func() error { depth.Set(1); return nil }), Undo: seen(nothing), Verify: seen(nothing)},
	)}
}

func TestOneTraceAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: r}, twoSteps(selfhealtest.NewGauge(9), func(context.Context, remediate.Request) {}))
		time.Sleep(5 * time.Minute)
		trial.Stop()
		require.Equal(t, []string{
			"start selfheal.incident selfheal.watch=queue selfheal.key= selfheal.severity=warning",
			"start selfheal.attempt selfheal.step=no-help selfheal.attempt=1",
			"end selfheal.attempt",
			"start selfheal.attempt selfheal.step=fix selfheal.attempt=2",
			"start selfheal.verification",
			"end selfheal.verification",
			"end selfheal.attempt",
			"start selfheal.undo selfheal.step=fix",
			"end selfheal.undo",
			"end selfheal.incident",
		}, r.said())
	})
}

func TestActionsGetTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := map[string]trace.SpanContext{}
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: &recorder{}}, twoSteps(selfhealtest.NewGauge(9), func(ctx context.Context, r remediate.Request) {
			got[r.Step+" "+r.Phase.String()] = trace.SpanContextFromContext(ctx)
			_, ends := ctx.Deadline()
			require.True(t, ends, "the time-out is still there")
		}))
		time.Sleep(5 * time.Minute)
		trial.Stop()
		require.Len(t, got, 4)
		spans := map[trace.SpanID]bool{}
		for phase, c := range got {
			require.True(t, c.IsValid(), phase)
			require.Equal(t, got["fix undo"].TraceID(), c.TraceID(), phase)
			spans[c.SpanID()] = true
		}
		require.Len(t, spans, 4, "each its own span")
	})
}

func TestHistogramsPointToTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var traced trace.SpanContext
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: &recorder{}}, twoSteps(selfhealtest.NewGauge(9), func(ctx context.Context, r remediate.Request) {
			traced = trace.SpanContextFromContext(ctx)
		}))
		time.Sleep(5 * time.Minute)
		trial.Stop()
		registry := prometheus.NewPedanticRegistry()
		require.NoError(t, registry.Register(trial.Supervisor().Collector()))
		families, err := registry.Gather()
		require.NoError(t, err)
		pointing := map[string]string{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, b := range m.GetHistogram().GetBucket() {
					if e := b.GetExemplar(); e != nil {
						require.LessOrEqual(t, e.GetValue(), b.GetUpperBound())
						require.NotZero(t, b.GetCumulativeCount())
						pointing[f.GetName()] = e.GetLabel()[0].GetName() + "=" + e.GetLabel()[0].GetValue()
					}
				}
			}
		}
		want := "trace_id=" + traced.TraceID().String()
		require.Equal(t, map[string]string{"selfheal_detect_seconds": want, "selfheal_heal_seconds": want}, pointing)
	})
}

// A tracer that hangs costs traces, and one call a second each time that it begins to.
func TestATracerThatHangsDelaysNothingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: &recorder{start: func() { <-hang }}}, twoSteps(depth, func(context.Context, remediate.Request) {}))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		st := trial.Supervisor().Status()
		require.Equal(t, uint64(1), st.Counts.Healed)
		require.NotEmpty(t, st.Stuck)
		got := values(t, trial.Supervisor())
		require.Equal(t, 1.0, got["heal_seconds_count"], "no count depends on the tracer")
		require.Equal(t, 3.1, math.Round(got["heal_seconds_sum"]*10)/10, "only the first of the three calls waited, for a second")
		close(hang)
	})
}

func TestATracerThatPanicsHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: &recorder{start: func() { panic("no exporter") }}}, twoSteps(depth, func(context.Context, remediate.Request) {}))
		time.Sleep(5 * time.Minute)
		trial.Stop()
		st := trial.Supervisor().Status()
		require.Equal(t, uint64(1), st.Counts.Healed)
		require.NotZero(t, st.Counts.Panics)
	})
}

// What is under way when Run ends is ended, or no exporter would ever see it.
func TestTracesEndWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: r}, sickly("disks", count(3), detect.Critical, nobody))
		time.Sleep(time.Minute)
		trial.Stop()
		begun, ended := 0, 0
		for _, l := range r.said() {
			if strings.HasPrefix(l, "start ") {
				begun++
			} else {
				ended++
			}
		}
		require.Equal(t, 6, begun, "three incidents, three notifications")
		require.Equal(t, begun, ended)
	})
}
