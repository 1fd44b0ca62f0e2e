package selfhealtest

import (
	"context"
	"slices"
	"sync"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A Gauge is a number that a test sets and a detector reads. It is safe for
// concurrent use.
type Gauge[N detect.Number] struct {
	mu  sync.Mutex
	v   N
	err error
}

// NewGauge returns a gauge that reads v.
func NewGauge[N detect.Number](v N) *Gauge[N] { return &Gauge[N]{v: v} }

// Set changes what it reads, and ends a Fail.
func (g *Gauge[N]) Set(v N) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.v, g.err = v, nil
}

// Fail makes it read an error until the next Set. nil reads the last value again.
func (g *Gauge[N]) Fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// Read is for detect.Above and its like.
func (g *Gauge[N]) Read(context.Context) (N, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.v, g.err
}

// A Frame is what a scripted detector answers once. The zero value is healthy.
type Frame struct {
	Findings []detect.Finding
	Err      error // blind, for the keys that Findings does not name
}

// Script returns a detector that answers one frame a check; the last repeats.
// Without frames it is always healthy. It is safe for concurrent use. Remember
// that a watch looks twice in the first second: see [Start].
func Script(frames ...Frame) detect.Detector { return &script{frames: slices.Clone(frames)} }

type script struct {
	mu     sync.Mutex
	frames []Frame
}

func (s *script) Detect(context.Context) ([]detect.Finding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.frames) == 0 {
		return nil, nil
	}
	f := s.frames[0]
	if len(s.frames) > 1 {
		s.frames = s.frames[1:]
	}
	return slices.Clone(f.Findings), f.Err
}

// A Pager is a notifier that records every delivery, repetitions included. The
// zero value is ready; it is safe for concurrent use.
type Pager struct {
	mu   sync.Mutex
	all  []escalate.Notification
	fail error
}

// Notify records n, unless Fail said otherwise.
func (p *Pager) Notify(_ context.Context, n escalate.Notification) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.all = append(p.all, n)
	return nil
}

// Fail makes every delivery fail until it is called with nil.
func (p *Pager) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Pages returns what called somebody so far, in order: triggers, updates and asks.
func (p *Pager) Pages() []escalate.Notification {
	return p.where(func(n escalate.Notification) bool { return n.Kind != escalate.Resolve })
}

// Resolved returns what said so far that it is over, in order.
func (p *Pager) Resolved() []escalate.Notification {
	return p.where(func(n escalate.Notification) bool { return n.Kind == escalate.Resolve })
}

func (p *Pager) where(is func(escalate.Notification) bool) []escalate.Notification {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ns []escalate.Notification
	for _, n := range p.all {
		if is(n) {
			ns = append(ns, n)
		}
	}
	return ns
}
