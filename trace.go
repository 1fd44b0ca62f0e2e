package selfheal

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// tracer writes one trace an incident: a root span from the first finding to the
// close, and below it the attempts with their verification, the evidence, the
// undos and the notifications. Holds and pages are events of the root span.
//
// Whatever the application's TracerProvider does happens on the goroutine of the
// tracer's queue, so that one that hangs or panics costs its traces and nothing
// else; what is begun elsewhere is asked for through the queue, behind the events
// that were before it. So the state here needs no lock.
type tracer struct {
	s     *Supervisor
	t     trace.Tracer
	spans map[string]*spans // by incident
	// over are the last incidents that closed: that they did is told later.
	over  map[string]trace.SpanContext
	ended []string // their ids, the oldest first
	late  atomic.Bool
}

type spans struct {
	root    trace.Span
	ctx     context.Context
	attempt trace.Span
	below   context.Context // of the attempt
	verify  trace.Span
	number  int
	found   time.Duration // -1: in an earlier life
	healed  time.Duration // -1: not yet, or it came back
}

const (
	maxSpans  = 10_000 // incidents that are traced at once
	keptSpans = 1_000  // closed ones whose notices are still put into their trace
	// spanWait is how long a call waits for its span, once: while the tracer does
	// not answer, the next goes on without.
	spanWait = time.Second
)

func newTracer(s *Supervisor) *tracer {
	if s.o.Tracer == nil {
		return nil
	}
	return &tracer{
		s: s, t: s.o.Tracer.Tracer("github.com/selfheal-go/selfheal"),
		spans: map[string]*spans{}, over: map[string]trace.SpanContext{},
	}
}

func (t *tracer) take(e Event) {
	switch e := e.(type) {
	case *spanAsk:
		t.begin(e)
		return
	case spanEnd:
		t.end(e)
		return
	case spansOver:
		t.stop(e.Time)
		return
	}
	a := e.Meta()
	if a.Incident == "" {
		return
	}
	x := t.spans[a.Incident]
	if x == nil {
		if x = t.open(e, a); x == nil {
			return
		}
	}
	t.event(x, e, a)
}

// open begins the trace of an incident: at its first finding, or where it goes on
// after an earlier life.
func (t *tracer) open(e Event, a About) *spans {
	if len(t.spans) >= maxSpans || a.Watch == incident.Self {
		return nil
	}
	x := &spans{found: -1, healed: -1}
	attrs := []attribute.KeyValue{
		attribute.String("selfheal.watch", a.Watch), attribute.String("selfheal.key", t.s.redact.String(a.Key)),
		attribute.String("selfheal.incident", a.Incident),
	}
	switch e := e.(type) {
	case EventFound:
		x.found = a.Elapsed
		attrs = append(attrs, attribute.String("selfheal.severity", e.Finding.Severity.String()))
	case EventOpen:
		attrs = append(attrs, attribute.String("selfheal.severity", e.Finding.Severity.String()), attribute.Bool("selfheal.resumed", true))
	case EventHold, EventStart, EventStep, EventUndo:
		attrs = append(attrs, attribute.Bool("selfheal.resumed", true))
	default:
		return nil
	}
	x.ctx, x.root = t.t.Start(context.Background(), "selfheal.incident",
		trace.WithTimestamp(a.Time), trace.WithNewRoot(), trace.WithAttributes(attrs...))
	t.spans[a.Incident] = x
	return x
}

func (t *tracer) event(x *spans, e Event, a About) {
	at := trace.WithTimestamp(a.Time)
	switch e := e.(type) {
	case EventFound:
	case EventStart:
		x.endAttempt(at) // it was withdrawn before it ran
		x.number = e.Number
		x.below, x.attempt = t.t.Start(x.ctx, "selfheal.attempt", at, trace.WithAttributes(
			attribute.String("selfheal.step", e.Step), attribute.Int("selfheal.attempt", e.Number),
		))
	case EventStep:
		if e.Attempt.Outcome == remediate.Healed {
			x.healed = a.Elapsed
		}
		if x.attempt == nil {
			return
		}
		outcome := attribute.String("selfheal.outcome", e.Attempt.Outcome.String())
		x.attempt.SetAttributes(outcome, attribute.Int("selfheal.tries", e.Attempt.Tries))
		if x.verify != nil {
			x.verify.SetAttributes(outcome)
		}
		t.fail(x.attempt, e.Attempt.Err, at)
		x.endAttempt(at)
	case EventBlip, EventClose:
		t.say(x, e, at)
		x.endAttempt(at)
		if _, closed := e.(EventClose); closed && x.found >= 0 && x.healed >= 0 {
			t.exemplar(x, t.s.meter.heal, x.healed-x.found, a)
		}
		x.root.End(at)
		delete(t.spans, a.Incident)
		t.keep(a.Incident, x.root.SpanContext())
	default:
		if o, ok := e.(EventOpen); ok && o.Again {
			x.healed = -1
		} else if ok && x.found >= 0 {
			t.exemplar(x, t.s.meter.detect, timeToDetect(x.found, a.Elapsed, t.s.interval(a.Watch)), a)
		}
		t.say(x, e, at)
	}
}

func (t *tracer) say(x *spans, e Event, at trace.EventOption) {
	x.root.AddEvent(t.s.redact.String(e.Line(false)), at)
}

// exemplar points from a metric to the trace, where that is kept.
func (t *tracer) exemplar(x *spans, h *histogram, d time.Duration, a About) {
	if c := x.root.SpanContext(); c.IsSampled() && c.HasTraceID() {
		h.exemplar(d, c.TraceID().String(), a.Time)
	}
}

func (t *tracer) keep(incident string, c trace.SpanContext) {
	if !c.IsValid() {
		return
	}
	t.over[incident] = c
	t.ended = append(t.ended, incident)
	if len(t.ended) > keptSpans {
		delete(t.over, t.ended[0])
		t.ended = t.ended[1:]
	}
}

// stop ends what is under way at the end of Run, or it would never be exported.
func (t *tracer) stop(now time.Time) {
	at := trace.WithTimestamp(now)
	for id, x := range t.spans {
		x.endAttempt(at)
		x.root.SetAttributes(attribute.Bool("selfheal.unfinished", true))
		x.root.End(at)
		delete(t.spans, id)
	}
}

func (x *spans) endAttempt(at trace.SpanEndOption) {
	x.endVerify(at)
	if x.attempt != nil {
		x.attempt.End(at)
		x.attempt, x.below = nil, nil
	}
}

func (x *spans) endVerify(at trace.SpanEndOption) {
	if x.verify != nil {
		x.verify.End(at)
		x.verify = nil
	}
}

func (t *tracer) fail(s trace.Span, err error, at trace.EventOption) {
	if err != nil {
		err = t.s.redact.Error(err)
		s.RecordError(err, at)
		s.SetStatus(codes.Error, err.Error())
	}
}
