package alertmanager_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/alertmanager"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
)

// begin runs f until the test ends it.
func begin(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestRunSendsWhatIsOpenBeforeItExpires(t *testing.T) {
	bubble(t, alertmanager.Config{Expire: 5 * time.Minute, Hold: -1}, func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier) {
		stop := begin(t, n.Run)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		for range 10 {
			time.Sleep(7 * time.Minute)
			require.Len(t, s.Firing(), 1)
			require.Greater(t, time.Until(s.Firing()["orders/queue-1"]), 3*time.Minute)
		}
		require.Equal(t, 1, s.Messages(), "nothing new was said")
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
		calls := s.Calls()
		time.Sleep(time.Hour)
		require.Empty(t, s.Firing())
		require.InDelta(t, 5, s.Calls()-calls, 1, "the end is said again for 5 min, and then nothing")
		stop()
	})
}

func TestRunTellsAMemberThatHasForgotten(t *testing.T) {
	bubble(t, alertmanager.Config{Hold: -1}, func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier) {
		stop := begin(t, n.Run)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		time.Sleep(10 * time.Second)
		s.Forget()
		require.Empty(t, s.Firing())
		s.Break(strict.Refused)
		time.Sleep(time.Minute)
		s.Break(strict.None)
		time.Sleep(time.Minute)
		require.Len(t, s.Firing(), 1)
		stop()
	})
}

// A resolve that comes while Run is sending has the last word, though what Run
// sends arrives after it.
func TestAResolveHasTheLastWord(t *testing.T) {
	s := strict.NewAlertmanager(t)
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Pointer[func()]
		client := s.Direct()
		inner := client.Transport
		client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if f := slow.Swap(nil); f != nil {
				(*f)()
			}
			return inner.RoundTrip(r)
		})
		n, err := alertmanager.New(alertmanager.Config{URLs: []string{s.URL}, Client: client, Hold: -1})
		require.NoError(t, err)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		stop := begin(t, n.Run)
		overtake := func() { // the resend is on its way, and the resolve overtakes it
			if err := n.Notify(context.Background(), strict.Notice(escalate.Resolve, 1)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		slow.Store(&overtake)
		time.Sleep(90 * time.Second)
		require.Nil(t, slow.Load())
		require.Empty(t, s.Firing())
		stop()
	})
}

func TestFeedbackTellsWhatPeopleSilence(t *testing.T) {
	bubble(t, alertmanager.Config{}, func(t *testing.T, s *strict.Alertmanager, n *alertmanager.Notifier) {
		var mu sync.Mutex
		var told []alertmanager.Change
		got := func() []alertmanager.Change { mu.Lock(); defer mu.Unlock(); return slices.Clone(told) }
		refuse := 1
		stop := begin(t, alertmanager.Feedback{Notifier: n, On: func(_ context.Context, c alertmanager.Change) error {
			if refuse--; refuse == 0 {
				return errors.New("not now")
			}
			mu.Lock()
			defer mu.Unlock()
			told = append(told, c)
			return nil
		}}.Run)
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 2)))
		time.Sleep(62 * time.Second) // between two rounds
		require.Empty(t, got())
		until := time.Now().Add(time.Hour).UTC()
		since := time.Now().UTC()
		id := s.Silence("ann", "looking", until, "alertname", "orders/queue-1")
		s.Silence("bob", "elsewhere", until, "alertname", "other")
		time.Sleep(20 * time.Second)
		require.Empty(t, got(), "On said: not now")
		time.Sleep(20 * time.Second)
		want := alertmanager.Silence{
			ID: id, DedupKey: "inc-1", Incident: "inc-1", By: "ann", Comment: "looking", Since: since, Until: until,
		}
		require.Equal(t, []alertmanager.Change{{Silence: want}}, got())

		s.Forget() // a restart: the alert is not known for a while, the silence is
		time.Sleep(time.Minute)
		s.Break(strict.Unavailable)
		time.Sleep(time.Minute)
		s.Break(strict.None)
		require.Len(t, got(), 1)

		s.Expire(id)
		time.Sleep(20 * time.Second)
		require.Equal(t, []alertmanager.Change{{Silence: want}, {Silence: want, Ended: true}}, got())
		stop()

		require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
		s.Silence("eve", "panic", until, "alertname", "orders/queue-1")
		stop = begin(t, alertmanager.Feedback{Notifier: n, On: func(context.Context, alertmanager.Change) error { panic("in On") }}.Run)
		time.Sleep(time.Minute)
		stop()
	})
}

func TestFeedbackSaysWhatItLacks(t *testing.T) {
	n, err := alertmanager.New(alertmanager.Config{URLs: []string{"http://a"}})
	require.NoError(t, err)
	on := func(context.Context, alertmanager.Change) error { return nil }
	require.ErrorContains(t, alertmanager.Feedback{On: on}.Run(t.Context()), "Notifier is missing")
	require.ErrorContains(t, alertmanager.Feedback{Notifier: n}.Run(t.Context()), "On is missing")
	require.ErrorContains(t, alertmanager.Feedback{Notifier: n, On: on, Every: -1}.Run(t.Context()), "Every is -1ns")
}
