package redact

import (
	"context"
	"log/slog"
	"slices"
)

// Attr returns the attribute with its secrets hidden: in its name, in its value
// and by its name, in groups too. A [slog.LogValuer] is resolved. Numbers, times
// and durations are left alone unless their name is that of a secret.
func (r *Redactor) Attr(a slog.Attr) slog.Attr {
	a, _ = r.attr(a, 0)
	return a
}

// Attrs is [Redactor.Attr] for several. as itself is returned when there is
// nothing to hide, and is never changed.
func (r *Redactor) Attrs(as []slog.Attr) []slog.Attr {
	as, _ = list(as, func(a slog.Attr) (slog.Attr, bool) { return r.attr(a, 0) })
	return as
}

func (r *Redactor) attr(a slog.Attr, depth int) (slog.Attr, bool) {
	valuer := a.Value.Kind() == slog.KindLogValuer
	v := a.Value.Resolve()
	key := r.String(a.Key)
	v, changed := r.attrValue(a.Key, v, depth)
	if changed || valuer || key != a.Key {
		return slog.Attr{Key: key, Value: v}, true
	}
	return a, false
}

func (r *Redactor) attrValue(key string, v slog.Value, depth int) (slog.Value, bool) {
	if depth > deepest {
		return slog.StringValue(Mask), true
	}
	switch v.Kind() {
	case slog.KindString:
		s := v.String()
		if c := r.named(key, s); c != s {
			return slog.StringValue(c), true
		}
	case slog.KindGroup:
		if rank := r.rankOf(key); rank != public && rank != routing && len(v.Group()) > 0 {
			return slog.StringValue(Mask), true
		}
		if as, changed := list(v.Group(), func(a slog.Attr) (slog.Attr, bool) { return r.attr(a, depth+1) }); changed {
			return slog.GroupValue(as...), true
		}
	case slog.KindAny:
		if c, changed := r.under(key, v.Any(), depth); changed {
			return slog.AnyValue(c), true
		}
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		if r.hides(key, v.Any()) {
			return slog.StringValue(Mask), true
		}
	}
	return v, false
}

// Handler returns a handler that hands everything to h with its secrets hidden:
// the message, the attributes and the names of groups. A record without secrets
// is handed on as it is.
func (r *Redactor) Handler(h slog.Handler) slog.Handler { return &handler{r, h} }

type handler struct {
	r    *Redactor
	next slog.Handler
}

// Enabled asks the handler behind.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle hands the record on with its secrets hidden.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	message := h.r.String(rec.Message)
	dirty := message != rec.Message
	if !dirty {
		rec.Attrs(func(a slog.Attr) bool {
			_, dirty = h.r.attr(a, 0)
			return !dirty
		})
	}
	if !dirty {
		return h.next.Handle(ctx, rec)
	}
	clean := slog.NewRecord(rec.Time, rec.Level, message, rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.r.Attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs hands the attributes on with their secrets hidden.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	if len(as) == 0 {
		return h
	}
	return &handler{h.r, h.next.WithAttrs(slices.Clone(h.r.Attrs(as)))}
}

// WithGroup hands the name on with its secrets hidden.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{h.r, h.next.WithGroup(h.r.String(name))}
}
