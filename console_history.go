package selfheal

import (
	"encoding/json"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/internal/incident"
)

// remember takes an event into the history that the console shows. It runs on a
// queue of its own.
func (s *Supervisor) remember(e Event) {
	a := e.Meta()
	clean := s.redact.String
	l := console.Line{Seq: a.Seq, Time: a.Time, Watch: a.Watch, Key: clean(a.Key), Incident: a.Incident, Text: clean(e.String())}
	var n console.News
	found := func(f *detect.Finding) {
		n.Found, n.Severity, n.Summary, n.Unit = true, f.Severity.String(), clean(f.Summary), f.Unit
		n.Value, n.Limit = finite(f.Value), finite(f.Limit)
	}
	switch e := e.(type) {
	case EventFound:
		found(&e.Finding)
	case EventOpen:
		found(&e.Finding)
		n.Ladder = s.ladder(&IncidentStatus{Watch: a.Watch}, s.stepsOf([]string{a.Watch})[a.Watch])
		if e.Again {
			n.Ladder = nil // as far as it was climbed
		}
	case EventStep:
		t := AttemptStatus{Step: e.Attempt.Step, Outcome: e.Attempt.Outcome, Started: e.Attempt.Started, Ended: e.Attempt.Ended}
		if e.Attempt.Err != nil {
			t.Error = s.errorText(e.Attempt.Err)
		}
		n.Rung = &console.Rung{Step: t.Step}
		climbed(n.Rung, &t)
	}
	s.history.Take(l, n)
}

// watched takes in what the loop is told, of incidents under way.
func (s *Supervisor) watched(ins []incident.Input) {
	if s.history.Quiet() {
		return
	}
	for n := range ins {
		in := &ins[n]
		switch in.Kind {
		case incident.InLook:
			if in.Err != nil && len(in.Findings) == 0 {
				continue // blind: nobody can tell
			}
			found := make([]console.Reading, 0, len(in.Findings))
			for _, f := range in.Findings {
				found = append(found, console.Reading{Key: s.redact.String(f.Key), Value: finite(f.Value)})
			}
			s.history.Looked(in.Watch, s.born.Add(in.Started), found)
		case incident.InGathered:
			s.history.Captured(in.Incident, consoleEvidence(in.Evidence))
		}
	}
}

// recollect takes in what the journal says of earlier lives.
func (s *Supervisor) recollect(j *Journal) {
	j.mu.Lock()
	lines := j.audit
	j.mu.Unlock()
	for _, t := range lines {
		var l Line
		if json.Unmarshal(t.payload, &l) == nil {
			s.history.Take(console.Line{Time: l.Time, Watch: l.Watch, Key: l.Key, Incident: l.Incident, Text: l.Text}, console.News{})
		}
	}
}

// newHistory begins with what the journal knows.
func (s *Supervisor) newHistory() {
	from := time.Now()
	j := s.o.Journal
	if j != nil {
		j.mu.Lock()
		if len(j.audit) > 0 {
			var l Line
			if json.Unmarshal(j.audit[0].payload, &l) == nil && l.Time.Before(from) {
				from = l.Time
			}
		}
		j.mu.Unlock()
	}
	s.history = console.NewHistory(from)
	if j != nil {
		s.recollect(j)
	}
}
