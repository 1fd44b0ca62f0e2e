package selfheal

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// sayWiring tells of mistakes that belong to no watch that is kept: those of the
// options, of modules, and of names that are missing or taken.
func (s *Supervisor) sayWiring() {
	s.mu.Lock()
	problems := append(s.o.problems(s.registered()), s.wiring...)
	s.wiring = problems
	s.mu.Unlock()
	if len(problems) > 0 {
		s.escalateProblems(incident.Self, problems, s.fallback)
	}
}

// sayInvalid tells of a watch that cannot be watched as it is put together.
func (s *Supervisor) sayInvalid(e *entry) {
	plan := s.fallback
	if p := e.watch.Escalate; p.Pages() && len(p.Validate()) == 0 {
		plan = s.policy.plan(p)
	}
	s.escalateProblems(e.watch.Name, *e.problems, plan)
}

func (s *Supervisor) escalateProblems(watch string, problems []Problem, plan *outbox.Plan) {
	lines := make([]string, len(problems))
	for i := range problems {
		lines[i] = problems[i].Error()
		s.logger().LogAttrs(context.Background(), slog.LevelError, "selfheal: invalid wiring: "+lines[i])
	}
	if len(plan.Levels) == 0 {
		return // nobody to tell: the log and Status have it
	}
	now := time.Now()
	in := escalate.Incident{
		ID: newIDs() + "w", Watch: watch, Service: s.o.Service, State: escalate.Open, Opened: now,
		Reason: escalate.Invalid, Detail: strings.Join(lines, "; "),
		Finding: detect.Finding{Severity: detect.Critical, Summary: "it is not watched: " + problems[0].What},
	}
	s.outbox.Input(outbox.Escalate{Plan: *plan, Notification: escalate.Notification{
		DedupKey: in.ID, Kind: escalate.Trigger, Incident: in, At: now,
	}})
	s.pump.push(func(a About) Event {
		a.Watch, a.Incident = watch, in.ID
		return EventPage{About: a, Reason: escalate.Invalid, Detail: in.Detail, Level: 1}
	})
}
