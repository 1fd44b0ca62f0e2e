package selfheal

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer writes one trace an incident: a root span from the first finding to the
// close, and a child for each attempt. Undos, holds and pages are events on it.
// It runs on its own queue, so its state needs no lock.
type tracer struct {
	t     trace.Tracer
	spans map[string]*spans // by incident
}

type spans struct {
	root    trace.Span
	ctx     context.Context
	attempt trace.Span
}

// maxSpans bounds the incidents that are traced at once.
const maxSpans = 10_000

func newTracer(p trace.TracerProvider) *tracer {
	if p == nil {
		return nil
	}
	return &tracer{t: p.Tracer("github.com/selfheal-go/selfheal"), spans: map[string]*spans{}}
}

func (t *tracer) take(e Event) {
	a := e.Meta()
	if a.Incident == "" {
		return
	}
	at := trace.WithTimestamp(a.Time)
	x := t.spans[a.Incident]
	if x == nil {
		f, ok := e.(EventFound)
		if !ok || len(t.spans) >= maxSpans {
			return
		}
		x = &spans{}
		x.ctx, x.root = t.t.Start(context.Background(), "selfheal.incident", at, trace.WithAttributes(
			attribute.String("selfheal.watch", a.Watch), attribute.String("selfheal.key", a.Key),
			attribute.String("selfheal.incident", a.Incident), attribute.String("selfheal.severity", f.Finding.Severity.String()),
		))
		t.spans[a.Incident] = x
		return
	}
	switch e := e.(type) {
	case EventStart:
		if x.attempt != nil {
			x.attempt.End(at) // it was withdrawn before it ran
		}
		_, x.attempt = t.t.Start(x.ctx, "selfheal.attempt", at, trace.WithAttributes(
			attribute.String("selfheal.step", e.Step), attribute.Int("selfheal.attempt", e.Number),
		))
	case EventStep:
		if x.attempt == nil {
			return
		}
		x.attempt.SetAttributes(attribute.String("selfheal.outcome", e.Attempt.Outcome.String()))
		if err := e.Attempt.Err; err != nil {
			x.attempt.RecordError(err, at)
			x.attempt.SetStatus(codes.Error, e.Attempt.Outcome.String())
		}
		x.attempt.End(at)
		x.attempt = nil
	case EventBlip, EventClose:
		x.root.AddEvent(e.Line(false), at)
		x.root.End(at)
		delete(t.spans, a.Incident)
	default:
		x.root.AddEvent(e.Line(false), at)
	}
}
