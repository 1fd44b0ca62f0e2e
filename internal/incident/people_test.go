package incident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

func destructive(o Options) (*world, *watched) {
	big := risky("wipe")
	big.Risk = remediate.Destructive
	w, s := staged(o, Watch{Name: "a", Playbook: remediate.Ladder(big)})
	s[0].sicken("", 9, 5)
	w.heals("wipe", s[0])
	return w, s[0]
}

func TestApprove(t *testing.T) {
	w, _ := destructive(Options{})
	w.at(secs(60), func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "ann"}) })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		1m2s step wipe: healed
		1m2s resolve
		1m2s close`)
	require.Equal(t, []error{nil}, w.replies)
}

func TestReject(t *testing.T) {
	w, _ := destructive(Options{})
	w.at(secs(60), func() { w.say(Input{Kind: InReject, ID: "1-1", By: "ann"}) })
	w.at(secs(70), func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "bob"}) })
	w.until(5 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		1m0s page rejected`)
	require.NoError(t, w.replies[0])
	require.ErrorIs(t, w.replies[1], ErrNoSuch)
}

// No answer is a no, at the minute; an answer at that moment comes too late.
func TestNoAnswerIsANo(t *testing.T) {
	w, _ := destructive(Options{})
	w.at(askFor, func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "ann"}) })
	w.until(time.Hour)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		15m0s page no answer`)
	require.ErrorIs(t, w.replies[0], ErrNoSuch)
	require.Empty(t, w.runs)
}

// An approval is bound to the finding: when that turns, it is asked anew, and
// the answer to the first question is none.
func TestAnApprovalIsBoundToTheFinding(t *testing.T) {
	w, s := destructive(Options{})
	w.at(secs(30), func() { s.severe("", detect.Critical) })
	w.at(secs(60), func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "ann"}) })
	w.at(secs(90), func() { w.say(Input{Kind: InApprove, ID: "1-2", By: "ann"}) })
	w.until(2 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		30s ask wipe
		1m32s step wipe: healed
		1m32s resolve
		1m32s close`)
	require.ErrorIs(t, w.replies[0], ErrNoSuch)
}

// So it is where the finding turns while the gate is asked.
func TestAnApprovalLapsesWhileTheGateIsAsked(t *testing.T) {
	w, s := destructive(Options{Gate: true})
	w.gate = func(*Decision) (At, error) { return 5 * time.Second, nil }
	w.at(secs(30), func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "ann"}) })
	w.at(secs(32), func() { s.severe("", detect.Critical) })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		35s ask wipe`)
	require.Empty(t, w.runs)
}

// An approval holds for 15 minutes: held for longer, a person is asked again.
func TestAnApprovalExpires(t *testing.T) {
	w, _ := destructive(Options{})
	w.at(secs(10), func() { w.say(Input{Kind: InHalt, By: "ann", Note: "look"}) })
	w.at(secs(20), func() { w.say(Input{Kind: InApprove, ID: "1-1", By: "ann"}) })
	w.at(time.Hour, func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.until(time.Hour + time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s ask wipe
		20s hold wipe: halt
		20s page halted
		1h0m0s ask wipe`)
}

func TestPropose(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Mode: Propose, Playbook: remediate.Ladder(safe("one"), risky("two"))})
	s[0].sicken("", 9, 5)
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step one: no effect
		2s ask two`)
	o, _ := w.e.Overview("a")
	p := o.Incidents[0].Proposal
	require.Equal(t, remediate.RailMode, p.Rail)
	require.Equal(t, remediate.RailMode, o.Incidents[0].Rail)
	// The plan is the one that the user wrote, not one with defaults filled in.
	require.Contains(t, p.Fingerprint, s[0].cfg.Playbook.Fingerprint())
}

func TestHalt(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	w.say(Input{Kind: InHalt, By: "ann", Note: "release"})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	w.at(secs(30), func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.at(secs(40), func() { w.say(Input{Kind: InResume, By: "ann"}) })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold fix: halt
		0s page halted
		32s step fix: healed
		32s resolve
		32s close`)
	require.ErrorIs(t, w.replies[2], ErrNoSuch)
}

// A silence stops acting and telling, never observing; what is still so when it
// ends is told then.
func TestSilence(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))}, Watch{Name: "b"}, Watch{Name: "c"})
	w.silence("s1", "*", "", 10*time.Minute)
	for _, x := range s {
		x.sicken("", 9, 5)
	}
	w.heals("fix", s[0])
	w.at(time.Minute, func() { s[2].mend("") })
	w.until(11 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold a fix: silence
		0s open b: 9 is above 5
		0s open c: 9 is above 5
		1m0s close c
		10m0s page b exhausted
		10m2s step a fix: healed
		10m2s close a`)
}

func TestUnsilence(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a"})
	w.silence("s1", "a", "", time.Hour)
	w.silence("s2", "a", "", 2*time.Hour)
	s[0].sicken("", 9, 5)
	w.at(secs(10), func() { w.say(Input{Kind: InUnsilence, ID: "s1"}) })
	w.at(secs(20), func() { w.say(Input{Kind: InUnsilence, ID: "s2"}) })
	w.at(secs(30), func() { w.say(Input{Kind: InUnsilence, ID: "s2"}) })
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		20s page exhausted`)
	require.ErrorIs(t, w.replies[4], ErrNoSuch)
}

func TestASilenceByLabels(t *testing.T) {
	s := Silence{Watch: "a", Labels: map[string]string{"team": "blue"}}
	require.True(t, s.matches("a", "k", map[string]string{"team": "blue", "zone": "1"}))
	require.False(t, s.matches("a", "k", map[string]string{"team": "red"}))
	require.False(t, s.matches("a", "k", nil))
}

// Silences that are over are forgotten.
func TestSilencesAreBounded(t *testing.T) {
	w := newWorld(Options{})
	for n := range 1000 {
		w.at(At(n)*time.Minute, func() { w.silence("s", "a", "", w.now+time.Second) })
	}
	w.until(1000 * time.Minute)
	require.LessOrEqual(t, len(w.e.silences), 2)
}

func TestAckCountsAsKnown(t *testing.T) {
	fix := safe("fix")
	fix.Settle = 3 * time.Hour
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	w.at(time.Minute, func() { w.say(Input{Kind: InAck, Incident: "1", By: "ann", Until: time.Hour}) })
	w.at(2*time.Minute, func() { w.say(Input{Kind: InAck, Incident: "7", By: "ann", Until: time.Hour}) })
	w.until(2 * time.Hour)
	w.want(t, `0s open a: 9 is above 5`)
	require.NoError(t, w.replies[0])
	require.ErrorIs(t, w.replies[1], ErrNoSuch)
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "x", true}, {"*", "", true}, {"*", "abc", true}, {"a", "a", true}, {"a", "b", false}, {"a", "", false},
		{"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abc", true}, {"a*d", "abc", false}, {"*b*", "abc", true},
		{"?", "a", true}, {"?", "", false}, {"?", "ab", false}, {"?", "é", true}, {"a?c", "aéc", true}, {"*??", "€", false}, {"*??", "€x", true},
		{"a*b*c", "a--b--c", true}, {"a*b*c", "a--c--b", false}, {"**", "x", true}, {"orders/*", "orders/queue", true}, {"orders/*", "order", false},
		{"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}, {"[a]", "a", false}, {"[a]", "[a]", true}, {"\\*", "*", false},
	} {
		require.Equal(t, c.want, glob(c.pattern, c.s), "%q on %q", c.pattern, c.s)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		glob(pattern, s) // ends, and does not panic
		require.True(t, glob("*", s))
		if pattern != "" {
			require.True(t, glob("*"+s, s) || len(s) > 0 && glob("*"+s, s) == glob(s, s))
		}
	})
}
