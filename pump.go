package selfheal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
)

// queueSize bounds what a slow logger or observer may fall behind.
const queueSize = 4096

// pump hands events to the log, the traces and the observer: each has an ordered,
// bounded queue and a goroutine of its own, so that a slow one delays nobody.
type pump struct {
	s    *Supervisor
	mu   sync.Mutex // orders the numbers
	seq  uint64
	outs []*queue
	// tracer is nil without Options.Tracer; traces is its queue.
	tracer *tracer
	traces *queue
}

// queue is one ordered, bounded queue.
type queue struct {
	name    string
	take    func(Event)
	mu      sync.Mutex
	events  []Event
	busy    bool // take is under way, since
	since   time.Time
	wake    chan struct{}
	end     chan struct{}
	ended   chan struct{}
	dropped atomic.Uint64
}

func newPump(s *Supervisor) *pump {
	p := &pump{s: s}
	p.add("the logger", s.log)
	p.add("the console", s.remember)
	if p.tracer = newTracer(s); p.tracer != nil {
		p.add("the tracer", p.tracer.take)
		p.traces = p.outs[len(p.outs)-1]
	}
	return p
}

func (p *pump) add(name string, take func(Event)) {
	p.outs = append(p.outs, &queue{
		name: name, take: take,
		wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{}),
	})
}

func (p *pump) start(base context.Context) {
	if o := p.s.o.Observer; o != nil {
		p.mu.Lock()
		p.add("the observer", func(e Event) {
			ctx, cancel := context.WithTimeout(base, observeTimeout)
			defer cancel()
			o.Observe(ctx, e)
		})
		p.mu.Unlock()
	}
	for _, q := range p.outs {
		go q.run(p.s)
	}
}

// emit takes in an event of the engine.
func (p *pump) emit(ev *incident.Event) {
	p.s.counts.event(ev)
	p.s.measure(ev)
	p.push(func(a About) Event {
		a.Watch, a.Key, a.Incident = ev.Watch, ev.Key, ev.Incident
		a.Elapsed = ev.At
		return event(ev, a)
	})
}

// push numbers an event and queues it.
func (p *pump) push(make func(About) Event) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	e := make(About{Seq: p.seq, Time: now, Elapsed: now.Sub(p.s.born)})
	if e == nil {
		p.seq--
		return
	}
	for _, q := range p.outs {
		q.push(e)
	}
	p.audit(e)
}

// audit writes an event into the journal, for those who ask later. What nobody
// asks of is left out.
func (p *pump) audit(e Event) {
	j := p.s.o.Journal
	if j == nil {
		return
	}
	switch e.(type) {
	case EventFound, EventRelease, EventInform:
		return
	}
	a := e.Meta()
	j.line(Line{Time: a.Time, Watch: a.Watch, Key: a.Key, Incident: a.Incident, Text: short(p.s.redact.String(e.String()), longestText)})
}

func (q *queue) push(e Event) {
	q.mu.Lock()
	if len(q.events) >= queueSize {
		q.mu.Unlock()
		q.dropped.Add(1)
		return
	}
	q.events = append(q.events, e)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) run(s *Supervisor) {
	defer close(q.ended)
	for {
		q.mu.Lock()
		batch := q.events
		q.events = nil
		q.mu.Unlock()
		for _, e := range batch {
			q.handle(s, e)
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-q.wake:
		case <-q.end:
			q.mu.Lock()
			left := len(q.events)
			q.mu.Unlock()
			if left == 0 {
				return
			}
		}
	}
}

// handle calls take on a goroutine that survives its panic and its Goexit.
func (q *queue) handle(s *Supervisor, e Event) {
	q.mu.Lock()
	q.busy, q.since = true, time.Now()
	q.mu.Unlock()
	defer func() {
		if x := recover(); x != nil {
			s.counts.panics.Add(1)
			p := newPanic(q.name, x)
			s.counts.observerPanic.Store(p)
		}
		q.mu.Lock()
		q.busy = false
		q.mu.Unlock()
	}()
	q.take(e)
}

// stop lets the queues run empty, until then at the latest.
func (p *pump) stop(then time.Time) {
	if p.traces != nil {
		p.traces.push(spansOver{About{Time: time.Now()}})
	}
	for _, q := range p.outs {
		close(q.end)
	}
	t := time.NewTimer(max(time.Until(then), 0))
	defer t.Stop()
	late := false
	for _, q := range p.outs {
		if late {
			select {
			case <-q.ended:
			default:
				p.s.counts.abandoned.Add(1)
			}
			continue
		}
		select {
		case <-q.ended:
		case <-t.C:
			late = true
			p.s.counts.abandoned.Add(1)
		}
	}
}

// log writes an event down.
func (s *Supervisor) log(e Event) {
	a := e.Meta()
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("watch", a.Watch)}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	add("key", a.Key)
	add("incident", a.Incident)
	fail := func(err error) {
		if err != nil {
			add("error", err.Error())
		}
	}
	switch e := e.(type) {
	case EventFound, EventBlip, EventInform:
		level = slog.LevelDebug
	case EventRelease:
		level = slog.LevelDebug
		add("step", e.Step)
		add("rail", string(e.Rail))
	case EventStart:
		level = slog.LevelDebug
		add("step", e.Step)
	case EventWould:
		add("step", e.Step)
	case EventAsk:
		add("step", e.Step)
	case EventAnswer:
		add("step", e.Step)
	case EventOpen:
		level = slog.LevelWarn
		add("severity", e.Finding.Severity.String())
	case EventHold:
		add("step", e.Step)
		add("rail", string(e.Rail))
		add("why", e.Why)
	case EventStep:
		add("step", e.Attempt.Step)
		add("outcome", e.Attempt.Outcome.String())
		fail(e.Attempt.Err)
	case EventUndo:
		add("step", e.Step)
		if fail(e.Err); e.Err != nil {
			level = slog.LevelError
		}
	case EventPage:
		level = slog.LevelError
		add("reason", string(e.Reason))
		add("detail", e.Detail)
	case EventBlind:
		level = slog.LevelWarn
		fail(e.Err)
	case EventUndeliverable:
		level = slog.LevelError
		add("target", e.Target)
		fail(e.Err)
	case EventEvidence:
		level = slog.LevelWarn
		fail(e.Err)
	case EventTarget:
		level = slog.LevelWarn
		add("target", e.Target)
		fail(e.Err)
	case EventTilt, EventStorm, EventHalt, EventAbandoned, EventBreaker, EventSafeMode, EventDegraded:
		level = slog.LevelWarn
	}
	s.logger().LogAttrs(context.Background(), level, e.String(), attrs...)
}

// standing says how many events were dropped, and who does not return.
func (p *pump) standing() (dropped uint64, stuck []string) {
	p.mu.Lock()
	outs := p.outs
	p.mu.Unlock()
	for _, q := range outs {
		dropped += q.dropped.Load()
		q.mu.Lock()
		if q.busy && time.Since(q.since) > observeTimeout {
			stuck = append(stuck, q.name+" has not returned since "+q.since.UTC().Format(time.RFC3339))
		}
		q.mu.Unlock()
	}
	return dropped, stuck
}
