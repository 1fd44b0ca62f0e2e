package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// many are n watches that would run a step above Safe, and idle ones beside them.
func many(n, idle int) []Watch {
	var cfgs []Watch
	for k := range n {
		cfgs = append(cfgs, Watch{Name: fmt.Sprint("w", k), Playbook: remediate.Ladder(risky(fmt.Sprint("fix", k)))})
	}
	for k := range idle {
		cfgs = append(cfgs, Watch{Name: fmt.Sprint("z", k)})
	}
	return cfgs
}

func TestWhatIsAStorm(t *testing.T) {
	for name, c := range map[string]struct {
		watches []Watch
		sick    func(w *world, s []*watched)
		want    bool
	}{
		"five of many are none": {many(5, 10), func(w *world, s []*watched) {
			for n := range 5 {
				s[n].sicken("", 9, 5)
			}
		}, false},
		"six are": {many(6, 10), func(w *world, s []*watched) {
			for n := range 6 {
				s[n].sicken("", 9, 5)
			}
		}, true},
		"half of the watches are": {many(3, 3), func(w *world, s []*watched) {
			for n := range 3 {
				s[n].sicken("", 9, 5)
			}
		}, true},
		"less than half are not": {many(3, 4), func(w *world, s []*watched) {
			for n := range 3 {
				s[n].sicken("", 9, 5)
			}
		}, false},
		"two of two are not: at least three": {many(2, 0), func(w *world, s []*watched) {
			s[0].sicken("", 9, 5)
			s[1].sicken("", 9, 5)
		}, false},
		"five keys of one watch count as one": {many(1, 10), func(w *world, s []*watched) {
			for n := range 5 {
				s[0].sicken(fmt.Sprint(n), 9, 5)
			}
		}, false},
		"six keys of one watch count each": {many(1, 10), func(w *world, s []*watched) {
			for n := range 6 {
				s[0].sicken(fmt.Sprint(n), 9, 5)
			}
		}, true},
		"more than a minute apart": {many(6, 10), func(w *world, s []*watched) {
			for n := range 6 {
				w.at(At(n)*13*time.Second, func() { s[n].sicken("", 9, 5) })
			}
		}, false},
		"within a minute": {many(6, 10), func(w *world, s []*watched) {
			for n := range 6 {
				w.at(At(n)*12*time.Second, func() { s[n].sicken("", 9, 5) })
			}
		}, true},
		"silenced ones do not count": {many(6, 10), func(w *world, s []*watched) {
			w.silence("s", "w0", "", time.Hour)
			for n := range 6 {
				s[n].sicken("", 9, 5)
			}
		}, false},
		"shadow and detect-only do not count": {func() []Watch {
			cfgs := many(6, 10)
			cfgs[0].Mode = Shadow
			cfgs[1].Playbook = remediate.Ladder(safe("x"))
			return cfgs
		}(), func(w *world, s []*watched) {
			for n := range 8 {
				s[n].sicken("", 9, 5)
			}
		}, false},
		"those held by their cause do not count, though it opens after them": {func() []Watch {
			cfgs := many(6, 10)
			cfgs[0].After = []string{"w5"}
			return cfgs
		}(), func(w *world, s []*watched) {
			for n := range 6 {
				s[n].sicken("", 9, 5)
			}
		}, false},
		"what waited For counts by when it was found": {func() []Watch {
			cfgs := many(6, 10)
			for n := range cfgs {
				cfgs[n].For = At(n%3) * time.Minute
			}
			return cfgs
		}(), func(w *world, s []*watched) {
			for n := range 6 {
				w.does(fmt.Sprint("fix", n), func(*Decision) answer { return answer{took: time.Hour} })
				s[n].sicken("", 9, 5)
			}
		}, true},
		"blips do not count": {func() []Watch {
			cfgs := many(6, 10)
			cfgs[0].For = time.Minute
			return cfgs
		}(), func(w *world, s []*watched) {
			for n := range 6 {
				s[n].sicken("", 9, 5)
			}
			w.at(secs(10), func() { s[0].mend("") })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := staged(Options{}, c.watches...)
			c.sick(w, s)
			w.until(150 * time.Second)
			require.Empty(t, w.failed, w.monitor.detail)
			require.Equal(t, c.want, w.e.storm.id != "")
			if c.want {
				require.Contains(t, w.timeline(), "page selfheal[storm] storm\n")
			}
		})
	}
}

// A fifth of the keys that a watch has had count as one.
func TestAStormOfKeys(t *testing.T) {
	for sick, want := range map[int]bool{10: false, 11: true} {
		w, s := staged(Options{}, many(1, 10)...)
		w.e.Step(0)
		w.instant()
		for n := range 50 {
			w.e.watches["w0"].remember(fmt.Sprint(n), 0)
		}
		w.at(secs(1), func() {
			for n := range sick {
				s[0].sicken(fmt.Sprint(n), 9, 5)
			}
		})
		w.until(secs(3))
		require.Equal(t, want, w.e.storm.on, "%d of 50", sick)
	}
}

// Steps above Safe stop, one page goes to all concerned, and 5 minutes after the
// last new one there is one ladder at a time, each on a fresh look.
func TestTheLifeOfAStorm(t *testing.T) {
	cfgs := many(4, 0)
	cfgs[3].Playbook = remediate.Ladder(safe("fix3"), risky("more3"))
	w, s := staged(Options{MaxConcurrent: -1}, cfgs...)
	for n := range 3 {
		s[n].sicken("", 9, 5)
	}
	for n := range 3 {
		w.heals(fmt.Sprint("fix", n), s[n])
	}
	var told []*Notice
	w.onTell = func(n *Notice) {
		if n.Incident.Watch == Self {
			told = append(told, n)
		}
	}
	w.at(time.Minute, func() { s[3].sicken("", 9, 5) })
	w.at(2*time.Minute, func() { s[0].mend("") })
	w.until(10 * time.Minute)
	w.want(t, `
		0s page selfheal[storm] storm
		0s open w0: 9 is above 5
		0s hold w0 fix0: storm
		0s open w1: 9 is above 5
		0s hold w1 fix1: storm
		0s open w2: 9 is above 5
		0s hold w2 fix2: storm
		1m0s open w3: 9 is above 5
		1m2s step w3 fix3: no effect
		1m2s hold w3 more3: storm
		2m0s close w0
		6m0s resolve selfheal[storm]
		6m0s hold w2 fix2: concurrency
		6m0s hold w3 more3: concurrency
		6m2s step w1 fix1: healed
		6m2s close w1
		6m4s step w2 fix2: healed
		6m4s close w2
		6m6s step w3 more3: no effect
		6m6s page w3 exhausted`)
	require.Len(t, told, 3)
	require.Equal(t, []string{"w0", "w1", "w2"}, told[0].Watches)
	require.Equal(t, []string{"w0", "w1", "w2"}, told[0].Incident.Symptoms)
	require.Equal(t, escalate.Update, told[1].Kind, "the people of w3 are told too")
	require.Equal(t, []string{"w0", "w1", "w2", "w3"}, told[1].Watches)
	require.Equal(t, escalate.Resolve, told[2].Kind)
	require.False(t, w.e.storm.after)
}

// A ladder that is held by something else does not keep the others waiting.
func TestAfterAStormALadderThatIsHeldLetsOthersPast(t *testing.T) {
	cfgs := many(3, 0)
	peer := risky("peer")
	peer.Scope = remediate.Peer
	cfgs[0].Playbook = remediate.Ladder(risky("fix0"), peer)
	w, s := staged(Options{}, cfgs...)
	for n := range 3 {
		s[n].sicken("", 9, 5)
	}
	w.heals("fix1", s[1])
	w.heals("fix2", s[2])
	w.until(6 * time.Minute)
	require.Empty(t, w.failed, w.monitor.detail)
	require.Equal(t, map[string]int{"fix0": 1, "fix1": 1, "fix2": 1}, w.runs)
}

// A second storm within an hour stays until somebody resumes.
func TestASecondStorm(t *testing.T) {
	w, s := staged(Options{}, many(3, 0)...)
	sick := func() {
		for n := range 3 {
			s[n].sicken("", 9, 5)
		}
	}
	well := func() {
		for n := range 3 {
			s[n].mend("")
		}
	}
	sick()
	w.at(time.Minute, well)
	w.at(30*time.Minute, sick)
	w.until(2 * time.Hour)
	require.True(t, w.e.storm.on)
	require.True(t, w.e.storm.sticky)
	require.Empty(t, w.runs)
	w.say(Input{Kind: InResume, By: "ann"})
	w.until(2*time.Hour + secs(1))
	require.False(t, w.e.storm.on)
	require.Equal(t, map[string]int{"fix0": 1}, w.runs)
	require.Empty(t, w.failed, w.monitor.detail)
}

// Those that a storm's notice has named are not told one by one.
func TestTheNamedAreKnown(t *testing.T) {
	w, s := staged(Options{}, many(3, 0)...)
	for n := range 3 {
		s[n].sicken("", 9, 5)
	}
	w.at(time.Minute, func() {
		for n := range 3 {
			s[n].mend("")
		}
	})
	w.at(30*time.Minute, func() {
		for n := range 3 {
			s[n].sicken("", 9, 5)
		}
	})
	w.until(5 * time.Hour)
	require.NotContains(t, w.timeline(), "nobody told")
	require.Empty(t, w.failed, w.monitor.detail)
}

func TestCriticalGoesFirstAfterAStorm(t *testing.T) {
	w, s := staged(Options{}, many(3, 0)...)
	for n := range 3 {
		s[n].sicken("", 9, 5)
	}
	w.at(secs(10), func() { s[2].severe("", detect.Critical) })
	w.until(5*time.Minute + secs(1))
	require.Equal(t, map[string]int{"fix2": 1}, w.runs)
}

// A key that came again counted for the second time only, so that what fell sick
// together with the first time were too few for a storm.
func TestAKeyThatCameAgainHidAStorm(t *testing.T) {
	cfgs := many(6, 10)
	cfgs[5].For = 90 * time.Second
	for n := range 5 {
		cfgs[n].Playbook.Limits.Cooldown = -1
	}
	w, s := staged(Options{MaxConcurrent: -1}, cfgs...)
	for n := range s[:5] {
		w.heals(fmt.Sprint("fix", n), s[n])
	}
	for n := range s[:6] {
		s[n].sicken("", 9, 5)
	}
	w.at(secs(75), func() { s[0].sicken("", 9, 5) })
	w.until(89 * time.Second)
	require.False(t, w.e.Whole().Storm, "the sixth is not open yet")
	w.until(2 * time.Minute)
	require.True(t, w.e.Whole().Storm, "six fell sick within a minute, and one of them once more")
}
