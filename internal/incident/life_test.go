package incident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func safe(name string) remediate.Step {
	return remediate.Step{Name: name, Run: nothingToDo, Risk: remediate.Safe}
}

func risky(name string) remediate.Step { return remediate.Step{Name: name, Run: nothingToDo} }

func undoable(s remediate.Step) remediate.Step {
	s.Undo = nothingToDo
	return s
}

// does lets the named step do something to the world, and end at once.
func (w *world) does(step string, f func(d *Decision) answer) {
	before := w.run
	w.run = func(d *Decision, s *watched) answer {
		if s.cfg.Playbook.Steps[d.Step].Name == step {
			return f(d)
		}
		return before(d, s)
	}
}

func (w *world) heals(step string, s *watched) {
	w.does(step, func(d *Decision) answer { s.mend(d.Key); return answer{} })
}

// The worked example of the design, to the line.
func TestTheQueueIsHealedByShedding(t *testing.T) {
	scale, shed := safe("scale-workers"), undoable(risky("shed-load"))
	scale.Settle, shed.Settle = 3*time.Minute, time.Minute
	w, s := staged(Options{}, Watch{
		Name: "orders/queue-depth", For: 2 * time.Minute, KeepFor: 5 * time.Minute, Playbook: remediate.Ladder(scale, shed),
	})
	s[0].sicken("", 9000, 5000)
	w.does("shed-load", func(*Decision) answer { s[0].mend(""); return answer{} })
	w.until(15 * time.Minute)
	w.want(t, `
		2m0s open orders/queue-depth: 9000 is above 5000
		5m0s step scale-workers: no effect
		6m0s step shed-load: healed
		11m0s undo shed-load
		11m0s close`)
	require.Zero(t, len(w.e.byID))
}

func TestWhatVanishesWhilePendingIsABlip(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", For: time.Minute, Playbook: remediate.Ladder(safe("fix"))})
	s[0].sicken("", 9, 5)
	w.at(secs(30), func() { s[0].mend("") })
	w.until(5 * time.Minute)
	w.want(t, `30s blip`)
	require.Empty(t, w.runs)
}

func TestWhatVanishesWhileAStepRunsLetsItEnd(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(safe("fix"))})
	s[0].sicken("", 9, 5)
	w.does("fix", func(*Decision) answer { return answer{took: 20 * time.Second} })
	w.at(secs(5), func() { s[0].mend("") })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		22s step fix: healed
		1m22s close`)
}

func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		mends  bool
		want   string
	}{
		"healed": {mends: true, want: `
			0s open a: 9 is above 5
			2s step fix: healed
			2s close`},
		"no effect": {want: `
			0s open a: 9 is above 5
			2s step fix: no effect
			4s step next: healed
			4s close`},
		"failed": {answer: answer{result: Fail}, want: `
			0s open a: 9 is above 5
			0s step fix: failed
			2s step next: healed
			2s close`},
		"failed though it helped": {answer: answer{took: time.Second, result: Fail}, mends: true, want: `
			0s open a: 9 is above 5
			1s step fix: failed
			1s close`},
		"skipped": {answer: answer{result: Skip}, want: `
			0s open a: 9 is above 5
			0s step fix: skipped
			2s step next: healed
			2s close`},
		"escalate": {answer: answer{result: Escalate}, want: `
			0s open a: 9 is above 5
			0s step fix: failed
			0s page escalated`},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"), safe("next"))})
			s[0].sicken("", 9, 5)
			w.does("fix", func(*Decision) answer {
				if c.mends {
					s[0].mend("")
				}
				return c.answer
			})
			w.heals("next", s[0])
			w.until(time.Minute)
			w.want(t, c.want)
		})
	}
}

// After exhaustion, what had no effect is undone first; then people are told,
// and nothing runs again until it clears.
func TestExhaustion(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(undoable(risky("one")), undoable(risky("two")))})
	s[0].sicken("", 9, 5)
	w.at(10*time.Minute, func() { s[0].mend("") })
	w.until(time.Hour)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		4s step two: no effect
		4s undo two
		4s undo one
		4s page exhausted
		11m0s resolve
		11m0s close`)
	require.Equal(t, map[string]int{"one": 1, "two": 1}, w.runs)
}

func TestAnEmptyPlaybookEscalatesAtOnce(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a"})
	s[0].sicken("", 9, 5)
	w.at(secs(9.5), func() { s[0].mend("") })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s page exhausted
		10s resolve
		10s close`)
}

// A rung that did not hold is not climbed again: the same incident goes on
// with the next, on a second look.
func TestItComesBackWhileClearing(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(safe("one"), risky("two"))})
	s[0].sicken("", 9, 5)
	w.heals("one", s[0])
	w.heals("two", s[0])
	w.at(secs(30), func() { s[0].sicken("", 7, 5) })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: healed
		30s open a: 7 is above 5
		32s step two: healed
		1m32s close`)
	require.Len(t, w.e.watches["a"].keys[""].heals, 2)
}

func TestItComesBackWhileMeasuresArePutBack(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: secs(10), Playbook: remediate.Ladder(undoable(risky("one")), undoable(risky("two")), safe("three"))})
	s[0].sicken("", 9, 5)
	w.heals("two", s[0])
	w.heals("three", s[0])
	w.undo = func(*Decision, *watched) answer { return answer{took: secs(5)} }
	w.at(secs(16), func() { s[0].sicken("", 7, 5) })
	w.until(5 * time.Minute)
	// two was put back, one stays in force while the incident goes on.
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		4s step two: healed
		19s undo two
		19s open a: 7 is above 5
		21s step three: healed
		36s undo one
		36s close`)
}

// What cleared by itself, before people were told, and comes back after its
// ladder is over, is told then.
func TestItComesBackAfterItsLadderIsOver(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(undoable(risky("one")))})
	s[0].sicken("", 9, 5)
	w.undo = func(*Decision, *watched) answer { s[0].mend(""); return answer{took: secs(5)} }
	w.at(secs(30), func() { s[0].sicken("", 7, 5) })
	w.at(secs(60), func() { s[0].mend("") })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		7s undo one
		30s page exhausted
		2m0s resolve
		2m0s close`)
}

func TestRetries(t *testing.T) {
	fix := risky("fix")
	fix.Retry = remediate.Backoff{Tries: 3, Initial: 10 * time.Second, Multiplier: 1}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	var tries []int
	w.does("fix", func(d *Decision) answer {
		if tries = append(tries, d.Try); d.Try == 3 {
			s[0].mend("")
		}
		return answer{result: []Result{Fail, OK, OK}[d.Try-1]}
	})
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		24s step fix: healed
		24s close`)
	require.Equal(t, []int{1, 2, 3}, tries)
	require.Len(t, w.e.budget, 1, "retries are free")
}

// A halt stops a retry too, and what was in the queue is not replayed.
func TestAHaltStopsRetries(t *testing.T) {
	fix := risky("fix")
	fix.Retry = remediate.Backoff{Tries: 3, Initial: 10 * time.Second}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix, safe("next"))})
	s[0].sicken("", 9, 5)
	w.does("fix", func(*Decision) answer { return answer{result: Fail} })
	w.heals("next", s[0])
	w.at(secs(5), func() { w.say(Input{Kind: InHalt, By: "ann", Note: "look"}) })
	w.at(secs(60), func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.until(2 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		10s step fix: failed
		10s hold next: halt
		10s page halted
		1m2s step next: healed
		1m2s resolve
		1m2s close`)
	require.Equal(t, 1, w.runs["fix"])
}

func TestShadow(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Mode: Shadow, Playbook: remediate.Ladder(safe("one"), risky("two"))})
	s[0].sicken("", 9, 5)
	w.at(secs(20), func() { s[0].mend("") })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s page exhausted
		0s would step one
		2s would step two
		20s resolve
		20s close`)
	require.Empty(t, w.runs)
	require.Empty(t, w.e.budget)
}

func TestADisabledStepIsPassed(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Disabled: map[string]bool{"one": true}, Playbook: remediate.Ladder(safe("one"), risky("two"))})
	s[0].sicken("", 9, 5)
	w.heals("two", s[0])
	w.until(10 * time.Second)
	w.want(t, `
		0s open a: 9 is above 5
		0s step one: skipped
		2s step two: healed
		2s close`)
}

// The life of an incident is told with everything that was tried.
func TestWhatPeopleAreTold(t *testing.T) {
	w, s := staged(Options{Epoch: time.Unix(1_000_000, 0)}, Watch{Name: "a", Runbook: "https://run/book", Playbook: remediate.Ladder(safe("one"))})
	s[0].sicken("", 9, 5)
	var told []*Notice
	w.onTell = func(n *Notice) { told = append(told, n) }
	w.at(secs(20), func() { s[0].mend("") })
	w.until(time.Minute)
	require.Len(t, told, 2)
	in := told[0].Incident
	require.Equal(t, escalate.Exhausted, in.Reason)
	require.Equal(t, "https://run/book", in.Runbook)
	require.Len(t, in.Attempts, 1)
	require.Equal(t, remediate.NoEffect, in.Attempts[0].Outcome)
	require.Equal(t, time.Unix(1_000_000, 0), in.Opened)
	require.Equal(t, escalate.Resolve, told[1].Kind)
	require.Equal(t, escalate.Closed, told[1].Incident.State)
	require.Equal(t, time.Unix(1_000_020, 0), told[1].Incident.Closed)
	require.Equal(t, told[0].DedupKey, told[1].DedupKey)
}
