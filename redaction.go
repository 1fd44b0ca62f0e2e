package selfheal

import (
	"context"
	"log/slog"
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/redact"
	"github.com/selfheal-go/selfheal/remediate"
)

// What leaves the supervisor passes here: notices, logs, the journal, the status
// and what is served of it. What stays in the process does not: an action and a
// gate see findings as the detector told them, and an Observer, which is the
// application's own, sees events as they are.

func newRedactor(o *Options) *redact.Redactor {
	known := make([]string, 0, len(o.Secrets))
	for _, s := range o.Secrets {
		known = append(known, string(s))
	}
	return redact.New(redact.Options{Secrets: known})
}

// clean is in without credentials, and with texts of bounded length. in is left as
// it is.
func (s *Supervisor) clean(in escalate.Incident) escalate.Incident {
	r := s.redact
	in = shortened(in, raw)
	f := &in.Finding
	f.Labels = r.Map(f.Labels)
	f.Evidence = r.Attrs(f.Evidence)
	why := string(in.Reason)
	r.Strings(&f.Key, &f.Summary, &in.Detail, &in.Runbook, &why)
	in.Reason = escalate.Reason(why)
	for n := range in.Attempts { // of a copy, like all that shortened returns
		s.cleanAttempt(&in.Attempts[n])
	}
	for n := range in.Symptoms {
		in.Symptoms[n] = r.String(in.Symptoms[n])
	}
	in.Evidence = slices.Clone(in.Evidence)
	for n := range in.Evidence {
		r.Strings(&in.Evidence[n].Name, &in.Evidence[n].Ref)
	}
	return shortened(in, 1)
}

func (s *Supervisor) cleanAttempt(a *remediate.Attempt) {
	if a.Err != nil {
		a.Err = s.redact.Error(a.Err)
	}
	if a.UndoErr != nil {
		a.UndoErr = s.redact.Error(a.UndoErr)
	}
}

// cleanRecords are records for the disk. Keys stay as they are: they say which
// incident it is.
func (s *Supervisor) cleanRecords(rs []incident.Record) []incident.Record {
	for n := range rs {
		switch r := &rs[n]; {
		case r.Incident != nil:
			c := *r.Incident
			key := c.Snapshot.Finding.Key
			c.Snapshot = s.clean(c.Snapshot)
			c.Snapshot.Finding.Key = key
			c.EndedHow = short(s.redact.String(c.EndedHow), longestText)
			r.Incident = &c
		case r.Stray != nil:
			c := *r.Stray
			c.Incident = s.clean(c.Incident)
			r.Stray = &c
		}
	}
	return rs
}

// logger is the application's, without credentials.
func (s *Supervisor) logger() *slog.Logger {
	return slog.New(s.redact.Handler(s.o.logger().Handler()))
}

// errorText is an error for the status.
func (s *Supervisor) errorText(err error) string {
	if err == nil {
		return ""
	}
	return s.redact.String(err.Error())
}

// cleanNotice is what a notifier gets from elsewhere than the engine.
func (s *Supervisor) cleanNotice(n escalate.Notification) escalate.Notification {
	n.Incident = s.clean(n.Incident)
	n.Note = short(s.redact.String(n.Note), longestText)
	return n
}

// notify calls a notifier with what may leave.
func (s *Supervisor) notify(ctx context.Context, to escalate.Notifier, n escalate.Notification) error {
	return to.Notify(ctx, s.cleanNotice(n))
}

// cleanStatus cleans what was not clean when it was taken in.
func (s *Supervisor) cleanStatus(st *Status) {
	for n := range st.Owed {
		st.Owed[n].Error = s.redact.String(st.Owed[n].Error)
	}
	for n := range st.Targets {
		st.Targets[n].Error = s.redact.String(st.Targets[n].Error)
	}
	for n := range st.Proposals {
		st.Proposals[n].Finding = s.clean(escalate.Incident{Finding: st.Proposals[n].Finding}).Finding
	}
	if h := st.Halted; h != nil {
		h.Reason = s.redact.String(h.Reason)
	}
	for n := range st.Silences {
		st.Silences[n].Reason = s.redact.String(st.Silences[n].Reason)
	}
}
