package selfheal

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Feedback is what people did about our notices where they got them: in their
// pager, or as a silence in their monitoring.
type Feedback struct {
	// DedupKey is that of the notices.
	DedupKey string
	Kind     FeedbackKind
	// By is who did it; "" is somebody.
	By string
	// Where names the provider: "pagerduty", "alertmanager".
	Where string
	// Comment is what they wrote.
	Comment string
	// Until is when a silence ends, or an acknowledgement runs out; zero: when the
	// incident closes.
	Until time.Time
}

// FeedbackKind says what was done.
type FeedbackKind uint8

// The kinds of feedback.
const (
	Acknowledged   FeedbackKind = iota // somebody has taken it
	Unacknowledged                     // nobody has any longer
	Resolved                           // somebody says that it is over
	Silenced                           // nobody wants to hear of it
	Unsilenced                         // they do again
)

// A FeedbackTaker brings feedback to a supervisor. Its methods are safe for
// concurrent use.
//
//	taker := selfheal.FeedbackTaker{Supervisor: heal}
//	pd, err := pagerduty.New(pagerduty.Config{OnAcknowledgement: func(ctx context.Context, a pagerduty.Acknowledgement) error {
//		return taker.Take(selfheal.Feedback{DedupKey: a.DedupKey, Kind: …, By: a.By, Where: "pagerduty"})
//	}})
type FeedbackTaker struct {
	Supervisor *Supervisor
	// SilenceStopsActions makes a silence of our notices stop acting on what they
	// are about, as [Supervisor.Silence] does. Without it a silence stops notices
	// only: whoever quiets a pager need not know that something acts.
	SilenceStopsActions bool

	mu       sync.Mutex
	silences map[string]string // by dedup key
}

// maxSilence bounds a silence that names no end.
const maxSilence = 24 * time.Hour

// Take carries it out. An acknowledgement, and a "resolved" of a person, stop
// levels and repeats: an incident that the detector still sees never closes by
// them. Feedback on an incident that is closed, or unknown, does nothing and
// returns nil: providers tell late.
func (t *FeedbackTaker) Take(f Feedback) error {
	s := t.Supervisor
	if s == nil {
		return errors.New("selfheal: feedback: FeedbackTaker.Supervisor is nil")
	}
	by := cmp.Or(f.By, "somebody")
	if f.Where != "" {
		by += " (" + f.Where + ")"
	}
	until := f.Until
	if !until.IsZero() && !until.After(time.Now()) {
		return nil
	}
	var err error
	switch f.Kind {
	case Acknowledged, Resolved:
		err = s.Ack(f.DedupKey, by, until)
	case Unacknowledged:
		err = s.Ack(f.DedupKey, by, time.Now().Add(time.Second)) // it runs out, and those who wait are told
	case Silenced:
		err = t.silence(f, by, until)
	case Unsilenced:
		err = t.unsilence(f, by)
	default:
		return fmt.Errorf("selfheal: feedback: unknown kind %d", f.Kind)
	}
	if errors.Is(err, ErrNoSuch) {
		return nil
	}
	return err
}

func (t *FeedbackTaker) silence(f Feedback, by string, until time.Time) error {
	s := t.Supervisor
	if err := s.Ack(f.DedupKey, by, until); err != nil {
		return err
	}
	if !t.SilenceStopsActions {
		return nil
	}
	in, ok := s.incident(f.DedupKey)
	if !ok {
		return nil
	}
	if until.IsZero() {
		until = time.Now().Add(maxSilence)
	}
	id, err := s.Silence(Silence{Watch: in.Watch, Key: in.Key, By: by, Reason: cmp.Or(f.Comment, "silenced in "+cmp.Or(f.Where, "monitoring")), Until: until})
	if err != nil {
		return err
	}
	t.mu.Lock()
	old := t.silences[f.DedupKey]
	if t.silences == nil {
		t.silences = map[string]string{}
	}
	t.silences[f.DedupKey] = id
	t.mu.Unlock()
	if old != "" {
		_ = s.Unsilence(old, by) // the new one stands in its place
	}
	return nil
}

func (t *FeedbackTaker) unsilence(f Feedback, by string) error {
	t.mu.Lock()
	id := t.silences[f.DedupKey]
	delete(t.silences, f.DedupKey)
	t.mu.Unlock()
	var err error
	if id != "" {
		err = t.Supervisor.Unsilence(id, by)
	}
	return errors.Join(err, t.Supervisor.Ack(f.DedupKey, by, time.Now().Add(time.Second)))
}

// incident finds one that is open.
func (s *Supervisor) incident(id string) (IncidentStatus, bool) {
	for _, w := range s.Status().Watches {
		for _, in := range w.Incidents {
			if in.ID == id {
				return in, true
			}
		}
	}
	return IncidentStatus{}, false
}
