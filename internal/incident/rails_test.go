package incident

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

func TestBlindHoldsAndIsTold(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("one"), risky("two"))})
	s[0].sicken("", 9, 5)
	w.at(secs(2), func() { s[0].mend(""); s[0].blind = errFailedToSee })
	w.at(secs(90), func() { s[0].blind = nil })
	w.until(3 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s blind: no route
		1m2s page blind
		1m2s step one: unverified
		1m2s page unverified
		1m30s resolve
		1m30s close
		1m30s resolve`)
	require.Zero(t, w.runs["two"])
}

func TestAHeldBlindIncidentGoesOnWithTheLookThatSees(t *testing.T) {
	fix := risky("fix")
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{fix}, Limits: remediate.Limits{Exclusive: "x"}}},
		Watch{Name: "b", Playbook: remediate.Playbook{Steps: []remediate.Step{safe("other")}, Limits: remediate.Limits{Exclusive: "x"}}})
	w.does("other", func(*Decision) answer { return answer{took: 4 * time.Second} })
	s[1].sicken("", 1, 0)
	w.at(secs(1), func() { s[0].sicken("", 9, 5) })
	w.at(secs(5), func() { s[0].blind = errFailedToSee; s[0].mend("") })
	w.at(secs(8), func() { s[1].mend("") })
	w.at(secs(20), func() { s[0].blind = nil; s[0].sicken("", 9, 5) })
	w.heals("fix", s[0])
	w.until(secs(30))
	w.want(t, `
		0s open b: 1 is above 0
		1s open a: 9 is above 5
		1s hold a fix: exclusive
		5s blind: a no route
		5s hold a fix: blind
		6s step b other: no effect
		6s page b exhausted
		8s resolve b
		8s close b
		22s step a fix: healed
		22s close a`)
}

func TestCauseFirst(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "db", Playbook: remediate.Ladder(risky("fail-over"))}, Watch{Name: "api", After: []string{"db"}, Playbook: remediate.Ladder(safe("restart"))})
	s[1].sicken("", 9, 5)
	s[0].sicken("", 7, 5)
	w.heals("restart", s[1])
	var symptoms []string
	w.onTell = func(n *Notice) { symptoms = n.Incident.Symptoms }
	w.at(secs(60), func() { s[0].mend("") })
	w.until(secs(10))
	require.Equal(t, []string{"api"}, symptoms)
	w.until(2 * time.Minute)
	w.want(t, `
		0s open api: 9 is above 5
		0s hold api restart: cause first
		0s open db: 7 is above 5
		2s step db fail-over: no effect
		2s page db exhausted
		1m0s resolve db
		1m0s close db
		1m2s step api restart: healed
		1m2s close api`)
}

func TestACauseInShadowOrSilencedHoldsNobody(t *testing.T) {
	for name, mode := range map[string]Mode{"shadow": Shadow, "silenced": Auto} {
		t.Run(name, func(t *testing.T) {
			w, s := staged(Options{}, Watch{Name: "db", Mode: mode, Playbook: remediate.Ladder(safe("x"))}, Watch{Name: "api", After: []string{"db"}, Playbook: remediate.Ladder(safe("restart"))})
			if mode == Auto {
				w.silence("s", "db", "", time.Hour)
			}
			s[1].sicken("", 9, 5)
			s[0].sicken("", 7, 5)
			w.until(secs(3))
			require.Equal(t, 1, w.runs["restart"])
		})
	}
}

// A symptom that no notice has named is told after an hour all the same.
func TestASymptomThatNobodyNamedIsTold(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "db"}, Watch{Name: "api", After: []string{"db"}}, Watch{Name: "web", After: []string{"db"}})
	s[0].sicken("", 7, 5)
	s[1].sicken("", 9, 5)
	w.at(secs(10), func() { s[2].sicken("", 9, 5) })
	w.until(2 * time.Hour)
	w.want(t, `
		0s open api: 9 is above 5
		0s hold api : cause first
		0s open db: 7 is above 5
		0s page db exhausted
		10s open web: 9 is above 5
		10s hold web : cause first
		1h0m10s page web nobody told`)
}

func TestScope(t *testing.T) {
	peer := risky("move")
	peer.Scope = remediate.Peer
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(peer)})
	s[0].sicken("", 9, 5)
	w.until(time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold move: scope
		0s page scope`)
	w, s = staged(Options{Fleet: true}, Watch{Name: "a", Playbook: remediate.Ladder(peer)})
	s[0].sicken("", 9, 5)
	w.until(time.Minute)
	require.Equal(t, 1, w.runs["move"])
}

func TestGate(t *testing.T) {
	w, s := staged(Options{Gate: true}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	asked := 0
	w.gate = func(*Decision) (At, error) {
		if asked++; asked < 4 {
			return 0, errors.New("not in the lunch hour")
		}
		return 0, nil
	}
	w.until(secs(30))
	// It is asked again with each look, and the hold is said once.
	w.want(t, `
		0s open a: 9 is above 5
		0s hold fix: gate
		5s step fix: healed
		5s close`)
}

func TestTilt(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	w.at(secs(1), func() { w.say(Input{Kind: InTilt, Note: "late"}); s[0].sicken("", 9, 5) })
	w.at(secs(11), func() { w.say(Input{Kind: InTilt, Note: "late"}) })
	w.heals("fix", s[0])
	w.until(time.Minute)
	w.want(t, `
		1s open a: 9 is above 5
		1s hold fix: tilt
		43s step fix: healed
		43s close`)
}

// Nothing is judged on readings that were taken while starved.
func TestATiltJudgesNothing(t *testing.T) {
	fix := safe("fix")
	fix.Settle = 10 * time.Second
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: 10 * time.Second, Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	w.at(secs(5), func() { w.say(Input{Kind: InTilt, Note: "late"}) })
	w.until(2 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		35s step fix: healed
		45s close`)
}

func TestSafeMode(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	w.say(Input{Kind: InSafeMode, On: true})
	s[0].sicken("", 9, 5)
	w.heals("fix", s[0])
	w.at(10*time.Minute, func() { w.say(Input{Kind: InSafeMode}) })
	w.until(11 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold a fix: safe mode
		0s page a safe mode
		0s page selfheal[safe mode] safe mode
		10m0s resolve selfheal[safe mode]
		10m2s step a fix: healed
		10m2s resolve a
		10m2s close a`)
}

func TestHeldTooLong(t *testing.T) {
	w, s := staged(Options{Gate: true}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	w.gate = func(*Decision) (At, error) { return 0, errors.New("no") }
	s[0].sicken("", 9, 5)
	w.until(time.Hour + time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s hold fix: gate
		15m0s page held too long`)
}

func TestNobodyTold(t *testing.T) {
	fix := safe("fix")
	fix.Settle = 2 * time.Hour
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Ladder(fix)})
	s[0].sicken("", 9, 5)
	w.until(90 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		1h0m0s page nobody told`)
}

func TestCardinality(t *testing.T) {
	w, s := staged(Options{MaxKeys: 3}, Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	for n := range 5 {
		s[0].sicken(fmt.Sprint("k", n), 9, 5)
	}
	s[0].severe("k4", detect.Critical)
	var folded detect.Finding
	w.onTell = func(n *Notice) {
		if n.Incident.Finding.Key == foldedKey {
			folded = n.Incident.Finding
		}
	}
	w.does("fix", func(*Decision) answer { return answer{took: time.Hour} })
	w.at(secs(10), func() { s[0].mend("k3"); s[0].mend("k4") })
	w.until(secs(20))
	w.want(t, `
		0s open a[(more)]: and 2 more
		0s page a[(more)] too many keys
		0s open a[k0]: 9 is above 5
		0s open a[k1]: 9 is above 5
		0s open a[k2]: 9 is above 5
		10s resolve a[(more)]
		10s close a[(more)]`)
	require.Equal(t, detect.Critical, folded.Severity)
	require.Equal(t, 3, w.runs["fix"])
}

// Two findings of one key count as one, with the worse severity; the order of
// findings decides nothing.
func TestFindingsOfOneLook(t *testing.T) {
	e := New(Options{})
	e.Step(0, Input{Kind: InAdd, Add: &Watch{Name: "a", Every: time.Second, Mode: Propose, Pages: true, Playbook: remediate.Ladder(risky("fix"))}})
	fs := []detect.Finding{{Key: "y", Summary: "1"}, {Key: "x"}, {Key: "y", Summary: "2", Severity: detect.Critical}}
	e.Step(1, Input{Kind: InLook, Watch: "a", Started: 1, Findings: fs})
	e.Arbitrate(1)
	w := e.watches["a"]
	require.Len(t, w.live, 2)
	require.Equal(t, "1", w.live[1].finding.Summary)
	require.Equal(t, detect.Critical, w.live[1].finding.Severity)
	require.Equal(t, "y", fs[0].Key, "the findings of the detector are left as they are")
	p := w.live[1].proposal
	require.NotNil(t, p)
	e.Step(2, Input{Kind: InLook, Watch: "a", Started: 2, Findings: fs})
	require.Same(t, p, w.live[1].proposal, "nothing has turned")
}
