package escalate

import (
	"context"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Log is a notifier that writes to a log; it never calls anybody. A nil logger
// is slog.Default at the time of each notification.
//
// A call for people is an error when it is critical and a warning otherwise, a
// resolve is an info. The message is [Notification.Title]. The attributes are
// notification, incident, watch, key, kind, severity, state and reason, and
// where there is something to say service, step and outcome (of the last
// attempt), held, proposal, runbook, repeat and note; and text, which is
// [Notification.Text].
//
// It fails only when the log's handler does. A level that the logger leaves out
// counts as told.
func Log(l *slog.Logger) Notifier { return logNotifier{l} }

type logNotifier struct{ log *slog.Logger }

func (n logNotifier) Notify(ctx context.Context, m Notification) error {
	l := n.log
	if l == nil {
		l = slog.Default()
	}
	level := slog.LevelWarn
	switch {
	case m.Kind == Resolve:
		level = slog.LevelInfo
	case m.Incident.Finding.Severity == detect.Critical:
		level = slog.LevelError
	}
	// Not l.LogAttrs: it hides that the handler failed.
	h := l.Handler()
	if !h.Enabled(ctx, level) {
		return nil
	}
	r := slog.NewRecord(time.Now(), level, m.Title(), 0)
	r.AddAttrs(m.attrs()...)
	return h.Handle(ctx, r)
}

func (n Notification) attrs() []slog.Attr {
	in := n.Incident
	as := []slog.Attr{
		slog.String("notification", n.ID),
		slog.String("incident", in.ID),
		slog.String("watch", in.Watch),
		slog.String("key", in.Finding.Key),
		slog.String("kind", n.Kind.String()),
		slog.String("severity", in.Finding.Severity.String()),
		slog.String("state", string(in.State)),
		slog.String("reason", string(in.Reason)),
	}
	some := func(key, value string) {
		if value != "" {
			as = append(as, slog.String(key, value))
		}
	}
	some("service", in.Service)
	if len(in.Attempts) > 0 {
		last := in.Attempts[len(in.Attempts)-1]
		some("step", last.Step)
		some("outcome", last.Outcome.String())
	}
	some("held", string(in.HeldBy))
	some("proposal", in.Proposal)
	some("runbook", in.Runbook)
	if n.Repeat > 0 {
		as = append(as, slog.Int("repeat", n.Repeat))
	}
	some("note", n.Note)
	return append(as, slog.String("text", n.Text()))
}
