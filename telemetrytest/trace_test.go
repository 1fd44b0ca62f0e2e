package telemetrytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// tree prints spans as they lie below each other, in the order in which they began.
type tree struct {
	born  time.Time
	unit  time.Duration // of what is printed: pauses before a second try vary
	spans tracetest.SpanStubs
	ids   map[trace.SpanID]string // of spans that are linked to
	b     strings.Builder
}

func draw(born time.Time, unit time.Duration, spans tracetest.SpanStubs) string {
	t := &tree{born: born, unit: unit, spans: slices.Clone(spans), ids: map[trace.SpanID]string{}}
	slices.SortStableFunc(t.spans, func(a, b tracetest.SpanStub) int {
		return cmp.Or(a.StartTime.Compare(b.StartTime), b.EndTime.Compare(a.EndTime), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range t.spans {
		t.ids[s.SpanContext.SpanID()] = s.Name
	}
	t.below(trace.SpanID{}, "")
	return t.b.String()
}

func (t *tree) since(at time.Time) time.Duration { return at.Sub(t.born).Truncate(t.unit) }

func (t *tree) below(parent trace.SpanID, indent string) {
	for _, s := range t.spans {
		if s.Parent.SpanID() != parent {
			continue
		}
		fmt.Fprintf(&t.b, "%s%s %v-%v", indent, s.Name, t.since(s.StartTime), t.since(s.EndTime))
		for _, a := range s.Attributes {
			if a.Key != "selfheal.incident" {
				fmt.Fprintf(&t.b, " %s=%s", strings.TrimPrefix(string(a.Key), "selfheal."), a.Value.String())
			}
		}
		if s.Status.Description != "" {
			fmt.Fprintf(&t.b, " [%v: %s]", s.Status.Code, s.Status.Description)
		}
		for _, l := range s.Links {
			fmt.Fprintf(&t.b, " -> %s", t.ids[l.SpanContext.SpanID()])
		}
		t.b.WriteByte('\n')
		for _, e := range s.Events {
			fmt.Fprintf(&t.b, "%s  * %v %s\n", indent, t.since(e.Time), e.Name)
		}
		t.below(s.SpanContext.SpanID(), indent+"    ")
	}
}

// tracing is a provider whose exporter remembers.
func tracing() (*tracetest.InMemoryExporter, *sdk.TracerProvider) {
	exporter := tracetest.NewInMemoryExporter()
	p := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	return exporter, p
}

func want(t *testing.T, text, got string) {
	t.Helper()
	require.Equal(t, strings.TrimLeft(strings.ReplaceAll(text, "\n\t\t\t", "\n"), "\n"), got)
}

func TestTheTraceOfAnIncidentThatHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter, p := tracing()
		born := time.Now()
		depth := selfhealtest.NewGauge(9_000)
		// What a step does downstream lies below its attempt.
		call := func(name string, f func() error) remediate.Action {
			return func(ctx context.Context, _ remediate.Request) error {
				_, span := p.Tracer("app").Start(ctx, name)
				defer span.End()
				time.Sleep(2 * time.Second)
				return f()
			}
		}
		tries := 0
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: p}, selfheal.Watch{
			Name: "orders/queue-depth", Detector: detect.Above(depth.Read, 5_000).Unit("jobs"), For: time.Minute, KeepFor: 5 * time.Minute,
			Playbook: remediate.Ladder(
				remediate.Step{Name: "scale-workers", Risk: remediate.Safe, Settle: 10 * time.Second, Retry: remediate.Backoff{Tries: 2, Initial: time.Second, Multiplier: 1}, Run: call("POST /scale", func() error {
					if tries++; tries == 1 {
						return errors.New("HTTP 503, password=hunter2secret")
					}
					return nil
				})},
				remediate.Step{
					Name: "shed-load", Settle: time.Minute,
					Run:    call("POST /shed", func() error { depth.Set(100); return nil }),
					Verify: call("GET /orders", func() error { return nil }),
					Undo:   call("POST /restore", func() error { return nil }),
				},
			),
			Evidence: []escalate.Gatherer{escalate.GathererFunc(func(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
				_, span := p.Tracer("app").Start(ctx, "profile")
				defer span.End()
				return []escalate.Evidence{{Name: "heap", Ref: "bundle-1"}}, nil
			})},
		})
		time.Sleep(15 * time.Minute)
		trial.Stop()
		spans := exporter.GetSpans()
		want(t, `
			selfheal.incident 0s-7m21s watch=orders/queue-depth key= severity=warning
			  * 1m0s open orders/queue-depth: 9000 jobs is above 5000
			  * 7m21s undo shed-load
			  * 7m21s close
			    selfheal.attempt 1m0s-1m15s step=scale-workers attempt=1 outcome=no effect tries=2 -> selfheal.evidence
			        POST /scale 1m0s-1m2s
			        POST /scale 1m3s-1m5s
			        selfheal.verification 1m5s-1m15s outcome=no effect
			    selfheal.evidence 1m0s-1m0s evidence=["heap bundle-1"]
			        profile 1m0s-1m0s
			    selfheal.attempt 1m15s-2m19s step=shed-load attempt=2 outcome=healed tries=1 -> selfheal.evidence
			        POST /shed 1m15s-1m17s
			        selfheal.verification 1m17s-2m19s outcome=healed
			            GET /orders 2m17s-2m19s
			    selfheal.evidence 1m15s-1m15s evidence=["heap bundle-1"]
			        profile 1m15s-1m15s
			    selfheal.undo 7m19s-7m21s step=shed-load
			        POST /restore 7m19s-7m21s
			`, draw(born, time.Second, spans))
		for _, s := range spans {
			require.Equal(t, spans[0].SpanContext.TraceID(), s.SpanContext.TraceID(), "one trace")
		}
	})
}

func TestTheTraceOfAnIncidentThatPeopleAreCalledFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter, p := tracing()
		born := time.Now()
		depth := selfhealtest.NewGauge(9)
		fails := errors.New("HTTP 500, password=hunter2secret")
		notify := escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
			require.True(t, trace.SpanContextFromContext(ctx).IsValid())
			err := fails
			fails = nil
			return err
		})
		trial := selfhealtest.StartWith(t, selfheal.Options{Tracer: p, Escalate: escalate.To(escalate.Named("pager", notify))}, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "restart", Lasting: true, Run: func(context.Context, remediate.Request) error {
				return errors.New("no such unit, token=hunter2secret")
			}}),
		})
		time.Sleep(time.Minute)
		depth.Set(1)
		time.Sleep(5 * time.Minute)
		trial.Stop()
		got := draw(born, time.Minute, exporter.GetSpans())
		require.NotContains(t, got, "hunter2", "credentials do not leave with a trace")
		want(t, `
			selfheal.incident 0s-2m0s watch=queue key= severity=warning
			  * 0s open queue: 9 is above 5
			  * 0s page exhausted
			  * 2m0s resolve
			  * 2m0s close
			    selfheal.attempt 0s-0s step=restart attempt=1 outcome=failed tries=1 [Error: no such unit, token=***]
			      * 0s exception
			    selfheal.notification 0s-0s target=pager kind=trigger reason=exhausted [Error: HTTP 500, password=***]
			      * 0s exception
			    selfheal.notification 0s-0s target=pager kind=trigger reason=exhausted
			    selfheal.notification 2m0s-2m0s target=pager kind=resolve reason=exhausted
			`, got)
	})
}

func TestAGroupedNoticeLinksToItsIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter, p := tracing()
		keys := 30
		selfhealtest.StartWith(t, selfheal.Options{Tracer: p}, selfheal.Watch{
			Name: "disks", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
				var fs []detect.Finding
				for i := range keys {
					fs = append(fs, detect.Finding{Key: fmt.Sprint(i), Severity: detect.Warning, Summary: "full"})
				}
				return fs, nil
			}),
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		linked := 0
		for _, s := range exporter.GetSpans() {
			linked = max(linked, len(s.Links))
		}
		require.Greater(t, linked, 20)
	})
}

// A sampler that drops, or a trace that the application did not begin: the steps
// run below what the SDK decided.
func TestWhatIsNotSampledIsStillPropagated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))
		depth := selfhealtest.NewGauge(9)
		var c trace.SpanContext
		selfhealtest.StartWith(t, selfheal.Options{Tracer: p}, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "restart", Lasting: true, Run: func(ctx context.Context, _ remediate.Request) error {
				c = trace.SpanContextFromContext(ctx)
				depth.Set(1)
				return nil
			}}),
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, c.IsValid())
		require.False(t, c.IsSampled())
	})
}
