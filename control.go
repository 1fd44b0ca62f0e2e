package selfheal

import (
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// ErrNoSuch says that the incident, proposal, silence or halt that a person
// named is not there, or no longer.
var ErrNoSuch = incident.ErrNoSuch

// A Silence stops acting on, and telling of, what it matches until it expires.
// It never stops observing.
type Silence struct {
	ID     string            `json:"id"`              // given by Silence
	Watch  string            `json:"watch,omitempty"` // a glob with * and ?; "" matches everything
	Key    string            `json:"key,omitempty"`   // likewise
	Labels map[string]string `json:"labels,omitempty"`
	By     string            `json:"by"`
	Reason string            `json:"reason"`
	Until  time.Time         `json:"until"`
}

// Halt stops all healing, undos included, until Resume. It takes effect before
// it returns. Findings, incidents and notices go on. by and reason are shown to
// everybody who wonders; both are needed.
func (s *Supervisor) Halt(by, reason string) error {
	if by == "" || reason == "" {
		return errors.New("selfheal: halt: say who halts and why")
	}
	return wrap("halt", s.ask(incident.Input{Kind: incident.InHalt, By: by, Note: reason}))
}

// Resume ends a halt, and a storm that waits for a person. What was held is
// looked at afresh; nothing that was queued is replayed.
func (s *Supervisor) Resume(by string) error {
	if by == "" {
		return errors.New("selfheal: resume: say who resumes")
	}
	return wrap("resume", s.resume(by))
}

// Silence silences what x matches and returns its id. Watch or Key or a label
// is needed (a silence of everything is a Halt), so are By, Reason and an Until
// in the future.
func (s *Supervisor) Silence(x Silence) (id string, err error) {
	left := time.Until(x.Until)
	switch {
	case x.By == "" || x.Reason == "":
		return "", errors.New("selfheal: silence: say who silences and why")
	case x.Watch == "" && x.Key == "" && len(x.Labels) == 0:
		return "", errors.New("selfheal: silence: it would match everything: name a watch, a key or a label, or use Halt")
	case left <= 0:
		return "", fmt.Errorf("selfheal: silence: Until %v is not in the future: set when it expires", x.Until.Format(time.RFC3339))
	}
	id = newIDs() + "q"
	labels := make(map[string]string, len(x.Labels))
	for k, v := range x.Labels {
		labels[k] = v
	}
	s.mu.Lock()
	at := s.now()
	s.mu.Unlock()
	err = s.ask(incident.Input{Kind: incident.InSilence, Silence: &incident.Silence{
		ID: id, Watch: x.Watch, Key: x.Key, Labels: labels, By: x.By, Reason: x.Reason, Until: at + left,
	}})
	return id, wrap("silence", err)
}

// Unsilence lifts a silence before its time.
func (s *Supervisor) Unsilence(id, by string) error {
	if by == "" {
		return errors.New("selfheal: unsilence: say who lifts it")
	}
	return wrap("unsilence", s.ask(incident.Input{Kind: incident.InUnsilence, ID: id, By: by}))
}

// Ack says that a person has taken an incident: levels and repeats stop until
// then, the automation does not. Zero is until it closes. An incident that only
// waits for somebody to put back a measure whose undo failed closes with it. The
// id may be that of a grouped notice, for all of which it tells.
func (s *Supervisor) Ack(id, by string, until time.Time) error {
	if by == "" {
		return errors.New("selfheal: ack: say who has taken it")
	}
	var left time.Duration
	if !until.IsZero() {
		if left = time.Until(until); left <= 0 {
			return fmt.Errorf("selfheal: ack: until %v is not in the future", until.Format(time.RFC3339))
		}
	}
	s.mu.Lock()
	at := s.now()
	box := s.outbox
	s.mu.Unlock()
	ids := []string{id}
	if box != nil {
		if members := box.Members(id); members != nil {
			ids = members
		}
	}
	var errs []error
	for _, id := range ids {
		err := s.ask(incident.Input{Kind: incident.InAck, Incident: id, By: by, Until: at + left})
		if err != nil {
			errs = append(errs, err)
		}
		if box != nil && (err == nil || errors.Is(err, ErrNotDurable)) { // in force all the same
			box.Input(outbox.Ack{DedupKey: id, By: by, For: left})
		}
	}
	if len(errs) < len(ids) {
		return nil // of a group, some may have closed meanwhile
	}
	return wrap("ack", errors.Join(errs...))
}

// Approve answers a proposal with yes. It is bound to the plan that was asked
// for, and good for 15 min.
func (s *Supervisor) Approve(proposal, by string) error {
	if by == "" {
		return errors.New("selfheal: approve: say who approves")
	}
	return wrap("approve", s.ask(incident.Input{Kind: incident.InApprove, ID: proposal, By: by}))
}

// Reject answers a proposal with no: the ladder stops, and people are told.
func (s *Supervisor) Reject(proposal, by string) error {
	if by == "" {
		return errors.New("selfheal: reject: say who rejects")
	}
	return wrap("reject", s.ask(incident.Input{Kind: incident.InReject, ID: proposal, By: by}))
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("selfheal: %s: %w", op, err)
}
