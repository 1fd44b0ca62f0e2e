package selfheal

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// What travels to the tracer beside the events, in their order.
type (
	// spanAsk asks for the span that a call of user code belongs to.
	spanAsk struct {
		About
		kind    spanKind
		attempt int
		attrs   []attribute.KeyValue
		members []string        // incidents that a grouped notice is about
		reply   chan trace.Span // takes one without waiting

		span trace.Span // where one was begun for it; the tracer's own
	}
	// spanEnd ends what was begun for it.
	spanEnd struct {
		About
		ask   *spanAsk
		err   error
		attrs []attribute.KeyValue
	}
	// spansOver ends all of them.
	spansOver struct{ About }
)

// Line is not for people: these never leave the tracer's queue.
func (spanAsk) Line(bool) string   { return "" }
func (spanAsk) String() string     { return "" }
func (spanEnd) Line(bool) string   { return "" }
func (spanEnd) String() string     { return "" }
func (spansOver) Line(bool) string { return "" }
func (spansOver) String() string   { return "" }

type spanKind uint8

const (
	spanOfIncident spanKind = iota // that of the incident itself
	spanOfRun                      // that of the attempt; ends the verification of the try before
	spanOfVerify                   // that of the verification
	spanRan                        // none: Run has returned, and the verification begins
	spanOfUndo
	spanOfEvidence
	spanOfNotice
)

var spanNames = map[spanKind]string{spanOfUndo: "selfheal.undo", spanOfEvidence: "selfheal.evidence", spanOfNotice: "selfheal.notification"}

// maxLinks bounds the traces that a grouped notice links to.
const maxLinks = 100

// begin answers an ask.
func (t *tracer) begin(a *spanAsk) {
	defer close(a.reply)
	t.late.Store(false)
	x := t.spans[a.Incident]
	at := trace.WithTimestamp(a.Time)
	if a.kind == spanOfNotice {
		a.span = t.notice(a, x, at)
		a.reply <- a.span
		return
	}
	if x == nil {
		return
	}
	same := x.attempt != nil && x.number == a.attempt
	switch a.kind {
	case spanRan:
		if same {
			_, x.verify = t.t.Start(x.below, "selfheal.verification", at)
		}
	case spanOfRun:
		if same {
			x.endVerify(at)
			a.reply <- x.attempt
			return
		}
		a.reply <- x.root
	case spanOfVerify:
		if same && x.verify != nil {
			a.reply <- x.verify
			return
		}
		a.reply <- x.root
	case spanOfIncident:
		a.reply <- x.root
	default:
		_, a.span = t.t.Start(x.ctx, spanNames[a.kind], at, trace.WithAttributes(a.attrs...))
		if a.kind == spanOfEvidence && same {
			x.attempt.AddLink(trace.Link{SpanContext: a.span.SpanContext()})
		}
		a.reply <- a.span
	}
}

// notice begins the span of a notification: in the trace of its incident, also
// when that has closed, or with links to those that it groups.
func (t *tracer) notice(a *spanAsk, x *spans, at trace.SpanStartOption) trace.Span {
	ctx := context.Background()
	if x != nil {
		ctx = x.ctx
	} else if c, ok := t.over[a.Incident]; ok {
		ctx = trace.ContextWithSpanContext(ctx, c)
	}
	var links []trace.Link
	for _, id := range a.members[:min(len(a.members), maxLinks)] {
		if m := t.spans[id]; m != nil {
			links = append(links, trace.Link{SpanContext: m.root.SpanContext()})
		} else if c, ok := t.over[id]; ok {
			links = append(links, trace.Link{SpanContext: c})
		}
	}
	_, span := t.t.Start(ctx, spanNames[spanOfNotice], at, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(a.attrs...), trace.WithLinks(links...))
	return span
}

func (t *tracer) end(e spanEnd) {
	if e.ask.span == nil {
		return
	}
	at := trace.WithTimestamp(e.Time)
	e.ask.span.SetAttributes(e.attrs...)
	t.fail(e.ask.span, e.err, at)
	e.ask.span.End(at)
	e.ask.span = nil
}

// span puts the span that a call belongs to into its context. What is returned
// ends it, where it was begun for the call, and is to be called once.
func (s *Supervisor) span(ctx context.Context, kind spanKind, incident string, attempt int, attrs ...attribute.KeyValue) (context.Context, func(error, ...attribute.KeyValue)) {
	if s.pump.tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	return s.spanned(ctx, &spanAsk{kind: kind, About: About{Incident: incident}, attempt: attempt, attrs: attrs})
}

func (s *Supervisor) spanned(ctx context.Context, a *spanAsk) (context.Context, func(error, ...attribute.KeyValue)) {
	t, q := s.pump.tracer, s.pump.traces
	a.Time, a.reply = time.Now(), make(chan trace.Span, 1)
	q.push(a)
	end := func(err error, attrs ...attribute.KeyValue) {
		q.push(spanEnd{About{Time: time.Now()}, a, err, attrs})
	}
	if t.late.Load() {
		return ctx, end
	}
	wait, cancel := context.WithTimeout(ctx, spanWait)
	defer cancel()
	select {
	case span := <-a.reply:
		if span != nil {
			ctx = trace.ContextWithSpan(ctx, span)
		}
	case <-wait.Done():
		t.late.Store(true)
	}
	return ctx, end
}

var errNoReturn = errors.New("the call panicked or ended its goroutine")

// traced calls the action of a step with the span that it belongs to: what it does
// downstream appears below the attempt, the verification or the undo.
func (s *Supervisor) traced(ctx context.Context, phase remediate.Phase, incident string, attempt int, req remediate.Request, f remediate.Action) error {
	switch phase {
	case remediate.Verify:
		ctx, _ = s.span(ctx, spanOfVerify, incident, attempt)
		return f(ctx, req)
	case remediate.Undo:
		ctx, end := s.span(ctx, spanOfUndo, incident, attempt, attribute.String("selfheal.step", req.Step))
		err := errNoReturn
		defer func() {
			if errors.Is(err, remediate.ErrSkip) {
				err = nil // there was nothing to put back
			}
			end(err)
		}()
		err = f(ctx, req)
		return err
	}
	ctx, _ = s.span(ctx, spanOfRun, incident, attempt)
	return f(ctx, req)
}

// ran says that Run has returned without an error: what follows, the settling
// included, is its verification.
func (s *Supervisor) ran(incident string, attempt int) {
	if s.pump.tracer != nil {
		s.pump.traces.push(&spanAsk{About: About{Incident: incident, Time: time.Now()}, kind: spanRan, attempt: attempt, reply: make(chan trace.Span, 1)})
	}
}

// noticed puts the span of a notification into its context.
func (s *Supervisor) noticed(ctx context.Context, target string, n *escalate.Notification) (context.Context, func(error, ...attribute.KeyValue)) {
	if s.pump.tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	return s.spanned(ctx, &spanAsk{
		kind: spanOfNotice, About: About{Incident: n.Incident.ID}, members: s.outbox.Members(n.DedupKey),
		attrs: []attribute.KeyValue{
			attribute.String("selfheal.target", target), attribute.String("selfheal.kind", n.Kind.String()),
			attribute.String("selfheal.incident", n.Incident.ID), attribute.String("selfheal.reason", string(n.Incident.Reason)),
		},
	})
}

// evidenceNames is what a trace says of evidence: where it is, never what is in it.
func evidenceNames(found []escalate.Evidence) attribute.KeyValue {
	names := make([]string, len(found))
	for i, e := range found {
		names[i] = e.Name + " " + e.Ref
	}
	return attribute.StringSlice("selfheal.evidence", names)
}
