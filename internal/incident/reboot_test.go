package incident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

// A silence that ended while no process lived is over for good: after a reboot,
// which no clock can bridge, its record must not bring it back.
func TestASilenceThatEndedWhileNobodyLivedIsInForceAgainAfterAReboot(t *testing.T) {
	l := newLives(t, Options{})
	w, _ := l.begin(Watch{Name: "a"})
	w.silence("s1", "a", "", 10*time.Minute)
	w.until(time.Minute)
	l.die(20 * time.Minute)
	w, _ = l.begin(Watch{Name: "a"})
	w.until(time.Second)
	require.Empty(t, w.e.Whole().Silences)
	l.die(0)
	l.reboot()
	w, _ = l.begin(Watch{Name: "a"})
	w.until(time.Second)
	require.Empty(t, w.e.Whole().Silences)
}

// A wait is served in full once after a reboot, and not again after every crash
// that follows: the first life after it writes down how much is left.
func TestAWaitBeganAgainAtEveryCrashAfterAReboot(t *testing.T) {
	l := newLives(t, Options{})
	watch := Watch{Name: "a", Playbook: remediate.Ladder(risky("fix"))}
	watch.Playbook.Limits.Cooldown = 20 * time.Minute
	w, s := l.begin(watch)
	w.silence("s1", "b", "", 20*time.Minute)
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	w.until(10 * time.Second)
	require.Equal(t, 1, w.runs["fix"])
	require.Empty(t, s[0].sick)
	l.die(0)
	l.reboot()
	for _, left := range []time.Duration{20, 14, 8, 2} {
		w, _ = l.begin(watch)
		w.until(time.Second)
		require.InDelta(t, (left * time.Minute).Seconds(), (w.e.watches["a"].keys[""].cooldown - w.e.now).Seconds(), 12)
		require.Len(t, w.e.Whole().Silences, 1)
		require.InDelta(t, (left * time.Minute).Seconds(), (w.e.Whole().Silences[0].Until - w.e.now).Seconds(), 12)
		require.InDelta(t, ((left + 40) * time.Minute).Seconds(), (w.e.budget[0] + time.Hour - w.e.now).Seconds(), 12)
		w.until(time.Minute)
		l.die(5 * time.Minute)
	}
}
