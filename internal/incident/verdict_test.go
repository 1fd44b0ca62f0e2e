package incident

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A later try that does not apply takes nothing back: the earlier one ran, and
// its undo is owed.
func TestASkipOfALaterTry(t *testing.T) {
	fix := undoable(risky("fix"))
	fix.Retry = remediate.Backoff{Tries: 3}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	w.does("fix", func(d *Decision) answer { return answer{result: []Result{Fail, Skip}[d.Try-1]} })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		1s step fix: failed
		1s undo fix
		1s page exhausted`)
}

func TestVerify(t *testing.T) {
	one, two := risky("one"), safe("two")
	one.Verify = nothingToDo
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(one, two)})
	s[0].sicken("", 9, 5)
	w.heals("one", s[0])
	w.verify = func(*Decision, *watched) answer { return answer{result: Fail} }
	w.until(5 * time.Minute)
	// The detector is clear, and the step's own word stands: the next rung.
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		4s step two: healed
		1m4s close`)
}

func TestVerifyThatCannotTellIsAskedAgain(t *testing.T) {
	one := risky("one")
	one.Verify = nothingToDo
	w, s := staged(Options{}, Watch{Name: "a", Every: 10 * time.Second, Playbook: remediate.Ladder(one)})
	s[0].sicken("", 9, 5)
	w.heals("one", s[0])
	asked := 0
	w.verify = func(*Decision, *watched) answer {
		if asked++; asked < 3 {
			return answer{result: Skip}
		}
		return answer{}
	}
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		40s step one: healed
		40s close`)
	require.Equal(t, 3, asked)
}

func TestUnverified(t *testing.T) {
	for every, want := range map[time.Duration]string{
		time.Second: `
			0s open a: 9 is above 5
			1s blind: no route
			1m2s step one: unverified
			1m1s page blind
			1m2s page unverified`,
		time.Minute: `
			0s open a: 9 is above 5
			1m0s blind: no route
			4m0s page blind
			5m0s step one: unverified
			5m0s page unverified`,
	} {
		w, s := staged(Options{}, Watch{Name: "a", Every: every, Playbook: remediate.Ladder(risky("one"), safe("two"))})
		s[0].sicken("", 9, 5)
		w.does("one", func(*Decision) answer {
			s[0].mend("")
			s[0].blind = errFailedToSee
			return answer{}
		})
		w.until(10 * time.Minute)
		require.Empty(t, w.failed, w.monitor.detail)
		require.ElementsMatch(t, linesOf(want), linesOf(w.timeline()))
		require.Zero(t, w.runs["two"], "nobody can tell, so nothing more is done")
	}
}

// Findings beside an error are believed; keys that were not named are unknown:
// they neither heal nor close.
func TestFindingsBesideAnError(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a"})
	s[0].sicken("x", 9, 5)
	s[0].sicken("y", 8, 5)
	w.at(secs(10), func() { s[0].mend("x"); s[0].blind = errFailedToSee })
	w.at(secs(30), func() { s[0].sicken("z", 7, 5) })
	w.at(secs(40), func() { s[0].mend("y") })
	w.at(secs(50), func() { s[0].blind = nil; s[0].mend("z") })
	w.until(time.Minute)
	w.want(t, `
		0s open a[x]: 9 is above 5
		0s page a[x] exhausted
		0s open a[y]: 8 is above 5
		0s page a[y] exhausted
		10s blind: a no route
		30s open a[z]: 7 is above 5
		30s page a[z] exhausted
		50s resolve a[x]
		50s close a[x]
		50s resolve a[y]
		50s close a[y]
		50s resolve a[z]
		50s close a[z]`)
}

func TestMoved(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(risky("fix"))})
	s[0].sicken("x", 9, 5)
	moves := 0
	w.does("fix", func(d *Decision) answer {
		if s[0].mend(d.Key); moves == 0 {
			s[0].sicken("y", 9, 5)
			moves++
		}
		return answer{}
	})
	w.until(10 * time.Minute)
	// The new key inherits the cooldown of the rung's verdict.
	w.want(t, `
		0s open a[x]: 9 is above 5
		1s open a[y]: 9 is above 5
		1s hold a[y] fix: concurrency
		2s step a[x] fix: moved
		2s hold a[y] fix: cooldown
		1m2s close a[x]
		5m4s step a[y] fix: healed
		6m4s close a[y]`)
	require.Empty(t, w.e.watches["a"].keys["x"].heals, "what moved is no heal")
	require.Len(t, w.e.watches["a"].breaker.failed, 1)
}

// Two keys that fell sick in one look did not move to each other.
func TestTwoKeysOfOneLookHaveNotMoved(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(safe("fix"))})
	s[0].sicken("x", 9, 5)
	s[0].sicken("y", 9, 5)
	w.does("fix", func(d *Decision) answer {
		if d.Key == "x" {
			s[0].mend("x")
		}
		return answer{}
	})
	w.until(secs(30))
	w.want(t, `
		0s open a[x]: 9 is above 5
		0s open a[y]: 9 is above 5
		2s step a[x] fix: healed
		2s step a[y] fix: no effect
		2s page a[y] exhausted`)
}

func TestWorseBySeverity(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(risky("one")), safe("two"))})
	s[0].sicken("", 9, 5)
	w.does("one", func(*Decision) answer { s[0].severe("", detect.Critical); return answer{} })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: worse
		2s undo one
		2s page worse`)
}

// Worse by value: more than one and a half times as far past the limit, and
// growing faster than before.
func TestWorseByValue(t *testing.T) {
	for name, c := range map[string]struct {
		before, after float64 // growth a second
		from          float64
		want          remediate.Outcome
	}{
		"a jump":                         {0, 3, 10, remediate.Worse},
		"not far enough":                 {0, 0.1, 10, remediate.NoEffect},
		"it grew as fast before":         {1, 1, 10, remediate.NoEffect},
		"it grew faster before":          {2, 1, 10, remediate.NoEffect},
		"it grew before, and faster now": {0.2, 2, 10, remediate.Worse},
		"it shrinks":                     {0, -0.1, 10, remediate.NoEffect},
	} {
		t.Run(name, func(t *testing.T) {
			one := risky("one")
			one.Settle = 30 * time.Second
			w, s := staged(Options{}, Watch{Name: "a", For: time.Minute, Playbook: remediate.Ladder(one)})
			var outcomes []remediate.Outcome
			for n := range 95 {
				w.at(At(n)*time.Second, func() {
					v := c.from + c.before*float64(min(n, 60)) + c.after*float64(max(n-60, 0))
					s[0].sicken("", 100+v, 100)
				})
			}
			w.until(100 * time.Second)
			for _, i := range w.e.byID {
				outcomes = append(outcomes, i.record[0].Outcome)
			}
			require.Equal(t, []remediate.Outcome{c.want}, outcomes)
		})
	}
}

func TestWorseBelowALimit(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(risky("one"), safe("two"))})
	s[0].sicken("", 90, 100) // free space
	w.does("one", func(*Decision) answer { s[0].sicken("", 50, 100); return answer{} })
	w.until(10 * time.Second)
	require.Equal(t, map[string]int{"one": 1}, w.runs)
}

func TestWithoutAValueThereIsNoVerdictOnIt(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(risky("one"), safe("two"))})
	s[0].sicken("", 0, 0)
	w.until(10 * time.Second)
	require.Equal(t, map[string]int{"one": 1, "two": 1}, w.runs)
}

// A Safe step that ends worse is no effect: undone if it can be, then climb.
func TestASafeStepThatEndsWorse(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(safe("one")), risky("two"))})
	s[0].sicken("", 9, 5)
	w.does("one", func(*Decision) answer { s[0].severe("", detect.Critical); return answer{} })
	w.heals("two", s[0])
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		2s undo one
		4s step two: healed
		4s close`)
}

// Monitoring says "resolved" minutes late. The step's own word is a no at once,
// and a yes that waits for the detector's.
func TestADetectorThatLags(t *testing.T) {
	checked := risky("restart")
	checked.Verify, checked.Settle = nothingToDo, 5*time.Second
	for name, c := range map[string]struct {
		says  Result
		mends At
		want  string
	}{
		"the step says yes": {OK, 5 * time.Minute, `
			0s open a: 9 is above 5
			5m0s step restart: healed
			5m0s close`},
		"the step says yes and the alert stays": {OK, 0, `
			0s open a: 9 is above 5
			6m0s step restart: no effect
			6m2s step more: healed
			6m2s close`},
		"the step says no": {Fail, 0, `
			0s open a: 9 is above 5
			5s step restart: no effect
			7s step more: healed
			7s close`},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := staged(Options{}, Watch{Name: "a", Lag: 6 * time.Minute, Playbook: remediate.Ladder(checked, risky("more"))})
			s[0].sicken("", 9, 5)
			w.heals("more", s[0])
			w.verify = func(*Decision, *watched) answer { return answer{result: c.says} }
			if c.mends > 0 {
				w.at(c.mends, func() { s[0].mend("") })
			}
			w.until(30 * time.Minute)
			w.want(t, c.want)
		})
	}
}

// What nobody vouches for starts nothing and heals nothing, and makes no other key
// of its watch unknown.
func TestAStaleKeyConcernsNoOther(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(risky("fix"))})
	w.reborn = true // the monitor takes an error for blindness of the whole watch
	s[0].sicken("x", 9, 5)
	s[0].sicken("y", 9, 5)
	look := w.look
	w.look = func(s *watched) (At, []detect.Finding, error) {
		took, fs, err := look(s)
		if w.now >= 100*time.Millisecond && w.now < time.Minute {
			fs = slices.DeleteFunc(fs, func(f detect.Finding) bool { return f.Key == "y" })
			err = &detect.StaleError{Stale: []detect.Stale{{Finding: detect.Finding{Key: "y"}, Why: "restored"}}}
		}
		return took, fs, err
	}
	w.at(0, func() { w.does("fix", func(d *Decision) answer { s[0].mend(d.Key); return answer{} }) })
	w.until(10 * time.Minute)
	require.Contains(t, w.timeline(), "step a[x] fix: healed")
	require.Contains(t, w.timeline(), "hold a[y] fix: stale")
	require.NotContains(t, w.timeline(), "blind")
	require.Contains(t, w.timeline(), "1m2s step a[y] fix: healed")
}
