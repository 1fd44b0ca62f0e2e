package selfheal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/internal/incident"
)

// ConsoleOptions configure what [Supervisor.Handler] serves. Who may read is for
// the application to decide, by where it mounts the handler and what it puts
// before it.
type ConsoleOptions struct {
	// Authorize is asked whenever a request wants more than to read: for every
	// control, and for evidence and the journal. It says who asks, which is shown
	// and put on record, or returns an error, which is a no. It must not rely on
	// the request alone where that comes through a link in a notice: such a link
	// says what is to be done, never who does it. nil: nobody may, and the page
	// shows no buttons.
	Authorize func(*http.Request, Control) (who string, err error)
	// Hosts are the names by which the console may be reached, as they stand in its
	// address, without the port. Requests under other names are refused, because a
	// page of a stranger may have had its own name point here. Loopback, unix
	// sockets and the host of BaseURL are always allowed. "*" allows every name: for
	// a proxy in front that checks.
	Hosts []string
	// BaseURL is the address of the console for people, with everything that proxies
	// add: https://orders.example/selfheal/. "": unknown, so that notices do not
	// link to it.
	BaseURL string
	// LinkKeys sign links of notices by which a person may acknowledge, approve or
	// reject, once. The first signs, all are accepted, so that keys can be
	// exchanged. Each has at least 16 bytes, the same in all replicas. Without a key,
	// or without BaseURL, there are no such links.
	LinkKeys [][]byte
	// Evidence opens evidence by its Ref for those whom Authorize lets download it.
	// nil: what Options.Evidence captured, and nothing else.
	Evidence func(ref string) (io.ReadSeekCloser, error)
}

// A ControlKind is something that a person may do beyond reading.
type ControlKind string

// The controls.
const (
	ControlHalt      ControlKind = console.Halting
	ControlResume    ControlKind = console.Resuming
	ControlSilence   ControlKind = console.Silencing
	ControlUnsilence ControlKind = console.Unsilence
	ControlAck       ControlKind = console.Acking
	ControlSnooze    ControlKind = console.Snoozing
	ControlApprove   ControlKind = console.Approving
	ControlReject    ControlKind = console.Rejecting
	ControlLook      ControlKind = console.Looking    // asks the detector of a watch now
	ControlPlan      ControlKind = console.Planning   // shows what a watch would do; runs nothing
	ControlEvidence  ControlKind = console.OpenProof  // downloads evidence
	ControlJournal   ControlKind = console.ReadingLog // reads the journal
)

// A Control is what a request wants to do. Fields that do not apply are "".
type Control struct {
	Kind     ControlKind
	Watch    string // for a silence, the glob
	Key      string // likewise
	Incident string
	Proposal string
	Silence  string // the id of the one to lift
	Evidence string // the ref of what is to be downloaded
}

// EventControl says that a person used a control that has no event of its own: a
// look, a plan, a download of evidence, a reading of the journal.
type EventControl struct {
	About
	Control Control
	By      string
}

// Line prints the event.
func (e EventControl) Line(n bool) string { return e.line(n, string(e.Control.Kind), "by "+e.By) }
func (e EventControl) String() string     { return e.Line(true) }

// problems is what is wrong with the options of the console.
func (o *ConsoleOptions) problems() []Problem {
	if _, err := console.New(o.config(console.Source{})); err != nil {
		return []Problem{{What: "Options.Console: " + err.Error()}}
	}
	return nil
}

func (o *ConsoleOptions) config(src console.Source) console.Options {
	return console.Options{Source: src, Hosts: o.Hosts, Base: o.BaseURL, Keys: o.LinkKeys}
}

// source is what the console knows of the supervisor.
func (s *Supervisor) source() console.Source {
	return console.Source{
		State:   s.consoleState,
		Status:  s.consoleStatus,
		Trail:   s.history.Trail,
		Changed: s.history.Changed,
		Lines:   s.history.Lines,
		Journal: s.history.Journal,
		Do:      s.obey,
		Used:    s.used,
		Refused: func(c console.Control, why error) {
			s.logger().Warn("selfheal: console: a control was refused", "control", c.Kind, "watch", c.Watch, "incident", c.Incident, "error", why)
		},
		Use: s.useLink,
	}
}

func (s *Supervisor) consoleStatus(brief bool) any {
	st := s.Status()
	if brief {
		st.Watches = nil
	}
	return st
}

// obey carries out what was authorised.
func (s *Supervisor) obey(_ context.Context, o console.Order) (*console.Plan, error) {
	until := time.Time{}
	if o.For > 0 {
		until = time.Now().Add(o.For)
	}
	s.mu.Lock()
	over := s.ended
	s.mu.Unlock()
	if over {
		return nil, console.ErrOver
	}
	var err error
	switch o.Kind {
	case console.Halting:
		err = s.Halt(o.By, o.Reason)
	case console.Resuming:
		err = s.Resume(o.By)
	case console.Silencing:
		_, err = s.Silence(Silence{Watch: o.Watch, Key: o.Key, Labels: o.Labels, By: o.By, Reason: o.Reason, Until: until})
	case console.Unsilence:
		err = s.Unsilence(o.Silence, o.By)
	case console.Acking:
		err = s.Ack(o.Incident, o.By, until)
	case console.Snoozing:
		err = s.Snooze(o.Incident, o.By, until)
	case console.Approving:
		if err = s.unchanged(o.Proposal, o.Fingerprint); err == nil {
			err = s.Approve(o.Proposal, o.By)
		}
	case console.Rejecting:
		err = s.Reject(o.Proposal, o.By)
	case console.Looking:
		if err = s.lookNow(o.Watch); err == nil {
			s.used(o.Control, o.By)
		}
	case console.Planning:
		p, err := s.plan(o.Watch)
		if err == nil {
			s.used(o.Control, o.By)
		}
		return p, err
	default:
		err = fmt.Errorf("%w: there is no control %q", console.ErrBad, o.Kind)
	}
	if errors.Is(err, ErrNoSuch) {
		err = missing{err}
	}
	return nil, err
}

// missing is an error of the supervisor that the console knows as its own.
type missing struct{ error }

func (m missing) Unwrap() []error { return []error{m.error, console.ErrNoSuch} }

// unchanged says whether a proposal is the plan that a person was shown.
func (s *Supervisor) unchanged(proposal, fingerprint string) error {
	ps := s.Status().Proposals
	n := slices.IndexFunc(ps, func(p Proposal) bool { return p.ID == proposal })
	switch {
	case n < 0:
		return fmt.Errorf("selfheal: approve: %w proposal %q: it was answered, or nobody answered in time", ErrNoSuch, proposal)
	case ps[n].Fingerprint != fingerprint:
		return console.ErrStale
	}
	return nil
}

// lookNow asks the detector of a watch as soon as it can.
func (s *Supervisor) lookNow(watch string) error {
	s.mu.Lock()
	e := s.entries[watch]
	looked := e != nil && e.started && !e.removing && !s.stop
	s.mu.Unlock()
	switch {
	case e == nil:
		return fmt.Errorf("selfheal: look: %w watch %q", ErrNoSuch, watch)
	case !looked:
		return fmt.Errorf("%w: watch %s is not looked at: it is off, invalid, being removed, or Run is not under way", console.ErrBad, watch)
	}
	s.sched.Wake(&e.task)
	return nil
}

// used puts on record what has no event of its own.
func (s *Supervisor) used(c console.Control, by string) {
	s.mu.Lock()
	p, over := s.pump, s.ended
	s.mu.Unlock()
	if p == nil || over {
		s.logger().Info("selfheal: console", "control", c.Kind, "by", by)
		return
	}
	p.push(func(a About) Event {
		a.Watch, a.Key, a.Incident = c.Watch, c.Key, c.Incident
		if a.Watch == "" {
			a.Watch = incident.Self
		}
		return EventControl{About: a, Control: controlOf(c), By: by}
	})
}

func controlOf(c console.Control) Control {
	return Control{
		Kind: ControlKind(c.Kind), Watch: c.Watch, Key: c.Key, Incident: c.Incident,
		Proposal: c.Proposal, Silence: c.Silence, Evidence: c.Evidence,
	}
}
