package selfheal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

var errNotRunning = errors.New("the supervisor does not run yet: call Run first")

// Snooze stops everything that people would be told of an incident until then:
// levels, repeats and updates, but neither the automation nor the notice that it
// is over. Then those who were told are told again, with the newest word. Unlike
// an Ack it takes nothing over: it ends early when the incident becomes critical,
// and with an Ack. The id may be that of a grouped notice, for all of which it
// tells. Where nobody was told yet there is nothing to snooze: use Silence.
func (s *Supervisor) Snooze(id, by string, until time.Time) error {
	if by == "" {
		return errors.New("selfheal: snooze: say who snoozes it")
	}
	left := time.Until(until)
	if left <= 0 {
		return fmt.Errorf("selfheal: snooze: until %v is not in the future", until.Format(time.RFC3339))
	}
	box := s.box()
	if box == nil {
		return wrap("snooze", errNotRunning)
	}
	if !box.Told(id) {
		return wrap("snooze", fmt.Errorf("%w incident %q of which anybody was told: it may be closed; to stop notices beforehand, use Silence", ErrNoSuch, id))
	}
	box.Input(outbox.Snooze{DedupKey: id, By: by, For: left})
	ids := box.Members(id)
	if ids == nil {
		ids = []string{id}
	}
	about := map[string]About{}
	for _, w := range s.Status().Watches {
		for _, in := range w.Incidents {
			about[in.ID] = About{Watch: in.Watch, Key: in.Key}
		}
	}
	for _, id := range ids {
		s.pump.push(func(a About) Event {
			a.Watch, a.Key, a.Incident = cmp.Or(about[id].Watch, incident.Self), about[id].Key, id
			return EventSnooze{About: a, By: by, Until: until}
		})
	}
	return nil
}

func (s *Supervisor) box() *outbox.Driver {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outbox
}

// TestNotify sends a notice that is marked as a test through the real path: the
// target's turn, its rate, its breaker and its notifier; and then, under the same
// DedupKey, that it is over. It is tried once. The result is nil when the target
// has both, and else what its notifier returned. target is a name as Status and
// the log use it, that of escalate.Named where there is one.
//
// It waits until ctx ends at the latest; give it one that ends. A test that was
// delivered in the last moment is resolved all the same.
func (s *Supervisor) TestNotify(ctx context.Context, target string) error {
	box := s.box()
	if box == nil {
		return wrap("test "+target, errNotRunning)
	}
	if s.policy.find(target) == nil {
		return fmt.Errorf("selfheal: test: %w notifier %q: there are %s", ErrNoSuch, target, strings.Join(s.policy.names(), ", "))
	}
	n := s.testNotice(target)
	err := box.Once(ctx, target, n)
	if err != nil && ctx.Err() == nil {
		return wrap("test "+target, err)
	}
	n.Kind = escalate.Resolve
	n.Incident.State, n.Incident.Closed = escalate.Closed, time.Now()
	n.At = n.Incident.Closed
	if ctx.Err() != nil {
		// Whether it arrived nobody knows.
		box.Input(outbox.Once{Notification: n, Target: target, Within: signTimeout})
		return wrap("test "+target, context.Cause(ctx))
	}
	return wrap("test "+target, box.Once(ctx, target, n))
}

func (s *Supervisor) testNotice(target string) escalate.Notification {
	id, now := newIDs()+"t", time.Now()
	return escalate.Notification{
		DedupKey: id, Kind: escalate.Trigger, At: now, Test: true,
		Note: "this is a test: nothing is wrong, and there is nothing to do",
		Incident: escalate.Incident{
			ID: id, Watch: incident.Self, Service: s.o.Service, State: escalate.Open, Opened: now,
			Finding: detect.Finding{Key: "test", Summary: "a test of the notifier " + target},
		},
	}
}
