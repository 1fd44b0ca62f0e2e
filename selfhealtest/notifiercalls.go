package selfhealtest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// notifierCallRules are about how a delivery behaves as a call.
func notifierCallRules() []rule[NotifierFixture] {
	return []rule[NotifierFixture]{
		{
			name: "cancelled",
			must: "a delivery whose context is over returns soon, and returns nil only if people have it",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f NotifierFixture) {
				before := f.messages()
				var err error
				ok := r.call("Notify with a cancelled context", r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithCancel(ctx)
					cancel()
					err = f.Notifier.Notify(ctx, notification(escalate.Trigger, 1))
				})
				if ok && err == nil && f.Messages != nil && f.messages() <= before {
					r.breach("its context was cancelled, nobody got a message, and Notify returned nil")
				}
			},
		},
		{
			name: "cancel-midway",
			must: "a delivery that is cancelled while it waits returns soon, with an error",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f NotifierFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				var err error
				running := make(chan context.CancelFunc, 1)
				ended := r.start(func(ctx context.Context) {
					ctx, cancel := context.WithCancel(ctx)
					running <- cancel
					err = f.Notifier.Notify(ctx, notification(escalate.Trigger, 1))
				})
				cancel := <-running
				time.Sleep(20 * time.Millisecond)
				cancel()
				if r.ended("Notify, cancelled midway,", ended, r.patience) && err == nil {
					r.breach("the provider did not answer, Notify was cancelled, and it returned nil")
				}
			},
		},
		{
			name: "deadline",
			must: "a delivery whose time is over returns soon, with an error: until it does, nothing else reaches these people",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f NotifierFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				const after = 20 * time.Millisecond
				var err error
				ok := r.call("Notify with a deadline", after+r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, after)
					defer cancel()
					err = f.Notifier.Notify(ctx, notification(escalate.Trigger, 1))
				})
				if ok && err == nil {
					r.breach("the provider did not answer in time, and Notify returned nil")
				}
			},
		},
		{
			name: "concurrent",
			must: "deliveries may overlap: one notifier may serve several supervisors, and the application itself",
			fix:  "guard what deliveries share; -race shows where",
			check: func(r *report, f NotifierFixture) {
				const goroutines = 8
				before := f.messages()
				var calls []<-chan end
				errs := make([]error, goroutines)
				begin := make(chan struct{})
				for i := range goroutines {
					calls = append(calls, r.start(func(ctx context.Context) {
						ctx, cancel := context.WithTimeout(ctx, answerWithin)
						defer cancel()
						<-begin
						errs[i] = f.Notifier.Notify(ctx, notification(escalate.Trigger, i+10))
					}))
				}
				close(begin)
				for _, c := range calls {
					if !r.ended("Notify beside other deliveries", c, answerWithin) {
						return
					}
				}
				for _, err := range errs {
					if err != nil {
						r.breach("one of %d deliveries at once failed: %s", goroutines, quote(err.Error()))
						return
					}
				}
				if got := f.messages() - before; f.Messages != nil && got < goroutines {
					r.breach("people got %d messages of %d incidents that were told at once", got, goroutines)
				}
			},
		},
		{
			name: "no-leak",
			must: "a delivery leaves no goroutine behind that grows with each",
			fix:  "wait for what Notify starts, and close response bodies",
			check: func(r *report, f NotifierFixture) {
				r.leaks("deliveries", func(i int) bool {
					_, ok := r.tell(f, notification(escalate.Trigger, i+1))
					return ok
				})
			},
		},
	}
}

// shows says whether text holds secret, as it is or in a usual disguise.
func shows(text, secret string) bool {
	if secret == "" {
		return false
	}
	for _, s := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
