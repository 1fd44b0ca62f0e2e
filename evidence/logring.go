package evidence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// LogRingOptions are the options of [NewLogRing].
type LogRingOptions struct {
	// Records bounds how many records are kept. 0: 2,000.
	Records int
	// Bytes bounds the memory that they take. 0: 1 MiB. One record takes about
	// 16 KiB at most: attributes that do not fit are left out, and counted in it.
	Bytes int
	// Level is from where records are kept. nil: what the handler behind takes,
	// and from slog.LevelInfo where there is none. A lower one keeps, of a program
	// that logs warnings, also what led to them; then every call of the logger at
	// that level costs what the ring costs.
	Level slog.Leveler
}

// A LogRing is a slog.Handler that keeps the last records in memory and hands all
// of them to the handler behind it. Its methods are safe for concurrent use.
//
// Records are kept as text, written when they are logged, and redacted when they
// come into a bundle.
type LogRing struct {
	root  *logNode
	level slog.Leveler
	most  int // bytes

	mu      sync.Mutex
	entries []entry // a ring: n of them, from first
	first   int
	n       int
	bytes   int
	records int // as many at most
}

// entry is a record that is kept.
type entry struct {
	at   time.Time
	pc   uintptr // of the call of the logger
	text []byte  // a line of JSON
	whose
}

// whose are the attributes "incident" and "watch", in whatever group.
type whose struct{ incident, watch string }

const entrySize = 96 // bytes, about

func (e *entry) size() int { return entrySize + len(e.text) + len(e.incident) + len(e.watch) }

// NewLogRing returns a ring before the handler next, which may be nil: then records
// are kept only. A negative option counts as 0.
//
// next must not be the handler that package slog begins with if the ring is to
// become the default: that one writes through package log, and slog.SetDefault
// makes package log write to the default. Use slog.NewJSONHandler, say.
func NewLogRing(next slog.Handler, o LogRingOptions) *LogRing {
	r := &LogRing{level: o.Level, most: o.Bytes, records: o.Records}
	if r.most <= 0 {
		r.most = 1 << 20
	}
	if r.records <= 0 {
		r.records = 2000
	}
	r.root = &logNode{ring: r, next: next}
	return r
}

// Enabled says whether the ring or the handler behind takes records of the level.
func (r *LogRing) Enabled(ctx context.Context, l slog.Level) bool { return r.root.Enabled(ctx, l) }

// Handle keeps the record and hands it on.
func (r *LogRing) Handle(ctx context.Context, rec slog.Record) error { return r.root.Handle(ctx, rec) }

// WithAttrs returns a handler with these attributes that keeps its records in the
// same ring.
func (r *LogRing) WithAttrs(as []slog.Attr) slog.Handler { return r.root.WithAttrs(as) }

// WithGroup returns a handler with this group that keeps its records in the same
// ring.
func (r *LogRing) WithGroup(name string) slog.Handler { return r.root.WithGroup(name) }

func (r *LogRing) keep(e entry) {
	size := e.size()
	if size > r.most {
		e.text = fmt.Appendf(nil, `{"msg":"a record of %d bytes, which is more than the ring holds"}`+"\n", len(e.text))
		size = e.size()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n > 0 && (r.n == r.records || r.bytes+size > r.most) {
		old := &r.entries[r.first]
		r.bytes -= old.size()
		*old = entry{}
		r.first = (r.first + 1) % len(r.entries)
		r.n--
	}
	if r.n == len(r.entries) { // fewer than may be kept: they grow as they are needed
		grown := make([]entry, min(r.records, max(64, 2*r.n)))
		for i := range r.n {
			grown[i] = r.entries[(r.first+i)%r.n]
		}
		r.entries, r.first = grown, 0
	}
	r.entries[(r.first+r.n)%len(r.entries)] = e
	r.n++
	r.bytes += size
}

// kept returns the records, the oldest first.
func (r *LogRing) kept() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]entry, 0, r.n)
	for i := range r.n {
		all = append(all, r.entries[(r.first+i)%len(r.entries)])
	}
	return all
}

// A logNode is the ring with attributes and groups.
type logNode struct {
	ring *LogRing
	next slog.Handler // nil: none
	// text is what the attributes are as JSON, with depth groups open at its end.
	text  []byte
	depth int
	// groups were begun and have nothing in them yet: they show only once they do.
	groups  []string
	leftOut int
	whose
}

// takes says whether the ring keeps records of the level.
func (n *logNode) takes(ctx context.Context, l slog.Level) bool {
	switch {
	case n.ring.level != nil:
		return l >= n.ring.level.Level()
	case n.next != nil:
		return n.next.Enabled(ctx, l)
	}
	return l >= slog.LevelInfo
}

func (n *logNode) Enabled(ctx context.Context, l slog.Level) bool {
	return n.takes(ctx, l) || n.next != nil && n.next.Enabled(ctx, l)
}

func (n *logNode) Handle(ctx context.Context, rec slog.Record) error {
	if n.takes(ctx, rec.Level) {
		n.ring.keep(n.entry(rec))
	}
	if n.next == nil || !n.next.Enabled(ctx, rec.Level) {
		return nil
	}
	return n.next.Handle(ctx, rec)
}

func (n *logNode) WithAttrs(as []slog.Attr) slog.Handler {
	if len(as) == 0 {
		return n
	}
	c := *n
	l := line{text: slices.Clone(n.text)}
	before, inside := l.open(n.groups)
	for _, a := range as {
		l.attr(a, 0)
		c.note(a)
	}
	if l.shut(before, inside) {
		c.depth += len(n.groups)
		c.groups = nil
	}
	c.text, c.leftOut = l.text, n.leftOut+l.leftOut
	if n.next != nil {
		c.next = n.next.WithAttrs(as)
	}
	return &c
}

func (n *logNode) WithGroup(name string) slog.Handler {
	if name == "" {
		return n
	}
	c := *n
	c.groups = append(slices.Clip(n.groups), name)
	if n.next != nil {
		c.next = n.next.WithGroup(name)
	}
	return &c
}

func (w *whose) note(a slog.Attr) {
	if a.Key != "incident" && a.Key != "watch" {
		return
	}
	v := a.Value.Resolve()
	if v.Kind() != slog.KindString {
		return
	}
	if a.Key == "incident" {
		w.incident = v.String()
	} else {
		w.watch = v.String()
	}
}
