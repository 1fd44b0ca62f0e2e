package incident

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// lives are lives of one process, one after the other: what each wrote down is
// all that the next has.
type lives struct {
	t     *testing.T
	saved *Saved
	up    time.Duration // of the machine
	boot  string
	began time.Duration // when the life under way began
	w     *world
	o     Options
}

func newLives(t *testing.T, o Options) *lives {
	return &lives{t: t, saved: NewSaved(), boot: "boot-1", o: o}
}

// begin starts a life with these watches.
func (l *lives) begin(ws ...Watch) (*world, []*watched) {
	l.o.Durable = true
	l.o.IDs = l.o.IDs + "i"
	l.began = l.up
	w, s := staged(l.o)
	l.w = w
	w.wrote = func(rs []Record) {
		for _, r := range rs {
			l.saved.Apply(overWire(l.t, r), Moment{Boot: l.boot, Up: l.began + w.now})
		}
	}
	w.reborn = len(l.saved.keys)+len(l.saved.silences) > 0
	w.carryOut(w.e.Restore(l.saved, Moment{Boot: l.boot, Up: l.up}))
	for n := range ws {
		s = append(s, w.add(stage(ws[n])))
	}
	return w, s
}

// overWire is r as it comes back from a journal.
func overWire(t *testing.T, r Record) Record {
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var back Record
	require.NoError(t, json.Unmarshal(b, &back))
	return back
}

// die ends the life as kill -9 does; the machine goes on for so long.
func (l *lives) die(dead time.Duration) {
	l.up = l.began + l.w.now + dead
}

func (l *lives) reboot() {
	l.boot += "'"
	l.up = 5 * time.Second
}

// hosts reaches the host: what it changed outlives the process.
func hosts(s remediate.Step) remediate.Step {
	s.Scope = remediate.Host
	return s
}

// An attempt that was under way when the process died is spent; one fresh look
// says what came of it.
func TestASpentAttemptIsVerifiedByOneFreshLook(t *testing.T) {
	ladder := remediate.Ladder(hosts(undoable(risky("first"))), risky("second"))
	for name, c := range map[string]struct {
		after func(s *watched)
		want  string
	}{
		"it helped": {func(s *watched) {}, `
			0s step first: healed
			1m0s undo first
			1m0s close`},
		"it did not": {func(s *watched) { s.sicken("", 9, 5) }, `
			0s step first: no effect
			2s step second: healed
			1m2s undo first
			1m2s close`},
		"nobody can tell": {func(s *watched) { s.blind = errFailedToSee }, `
			0s blind: no route
			1m0s page blind
			1m0s step first: unverified
			1m0s page unverified`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLives(t, Options{})
			watch := Watch{Name: "a", KeepFor: time.Minute, Playbook: ladder}
			w, s := l.begin(watch)
			s[0].sicken("", 9, 5)
			w.does("first", func(*Decision) answer { return answer{took: time.Hour} })
			w.until(secs(10))
			require.Equal(t, 1, w.runs["first"])
			l.die(secs(3))

			w, s = l.begin(watch)
			c.after(s[0])
			w.heals("second", s[0])
			w.until(5 * time.Minute)
			w.want(t, c.want)
			require.Zero(t, w.runs["first"], "never the same one")
		})
	}
}

// What a step changed in its own process went with it; what it changed on the
// host is put back.
func TestOwedUndosOfAnEarlierLife(t *testing.T) {
	for scope, undos := range map[remediate.Scope]int{remediate.Self: 0, remediate.Host: 1} {
		l := newLives(t, Options{})
		step := undoable(risky("shed"))
		step.Scope = scope
		watch := Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(step)}
		w, s := l.begin(watch)
		s[0].sicken("", 9, 5)
		w.does("shed", func(d *Decision) answer {
			in := Input{Kind: InSaved, Watch: "a", Incident: d.Incident, Attempt: d.Attempt, Memo: []byte("memo")}
			w.after(0, func() { w.put(in) })
			s[0].mend("")
			return answer{}
		})
		w.until(30 * time.Second)
		l.die(0)
		w, _ = l.begin(watch)
		n := 0
		w.undo = func(d *Decision, _ *watched) answer {
			n++
			require.Equal(t, []byte("memo"), d.Memo)
			require.Equal(t, "i1", d.Incident, "under the identity that it was taken with")
			return answer{}
		}
		w.until(5 * time.Minute)
		require.Equal(t, undos, n, "scope %v", scope)
		require.Empty(t, w.e.byID)
	}
}

// The waits of rails go on where the machine's clock can tell how long the
// process was dead, and begin anew where it cannot.
func TestWaitsGoOn(t *testing.T) {
	for _, reboot := range []bool{false, true} {
		l := newLives(t, Options{})
		watch := Watch{Name: "a", KeepFor: time.Second, Playbook: remediate.Playbook{
			Steps: []remediate.Step{risky("fix")}, Limits: remediate.Limits{Cooldown: 10 * time.Minute},
		}}
		w, s := l.begin(watch)
		s[0].sicken("", 9, 5)
		w.heals("fix", s[0])
		w.until(time.Minute)
		require.Empty(t, w.e.byID)
		l.die(3 * time.Minute)
		want := "6m5s step fix: healed" // closed at 3 s, dead from 1m0s to 4m0s, 2 s to settle
		if reboot {
			l.reboot()
			want = "10m2s step fix: healed" // what was left when it was written down
		}
		w, s = l.begin(watch)
		s[0].sicken("", 9, 5)
		w.heals("fix", s[0])
		w.until(time.Hour)
		require.Contains(t, w.timeline(), want, "reboot %v", reboot)
	}
}

// A limit is not reset by the crash that it should have stopped.
func TestLimitsHoldAcrossLives(t *testing.T) {
	watch := Watch{Name: "a", KeepFor: time.Second, Playbook: remediate.Playbook{
		Steps:  []remediate.Step{risky("restart")},
		Limits: remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: 3, Within: time.Hour, OpenFor: 30 * time.Minute}},
	}}
	l := newLives(t, Options{})
	runs := 0
	for range 20 { // each life runs the step, which kills the process
		w, s := l.begin(watch)
		s[0].sicken("", 9, 5)
		w.does("restart", func(*Decision) answer { runs++; return answer{took: time.Hour} })
		w.until(secs(5))
		l.die(secs(1))
	}
	require.Equal(t, 1, runs, "the incident has had its climb")

	t.Run("budget", func(t *testing.T) {
		l := newLives(t, Options{Budget: 4})
		runs := 0
		watch.Playbook.Limits.Breaker.Failures = -1
		watch.Playbook.Limits.Heals.N = -1
		for range 10 {
			w, s := l.begin(watch)
			w.heals("restart", s[0])
			fix := w.run
			w.run = func(d *Decision, s *watched) answer { runs++; return fix(d, s) }
			s[0].sicken("", 9, 5)
			w.until(secs(20))
			w.wrote([]Record{w.e.Ended()}) // or safe mode would stop it
			l.die(secs(1))
		}
		require.Equal(t, 4, runs)
	})
}

func TestPeoplesWordHoldsAcrossLives(t *testing.T) {
	l := newLives(t, Options{})
	watch := Watch{Name: "a", Playbook: remediate.Ladder(risky("fix"))}
	other := Watch{Name: "b", Playbook: remediate.Ladder(risky("mend"))}
	w, _ := l.begin(watch, other)
	w.at(secs(1), func() { w.silence("s1", "b", "", secs(3600)); w.say(Input{Kind: InHalt, By: "eve", Note: "deploy"}) })
	w.until(secs(10))
	l.die(secs(50))
	w, s := l.begin(watch, other)
	s[0].sicken("", 9, 5)
	s[1].sicken("", 9, 5)
	w.until(10 * time.Minute)
	require.Empty(t, w.runs)
	require.Contains(t, w.timeline(), "0s hold a fix: halt")
	require.Equal(t, "eve", w.e.Whole().Halted.By)
	w.say(Input{Kind: InResume, By: "eve"})
	w.until(30 * time.Minute)
	require.Equal(t, map[string]int{"fix": 1}, w.runs, "b is silenced")
	l.die(0)
	w, s = l.begin(watch, other)
	s[1].sicken("", 9, 5)
	w.until(time.Hour)
	require.Nil(t, w.e.Whole().Halted, "what was resumed stays so")
	require.Equal(t, 1, w.runs["mend"], "once the silence is over")
}

// What an earlier life owes and nobody can do any more is a person's.
func TestUndoOwedCodeGone(t *testing.T) {
	l := newLives(t, Options{})
	watch := Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(hosts(undoable(risky("shed"))))}
	w, s := l.begin(watch)
	s[0].sicken("", 9, 5)
	w.heals("shed", s[0])
	w.until(30 * time.Second)
	l.die(0)
	w, _ = l.begin(Watch{Name: "b"})
	var told []*Notice
	w.onTell = func(n *Notice) { told = append(told, n) }
	w.until(2 * time.Minute)
	w.want(t, `1m0s page undo owed`)
	require.Len(t, told, 1)
	require.Contains(t, told[0].Incident.Detail, "undo of step shed (attempt 1 of incident i1) is owed and its code is gone")
	require.True(t, told[0].Fallback)
	l.die(0)
	w, _ = l.begin(Watch{Name: "b"})
	w.until(2 * time.Minute)
	w.want(t, ``)
}

// Those who were told are told, also when nobody watches any longer.
func TestThoseWhoWereToldOfAWatchThatIsGone(t *testing.T) {
	l := newLives(t, Options{})
	w, s := l.begin(Watch{Name: "a"})
	s[0].sicken("", 9, 5)
	w.until(30 * time.Second)
	l.die(0)
	w, _ = l.begin()
	var told []*Notice
	w.onTell = func(n *Notice) { told = append(told, n) }
	w.until(2 * time.Minute)
	require.Len(t, told, 1)
	require.Equal(t, escalate.Resolve, told[0].Kind)
	require.Equal(t, "i1", told[0].DedupKey)
}

// An incident goes on where it was: nobody is called a second time for the same.
func TestAnIncidentGoesOn(t *testing.T) {
	l := newLives(t, Options{})
	watch := Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Ladder(risky("fix"))}
	w, s := l.begin(watch)
	s[0].sicken("", 9, 5)
	w.until(time.Minute)
	require.Contains(t, w.timeline(), "page exhausted")
	l.die(secs(5))
	w, s = l.begin(watch)
	s[0].sicken("", 9, 5)
	w.at(secs(60), func() { s[0].mend("") })
	w.until(time.Hour)
	w.want(t, `
		2m0s resolve
		2m0s close`)
	require.Equal(t, "i1", w.e.watches["a"].keys[""].last)
}

// A process that crashes again and again observes and calls people until a life
// has lasted; deploys in quick succession are no crashes.
func TestSafeModeAfterCrashes(t *testing.T) {
	watch := Watch{Name: "a", Playbook: remediate.Ladder(risky("fix"))}
	for name, c := range map[string]struct {
		clean bool
		lasts time.Duration
		dead  time.Duration
		safe  bool
	}{
		"crashes":                    {false, time.Minute, time.Second, true},
		"deploys":                    {true, time.Minute, time.Second, false},
		"crashes of lives that last": {false, 11 * time.Minute, time.Second, false},
		"crashes far apart":          {false, time.Minute, 40 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLives(t, Options{})
			for range 3 {
				w, _ := l.begin(watch)
				require.False(t, w.e.Whole().SafeMode)
				w.until(c.lasts)
				if c.clean {
					w.wrote([]Record{w.e.Ended()})
				}
				l.die(c.dead)
			}
			w, s := l.begin(watch)
			require.Equal(t, c.safe, w.e.Whole().SafeMode)
			if !c.safe {
				return
			}
			s[0].sicken("", 9, 5)
			w.until(9 * time.Minute)
			require.Empty(t, w.runs)
			require.Contains(t, w.timeline(), "0s page selfheal[safe mode] safe mode")
			require.Contains(t, w.timeline(), "hold a fix: safe mode")
			w.until(11 * time.Minute)
			require.Contains(t, w.timeline(), "10m0s resolve selfheal[safe mode]")
			require.Equal(t, 1, w.runs["fix"])
			l.die(0)
			w, _ = l.begin(watch)
			require.False(t, w.e.Whole().SafeMode, "that life lasted")
		})
	}
}

// While the journal takes no records, what must not be forgotten is not done, and
// people know; the rest goes on.
func TestADegradedJournal(t *testing.T) {
	destroy := risky("destroy")
	destroy.Risk = remediate.Destructive
	w, s := staged(Options{MaxRisk: remediate.Destructive, MaxConcurrent: -1},
		Watch{Name: "a", Playbook: remediate.Ladder(destroy)}, Watch{Name: "b", Playbook: remediate.Ladder(risky("fix"))}, Watch{Name: "c"}, Watch{Name: "d"}, Watch{Name: "e"})
	w.say(Input{Kind: InDegraded, On: true, Note: "no space left on device"})
	s[0].sicken("", 9, 5)
	s[1].sicken("", 9, 5)
	w.heals("fix", s[1])
	w.heals("destroy", s[0])
	w.at(time.Minute, func() { w.say(Input{Kind: InDegraded}) })
	w.until(2 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold a destroy: journal
		0s page a journal
		0s open b: 9 is above 5
		0s page selfheal[journal] journal
		2s step b fix: healed
		2s close b
		1m0s resolve selfheal[journal]
		1m2s step a destroy: healed
		1m2s resolve a
		1m2s close a`)
}
