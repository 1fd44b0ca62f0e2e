package selfheal

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/incident"
)

// A loop that does not turn is seen by whoever collects twice, and nobody waits.
func TestALoopThatStandsStillIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		require.Zero(t, s.lag(), "Run has not begun")
		s.run = &run{s: s, loopStopped: make(chan struct{})}
		require.Zero(t, s.lag())
		time.Sleep(15 * time.Second)
		require.Equal(t, 15*time.Second, s.lag())
		time.Sleep(15 * time.Second)
		require.Equal(t, 30*time.Second, s.lag())
		require.Len(t, s.pulses, 1, "it is asked once")
		close(s.pulses[0])
		require.Zero(t, s.lag())
		close(s.run.loopStopped)
		time.Sleep(time.Hour)
		require.Zero(t, s.lag(), "Run has ended")
	})
}

// Whatever silences overlap, end early or expire: the time is that in which at
// least one was in force, and it never goes back.
func TestSilencedTimeIsTheUnion(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m := newMeter()
		const end = 300
		var want time.Duration
		until := map[string]int{}
		last := time.Duration(0)
		for at := range end {
			if rnd.IntN(10) == 0 {
				id, long := strconv.Itoa(at), 1+rnd.IntN(60)
				until[id] = at + long
				m.event(&incident.Event{Kind: incident.EvSilence, At: seconds(at), ID: id, Duration: seconds(long)}, 0)
			}
			if rnd.IntN(10) == 0 {
				for id := range until {
					delete(until, id)
					m.event(&incident.Event{Kind: incident.EvUnsilence, At: seconds(at), ID: id}, 0)
					break
				}
			}
			for _, u := range until {
				if u > at {
					want += time.Second
					break
				}
			}
			if rnd.IntN(5) == 0 {
				now := m.read(seconds(at)).off[offSilence]
				require.GreaterOrEqual(t, now, last)
				last = now
			}
		}
		require.Equal(t, want, m.read(seconds(end)).off[offSilence], "seed %d", seed)
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// What the meter keeps is bounded by what is under way and by maxHeals.
func TestTheMeterForgets(t *testing.T) {
	m := newMeter()
	for n := range 3 * maxHeals {
		id := strconv.Itoa(n)
		at := time.Duration(n) * time.Millisecond
		ev := incident.Event{Watch: "w", Key: id, Incident: id, At: at}
		for _, kind := range []incident.EventKind{incident.EvFound, incident.EvOpen, incident.EvStep, incident.EvClose} {
			ev.Kind = kind
			ev.Attempt.Outcome = 1
			m.event(&ev, 0)
		}
	}
	require.Empty(t, m.tales)
	require.Len(t, m.heals, maxHeals)
	require.Len(t, m.healed, maxHeals)
	m.remember(heal{"late", 3 * relapseWithin})
	require.Len(t, m.heals, 1)
}

func TestBucketsAreInclusive(t *testing.T) {
	h := newHistogram(1, 5)
	for _, d := range []time.Duration{-time.Second, time.Second, time.Second + 1, 5 * time.Second, time.Hour} {
		h.observe(d)
	}
	require.Equal(t, []uint64{2, 2, 1}, h.counts)
}

func TestJournalTroubleAndWhatEarlierLivesLeftCountAsOff(t *testing.T) {
	m := newMeter()
	m.begin(&incident.Whole{
		Halted: &incident.Halted{}, Storm: true, SafeMode: true, Degraded: true,
		Silences: []incident.Silence{{ID: "a", Until: 10 * time.Second}},
	})
	off := m.read(time.Minute).off
	for _, why := range []string{offHalt, offStorm, offSafeMode, offJournal} {
		require.Equal(t, time.Minute, off[why], why)
	}
	require.Equal(t, 10*time.Second, off[offSilence])
	for _, kind := range []incident.EventKind{incident.EvResume, incident.EvStormOver, incident.EvSafeModeOver, incident.EvRecovered} {
		m.event(&incident.Event{Kind: kind, At: 2 * time.Minute}, 0)
	}
	m.event(&incident.Event{Kind: incident.EvTilt, At: 2 * time.Minute}, 0)
	m.stop(3 * time.Minute)
	off = m.read(time.Hour).off
	for _, why := range []string{offHalt, offStorm, offSafeMode, offJournal} {
		require.Equal(t, 2*time.Minute, off[why], why)
	}
	require.Equal(t, time.Minute, off[offTilt], "nothing is measured after Run")
}
