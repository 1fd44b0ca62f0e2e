package incident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func sharing(s remediate.Step) remediate.Step {
	s = undoable(s)
	s.Measure = "shed"
	return s
}

// A shared measure is taken once, held by all, and undone when the last lets go,
// under the identity of who took it and with its memo.
func TestASharedMeasure(t *testing.T) {
	one := remediate.Playbook{Steps: []remediate.Step{sharing(risky("shed-a"))}}
	two := remediate.Playbook{Steps: []remediate.Step{sharing(risky("shed-b"))}}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: one}, Watch{Name: "b", KeepFor: time.Minute, Playbook: two}, Watch{Name: "z"}, Watch{Name: "y"}, Watch{Name: "x"})
	s[0].sicken("", 9, 5)
	w.does("shed-a", func(d *Decision) answer {
		in := Input{Kind: InSaved, Watch: "a", Incident: d.Incident, Attempt: d.Attempt, Memo: []byte("a")}
		w.after(0, func() { w.put(in) })
		return answer{took: 5 * time.Second}
	})
	w.at(secs(1), func() { s[1].sicken("", 7, 5) })
	w.at(secs(6), func() { s[0].mend(""); s[1].mend("") })
	var undone Decision
	w.undo = func(d *Decision, _ *watched) answer { undone = *d; return answer{} }
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		1s open b: 7 is above 5
		7s step a shed-a: healed
		7s close a
		7s step b shed-b: healed
		1m7s undo b shed-b
		1m7s close b`)
	require.Equal(t, map[string]int{"shed-a": 1}, w.runs)
	require.Equal(t, "1", undone.Incident)
	require.Equal(t, "2", undone.AnswerTo)
	require.Equal(t, []byte("a"), undone.Memo)
	require.Empty(t, w.e.measures)
}

// What did not help here, but was in force before, is let go.
func TestInForce(t *testing.T) {
	w, s := staged(Options{MaxConcurrent: -1}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(sharing(risky("shed-a")))}, Watch{Name: "b", Playbook: remediate.Ladder(sharing(risky("shed-b")), safe("more"))},
		Watch{Name: "z"}, Watch{Name: "y"}, Watch{Name: "x"})
	s[0].sicken("", 9, 5)
	w.does("shed-a", func(*Decision) answer { s[0].mend(""); return answer{} })
	w.heals("more", s[1])
	w.at(secs(10), func() { s[1].sicken("", 7, 5) })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step a shed-a: healed
		10s open b: 7 is above 5
		12s step b shed-b: in force
		14s step b more: healed
		14s close b
		1m2s undo a shed-a
		1m2s close a`)
}

func TestAnUndoThatFails(t *testing.T) {
	fix := undoable(risky("fix"))
	fix.Retry = remediate.Backoff{Tries: 2, Initial: 10 * time.Second}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	tries := 0
	w.undo = func(*Decision, *watched) answer { tries++; return answer{result: Fail} }
	w.at(10*time.Minute, func() { w.say(Input{Kind: InAck, Incident: "1", By: "ann"}) })
	w.until(20 * time.Minute)
	// It stays owed, and visible, until a person has taken it.
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: healed
		12s undo fix: failed
		12s page undo failed
		10m0s resolve
		10m0s close`)
	require.Equal(t, 2, tries)
}

// An ack from before the undo failed does not cover it.
func TestAnEarlierAckDoesNotCoverAFailedUndo(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(risky("fix")))})
	s[0].sicken("", 9, 5)
	w.undo = func(*Decision, *watched) answer { return answer{result: Fail} }
	w.at(secs(1), func() { w.say(Input{Kind: InAck, Incident: "1", By: "ann", Until: time.Hour}) })
	w.at(secs(20), func() { s[0].mend("") })
	w.until(10 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: no effect
		2s undo fix: failed
		2s page undo failed
		2s page exhausted`)
	o, _ := w.e.Overview("a")
	require.Equal(t, escalate.Undoing, o.Incidents[0].Incident.State)
	require.Equal(t, 1, w.e.Whole().OwedUndos)
	w.say(Input{Kind: InAck, Incident: "1", By: "ann", Until: time.Hour})
	w.until(11 * time.Minute)
	require.Zero(t, w.e.Whole().OwedUndos)
	require.Empty(t, w.e.byID)
}

// A halt keeps a measure in force: shown and paged, and put back on resume.
func TestAnUndoUnderHalt(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(risky("fix")))})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	w.at(secs(1), func() { w.say(Input{Kind: InHalt, By: "ann", Note: "look"}) })
	w.at(time.Hour, func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.until(2 * time.Hour)
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: healed
		2s page undo owed
		1h0m0s undo fix
		1h0m0s resolve
		1h0m0s close`)
}

// A step that made it worse is undone at once; where a halt keeps it in force,
// people are told without delay, and it is undone on resume although the
// sickness goes on.
func TestWorseUnderHalt(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(risky("fix")))})
	s[0].sicken("", 9, 5)
	w.does("fix", func(*Decision) answer { s[0].severe("", 1); return answer{} })
	w.at(secs(1), func() { w.say(Input{Kind: InHalt, By: "ann", Note: "look"}) })
	w.at(time.Minute, func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.until(2 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: worse
		2s page worse
		2s page undo owed
		1m0s undo fix`)
}

// An undo waits for a Run that ignored its context, which keeps its key and its
// exclusive name until it ends; owed for 15 minutes it is escalated.
func TestAnUndoWaitsForAnAbandonedRun(t *testing.T) {
	limits := remediate.Limits{Exclusive: "x"}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{undoable(risky("fix"))}, Limits: limits}},
		Watch{Name: "b", Playbook: remediate.Playbook{Steps: []remediate.Step{safe("other")}, Limits: limits}})
	s[0].sicken("", 9, 5)
	w.does("fix", func(*Decision) answer { return answer{took: 30 * time.Second, abandoned: true, late: 20 * time.Minute} })
	w.at(secs(31), func() { s[0].mend(""); s[1].sicken("", 1, 0) })
	w.heals("other", s[1])
	w.until(time.Hour)
	w.want(t, `
		0s open a: 9 is above 5
		30s step a fix: failed
		30s page a exhausted
		31s open b: 1 is above 0
		31s hold b other: exclusive
		15m30s page a undo owed
		15m31s page b held too long
		20m30s undo a fix
		20m30s resolve a
		20m30s close a
		20m32s step b other: healed
		20m32s resolve b
		20m32s close b`)
}

// An undo that ignores its context is told, and keeps its key.
func TestAnAbandonedUndo(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{undoable(risky("one")), undoable(risky("two"))}, Limits: remediate.Limits{Cooldown: -1}}})
	s[0].sicken("", 9, 5)
	w.heals("two", s[0])
	w.undo = func(d *Decision, _ *watched) answer {
		if d.Step == 1 {
			return answer{took: 30 * time.Second, abandoned: true, late: time.Minute}
		}
		return answer{}
	}
	w.at(10*time.Minute, func() { w.say(Input{Kind: InAck, Incident: "1", By: "ann"}) })
	w.until(time.Hour)
	// The other waits until it has ended: it still runs for this key.
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		4s step two: healed
		34s undo two: failed
		34s page undo failed
		1m34s undo one
		10m0s resolve
		10m0s close`)
}

func TestASkippedStepOwesNothing(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(undoable(risky("one")), safe("two"))})
	s[0].sicken("", 9, 5)
	w.does("one", func(*Decision) answer { return answer{result: Skip} })
	w.heals("two", s[0])
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s step one: skipped
		2s step two: healed
		2s close`)
}

// A watch that is removed has its measures put back first, and people who were
// told are told; what runs is let end.
func TestRemoval(t *testing.T) {
	for name, c := range map[string]struct {
		at   At
		want string
	}{
		"acting": {secs(2), `
			0s open a: 9 is above 5
			5s step one: unverified
			5s undo one
			5s close`},
		"settling": {secs(6), `
			0s open a: 9 is above 5
			6s step one: unverified
			6s undo one
			6s close`},
		"watching": {secs(30), `
			0s open a: 9 is above 5
			15s step one: no effect
			15s undo one
			15s page exhausted
			30s resolve
			30s close`},
	} {
		t.Run(name, func(t *testing.T) {
			one := undoable(risky("one"))
			one.Settle = 10 * time.Second
			w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(one)})
			s[0].sicken("", 9, 5)
			w.does("one", func(*Decision) answer { return answer{took: 5 * time.Second} })
			w.at(c.at, func() {
				s[0].leaving = true
				w.say(Input{Kind: InRemove, Watch: "a"})
			})
			w.until(time.Minute)
			w.want(t, c.want)
			require.Empty(t, w.e.watches)
			require.Empty(t, w.watches, "the shell was told")
		})
	}
}

// A stop starts nothing new and puts back what is owed; what is not closed
// stays as it is.
func TestStop(t *testing.T) {
	one := undoable(risky("one"))
	one.Retry = remediate.Backoff{Tries: 3}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(one)}, Watch{Name: "b", Playbook: remediate.Ladder(risky("x"))})
	s[0].sicken("", 9, 5)
	w.does("one", func(*Decision) answer { return answer{took: 5 * time.Second, result: Fail} })
	w.undo = func(*Decision, *watched) answer { return answer{took: time.Second} }
	w.at(secs(1), func() { s[1].sicken("", 9, 5) })
	w.at(secs(2), func() { w.say(Input{Kind: InStop}) })
	w.until(secs(3))
	require.False(t, w.e.Idle())
	w.until(time.Minute)
	require.True(t, w.e.Idle())
	w.want(t, `
		0s open a: 9 is above 5
		1s open b: 9 is above 5
		1s hold b x: concurrency
		5s step a one: failed
		6s undo a one`)
	require.Equal(t, map[string]int{"one": 1}, w.runs)
}
