package selfhealtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A NotifierFixture is a notifier and a stand-in for the provider that it calls:
// a server of httptest, say.
type NotifierFixture struct {
	// Notifier is what is checked. Required.
	Notifier escalate.Notifier
	// Messages is how many messages people have got from the provider; what it
	// merges into one counts once. It may be called while a delivery is under
	// way. nil: that a delivery arrives is not checked, and the rule same-id is
	// skipped.
	Messages func() int
	// Fail makes the provider refuse everything. nil: the rule failure is skipped.
	Fail func()
	// Hang makes the provider not answer before the context ends. nil: the rules
	// about a stop midway are skipped.
	Hang func()
	// Secrets are tokens, passwords and addresses that nobody may read in an
	// error. Empty: the rule secrets is skipped.
	Secrets []string
	// Patience is how long a call may take to return once its context ended, and
	// a goroutine to end. 0: 1 s.
	Patience time.Duration
	// Skip names rules that do not apply, each with the reason: "same-id" where
	// the provider cannot tell a repetition.
	Skip map[string]string
}

// TestNotifier checks a notifier against the contract of [escalate.Notifier].
// Each rule is a subtest with a fixture of its own, so build makes a new notifier
// and a new provider each time; a failure names the rule, says what was seen and
// what to do.
//
// The rules are: fixture, trigger, update, ask, resolve, same-id, failure,
// secrets, hostile-text, huge, empty, odd-values, read-only, cancelled,
// cancel-midway, deadline, concurrent and no-leak.
//
// Call it outside of a bubble, and with -race. Time is real.
func TestNotifier(t *testing.T, build func(*testing.T) NotifierFixture) {
	t.Helper()
	notifierSuite().run(t, build)
}

func notifierSuite() *suite[NotifierFixture] {
	return &suite[NotifierFixture]{
		name:  "TestNotifier",
		rules: slices.Concat(notifierKindRules(), notifierAnswerRules(), notifierContentRules(), notifierCallRules()),
		about: func(f NotifierFixture) about {
			a := about{skip: f.Skip, patience: f.Patience}
			if f.Notifier == nil {
				a.lacks = append(a.lacks, "a Notifier")
			}
			return a
		},
		instance: func(f NotifierFixture) any { return f.Notifier },
	}
}

// notification is a plausible one of each kind; n tells incidents apart.
func notification(kind escalate.Kind, n int) escalate.Notification {
	now := time.Now()
	id := fmt.Sprintf("conformance-%d", n)
	in := escalate.Incident{
		ID: id, Watch: "orders/queue-depth", Service: "orders", Opened: now.Add(-5 * time.Minute),
		Finding: detect.Finding{
			Key: "eu", Severity: detect.Critical, Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs",
			Labels: map[string]string{"region": "eu"},
		},
		Attempts: []remediate.Attempt{{Step: "scale-workers", Outcome: remediate.NoEffect, Tries: 1, Started: now.Add(-4 * time.Minute), Ended: now}},
		State:    escalate.Watching, Reason: escalate.Exhausted, Runbook: "https://runbooks.example/queue-depth",
	}
	switch kind {
	case escalate.Ask:
		in.State, in.Reason, in.Proposal = escalate.Asking, "", id+"-p"
	case escalate.Resolve:
		in.State, in.Closed = escalate.Closed, now
	}
	return escalate.Notification{ID: fmt.Sprintf("%s-%v", id, kind), DedupKey: id, Kind: kind, Incident: in, At: now}
}

// tell delivers n as a supervisor does.
func (r *report) tell(f NotifierFixture, n escalate.Notification) (err error, ok bool) {
	ok = r.call("Notify", answerWithin, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		err = f.Notifier.Notify(ctx, n)
	})
	if !ok {
		return nil, false
	}
	return err, true
}

// arrives reports a notification that fails or does not reach people.
func (r *report) arrives(f NotifierFixture, what string, n escalate.Notification) bool {
	before := f.messages()
	err, ok := r.tell(f, n)
	switch {
	case !ok:
		return false
	case err != nil:
		r.breach("%s failed: %s", what, quote(err.Error()))
		return false
	case f.Messages != nil && f.messages() <= before:
		r.breach("%s was answered by nil, and nobody got a message", what)
		return false
	}
	return true
}

func (f NotifierFixture) messages() int {
	if f.Messages == nil {
		return 0
	}
	return f.Messages()
}

func notifierKindRules() []rule[NotifierFixture] {
	kind := func(k escalate.Kind, fix string, first ...escalate.Kind) rule[NotifierFixture] {
		return rule[NotifierFixture]{
			name: k.String(),
			must: fmt.Sprintf("a notification of kind %v reaches people; nil says that it has", k),
			fix:  fix,
			check: func(r *report, f NotifierFixture) {
				for _, k := range first {
					if err, ok := r.tell(f, notification(k, 1)); !ok || err != nil {
						r.skip(fmt.Sprintf("the %v before it failed: see rule %v", k, k))
						return
					}
				}
				r.arrives(f, "a notification of kind "+k.String(), notification(k, 1))
			},
		}
	}
	return []rule[NotifierFixture]{
		kind(escalate.Trigger, "send it, and return what the provider answered"),
		kind(escalate.Update, "send it, as a note to what the Trigger opened where the provider can", escalate.Trigger),
		kind(escalate.Ask, "send it with Incident.Proposal, so that people know what to answer"),
		kind(escalate.Resolve, "end what the Trigger opened, or say that it is over", escalate.Trigger),
	}
}

// notifierAnswerRules are about what is returned.
func notifierAnswerRules() []rule[NotifierFixture] {
	return []rule[NotifierFixture]{
		{
			name: "same-id",
			must: "a notification that is delivered again under the same ID is not told twice: the first answer may have been lost",
			fix:  "pass Notification.ID or DedupKey on as the provider's key for repetitions; where it has none, say so in Skip",
			check: func(r *report, f NotifierFixture) {
				if f.Messages == nil {
					r.skip("the fixture has no Messages")
					return
				}
				n := notification(escalate.Trigger, 1)
				if err, ok := r.tell(f, n); !ok || err != nil {
					r.skip("the first delivery failed: see rule trigger")
					return
				}
				once := f.messages()
				err, ok := r.tell(f, n)
				if !ok {
					return
				}
				if err != nil {
					r.breach("the second delivery under one ID failed: %s", quote(err.Error()))
				}
				if twice := f.messages(); twice != once {
					r.breach("people got %d messages from one delivery, and %d from two under the same ID", once, twice)
				}
			},
		},
		{
			name: "failure",
			must: "what the provider refused is an error: it is tried again, and told to others when it does not succeed",
			fix:  "return an error for every answer that is no acceptance",
			check: func(r *report, f NotifierFixture) {
				if f.Fail == nil {
					r.skip("the fixture has no Fail")
					return
				}
				f.Fail()
				if err, ok := r.tell(f, notification(escalate.Trigger, 1)); ok && err == nil {
					r.breach("the provider refused it, and Notify returned nil")
				}
			},
		},
		{
			name: "secrets",
			must: "neither an error nor the notifier itself, printed, shows a secret: both are logged, shown in the console and sent to other people",
			fix:  "name the provider and the status; drop the address of *url.Error, headers and bodies; give the notifier a Format method, since fmt prints unexported fields past their String methods",
			check: func(r *report, f NotifierFixture) {
				if len(f.Secrets) == 0 {
					r.skip("the fixture has no Secrets")
					return
				}
				printed := fmt.Sprintf("%v %+v %#v", f.Notifier, f.Notifier, f.Notifier)
				for i, secret := range f.Secrets {
					if shows(printed, secret) {
						r.breach("the Notifier, printed, shows Secrets[%d]", i)
						return
					}
				}
				var errs []error
				short := func(timeout time.Duration) {
					var err error
					e := r.try(timeout+r.patience, func(ctx context.Context) {
						ctx, cancel := context.WithTimeout(ctx, timeout)
						defer cancel()
						err = f.Notifier.Notify(ctx, notification(escalate.Trigger, 1))
					})
					if e.String() == "" { // else other rules say so
						errs = append(errs, err)
					}
				}
				short(0)
				if f.Fail != nil {
					f.Fail()
					short(answerWithin)
				}
				if f.Hang != nil {
					f.Hang()
					short(20 * time.Millisecond)
				}
				for _, err := range errs {
					if err == nil {
						continue
					}
					for i, secret := range f.Secrets {
						if shows(fmt.Sprintf("%v %+v", err, err), secret) {
							r.breach("an error of Notify shows Secrets[%d]", i) // and this one does not
							return
						}
					}
				}
			},
		},
	}
}

// notifierContentRules are about what is to be told.
func notifierContentRules() []rule[NotifierFixture] {
	return []rule[NotifierFixture]{
		{
			name: "hostile-text",
			must: "whatever an incident says is told: its names and texts may come from outside",
			fix:  "escape for the provider's format, replace what is not valid UTF-8, and keep line breaks out of headers",
			check: func(r *report, f NotifierFixture) {
				for i, text := range hostileTexts() {
					n := escalate.Notification{
						ID: fmt.Sprintf("hostile-%d", i), DedupKey: fmt.Sprintf("hostile-%d", i), Note: text,
						Incident: hostileIncident(text, 1), At: time.Now(),
					}
					if !r.arrives(f, "an incident with the text "+quote(text), n) {
						return
					}
				}
			},
		},
		{
			name: "huge",
			must: "an incident is told however much it has to say: cut short rather than not at all",
			fix:  "cut to the limits of the provider before sending",
			check: func(r *report, f NotifierFixture) {
				long := strings.Repeat("x", megabyte)
				n := notification(escalate.Trigger, 2)
				n.Incident.Finding.Summary, n.Incident.Detail = long, long
				n.Incident.Finding.Labels["long"] = long
				if !r.arrives(f, "an incident with texts of 1 MB", n) {
					return
				}
				n = notification(escalate.Trigger, 3)
				n.Incident = hostileIncident(strings.Repeat("y", 100), 2000)
				r.arrives(f, "an incident with 2,000 attempts", n)
			},
		},
		{
			name: "empty",
			must: "an incident that says nothing is told all the same",
			fix:  "fill in a sentence where a field that the provider needs is empty",
			check: func(r *report, f NotifierFixture) {
				r.arrives(f, "a notification that is empty but for its ID", escalate.Notification{ID: "empty", DedupKey: "empty"})
			},
		},
		{
			name: "odd-values",
			must: "values out of their range are told: NaN and infinity, times far away, kinds and outcomes that are not known yet",
			fix:  "write numbers and words as text where the format has no place for them",
			check: func(r *report, f NotifierFixture) {
				for _, n := range oddNotifications() {
					if !r.arrives(f, "the notification "+n.ID, n) {
						return
					}
				}
			},
		},
		{
			name: "read-only",
			must: "an incident is a snapshot that others read at the same time",
			fix:  "copy what you want to change",
			check: func(r *report, f NotifierFixture) {
				n := notification(escalate.Trigger, 1)
				n.Incident.Symptoms = []string{"a", "b"}
				n.Incident.Evidence = []escalate.Evidence{{Name: "goroutines", Ref: "/tmp/goroutines"}}
				shared := func() string {
					return fmt.Sprint(pointsTo(n.Incident.Finding), n.Incident.Attempts, n.Incident.Symptoms, n.Incident.Evidence)
				}
				before := shared()
				if _, ok := r.tell(f, n); !ok {
					return
				}
				if after := shared(); after != before {
					r.breach("Notify changed the incident from %s to %s", quote(before), quote(after))
				}
			},
		},
	}
}
