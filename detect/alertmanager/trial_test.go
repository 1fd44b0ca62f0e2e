package alertmanager_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func say(t *testing.T, r *alertmanager.Receiver, state string, start, end time.Time) {
	t.Helper()
	a := receivetest.Alert{Name: "HostDiskFull", Instance: "a", State: state, Start: start, End: end}
	require.Equal(t, 200, receivetest.Send(r, fixture().Request(t, a, time.Now())))
}

// watch names its alert and one step that settles for as long as Alertmanager
// lags.
func watch(r *alertmanager.Receiver, act *selfhealtest.Actor) selfheal.Watch {
	return selfheal.Watch{
		Name: "disk-full", Detector: r.Alerts("HostDiskFull"),
		Playbook: remediate.Ladder(remediate.Step{Name: "empty", Run: act.Act, Lasting: true, Settle: 6 * time.Minute}),
	}
}

// Alertmanager repeats itself every few minutes; one climb is what an incident
// gets.
func TestRepeatsRestartNoRemediation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receiver(t, alertmanager.Config{Repeat: 5 * time.Minute})
		say(t, r, receivetest.Resolved, time.Now().Add(-time.Hour), time.Now().Add(-time.Hour))
		act := selfhealtest.Play()
		trial := selfhealtest.Start(t, watch(r, act))
		time.Sleep(time.Minute)
		began := time.Now()
		for range 10 {
			say(t, r, receivetest.Firing, began, time.Time{})
			time.Sleep(5 * time.Minute)
		}
		say(t, r, receivetest.Resolved, began, time.Now())
		say(t, r, receivetest.Firing, began, time.Time{}) // late
		time.Sleep(2 * time.Minute)
		trial.Want(`
			1m0s open disk-full[68d2f7e3065caafa]: HostDiskFull on a
			7m0s step empty: no effect
			7m0s page exhausted
			52m0s resolve
			52m0s close`)
	})
}

// What was restored is not acted on before it is restated, and not taken for
// healed either; people hear that nobody can tell.
func TestRestoredAlertsStartNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &detect.MemoryStore{}
		began := time.Now()
		say(t, receiver(t, alertmanager.Config{Store: store}), receivetest.Firing, began, time.Time{})
		time.Sleep(time.Minute)

		r := receiver(t, alertmanager.Config{Store: store})
		act := selfhealtest.Play()
		trial := selfhealtest.Start(t, watch(r, act))
		time.Sleep(30 * time.Minute)
		say(t, r, receivetest.Firing, began, time.Time{})
		time.Sleep(time.Minute)
		say(t, r, receivetest.Resolved, began, time.Now())
		time.Sleep(10 * time.Minute)
		trial.Want(`
			0s blind disk-full: detect: nobody vouches for what is known: restored after a restart and not restated since: "68d2f7e3065caafa"
			1m0s page disk-full blind
			30m0s resolve disk-full
			30m0s open disk-full[68d2f7e3065caafa]: HostDiskFull on a
			36m0s step disk-full[68d2f7e3065caafa] empty: healed
			37m0s close disk-full[68d2f7e3065caafa]`)
		require.Len(t, act.Requests(), 1)
	})
}
