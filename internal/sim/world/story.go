package world

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// story is what happens, in the words of those who operate it, a line each. Where
// nobody reads it, nothing is formatted.
type story struct {
	to   io.Writer
	hash hash.Hash64
}

func (s *story) begin(to io.Writer) {
	if to != nil {
		s.hash = fnv.New64a()
		s.to = io.MultiWriter(to, s.hash)
	}
}

func (s *story) sum() uint64 {
	if s.hash == nil {
		return 0
	}
	return s.hash.Sum64()
}

// tell adds a line about a machine; nil: about none.
func (w *World) tell(m *machine, format string, args ...any) {
	if w.story.to == nil {
		return
	}
	who := ""
	if m != nil {
		who = m.name() + ": "
	}
	fmt.Fprintf(w.story.to, "%12v  %s%s\n", w.now.Round(time.Millisecond), who, fmt.Sprintf(format, args...))
}

var eventWords = map[incident.EventKind]string{
	incident.EvFound: "finds", incident.EvBlip: "was only a blip:", incident.EvOpen: "opens", incident.EvHold: "holds", incident.EvRelease: "lets go of",
	incident.EvStart: "starts a step for", incident.EvStep: "judges a step for", incident.EvUndo: "has put back a step for", incident.EvAsk: "asks people about",
	incident.EvPage: "calls people for", incident.EvResolve: "tells people that it is over:", incident.EvClose: "closes",
	incident.EvBlind: "is blind:", incident.EvSight: "sees again:", incident.EvTilt: "doubts itself", incident.EvCalm: "trusts itself again",
	incident.EvStorm: "sees a storm", incident.EvStormOver: "sees the storm end", incident.EvHalt: "is halted", incident.EvResume: "resumes",
	incident.EvSilence: "is told to be silent", incident.EvUnsilence: "may speak again", incident.EvAck: "hears that people have taken",
	incident.EvApprove: "is allowed", incident.EvReject: "is not allowed", incident.EvBreaker: "opens the breaker of",
	incident.EvDrop: "folds keys of", incident.EvSafeMode: "enters safe mode", incident.EvSafeModeOver: "leaves safe mode",
	incident.EvDegraded: "knows that nothing is on record", incident.EvRecovered: "knows that all is on record again",
}

// tellEvent adds what a supervisor says of itself.
func (w *World) tellEvent(m *machine, ev *incident.Event) {
	if w.story.to == nil {
		return
	}
	word, known := eventWords[ev.Kind]
	if !known {
		return
	}
	line := "supervisor " + word
	if ev.Watch != incident.Self {
		line += " " + ev.Watch
		if ev.Key != "" {
			line += "[" + ev.Key + "]"
		}
	}
	if ev.Incident != "" {
		line += ", incident " + ev.Incident
	}
	if ev.Step != "" {
		line += ", step " + ev.Step
	}
	if ev.Kind == incident.EvStep {
		line += ": " + ev.Attempt.Outcome.String()
	}
	for _, s := range []string{string(ev.Rail), string(ev.Reason), ev.Why, ev.By} {
		if s != "" {
			line += ", " + s
		}
	}
	if ev.Err != nil {
		line += ", " + ev.Err.Error()
	}
	w.tell(m, "%s", line)
}

// tellEffect adds what an outbox says.
func (w *World) tellEffect(m *machine, e outbox.Effect) {
	if w.story.to == nil {
		return
	}
	switch e := e.(type) {
	case outbox.Told:
		w.tell(m, "owes %v a %v of %s", e.Targets, e.Kind, e.DedupKey)
	case outbox.Undeliverable:
		w.tell(m, "says that %s will not get %s (%v)", e.Target, e.Notification.DedupKey, e.Why)
	case outbox.Grouped:
		w.tell(m, "groups %s for %s into %s", e.DedupKey, e.Target, e.Group)
	case outbox.Down:
		w.tell(m, "takes %s for down", e.Target)
	case outbox.Up:
		w.tell(m, "takes %s for up again", e.Target)
	}
}
