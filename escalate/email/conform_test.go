package email

import (
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		s := newServer(t)
		return selfhealtest.NotifierFixture{
			Notifier: s.notifier(t),
			Messages: func() int {
				ids := map[string]bool{}
				for _, m := range s.got() {
					ids[parse(t, m.text).Header.Get("Message-Id")] = true
				}
				return len(ids)
			},
			Fail:     func() { s.say("RCPT", "550 refused "+password) },
			Hang:     func() { s.set(func() { s.hang = true }) },
			Secrets:  []string{password},
			Patience: 5 * time.Second,
		}
	})
}
