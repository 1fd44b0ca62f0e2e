package incident

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

// Icinga's own vector: O, then C C C W C W O O O O W W W W O O O W W W C gives
// 39.1 % exactly.
func TestFlapShareAsIcinga(t *testing.T) {
	const states = "OCCCWCWOOOOWWWWOOOWWWC"
	var changed [flapChanges]bool
	for n := range changed {
		last := len(states) - flapChanges + n
		changed[n] = states[last] != states[last-1]
	}
	require.InDelta(t, 39.1, flapShare(&changed), 1e-12)
	require.Zero(t, flapShare(&[flapChanges]bool{}))
	for n := range changed {
		changed[n] = true
	}
	require.InDelta(t, 99, flapShare(&changed), 1e-9)
}

func TestChangesOfAKey(t *testing.T) {
	m := &memory{}
	for _, at := range []float64{0, 71, 80, 90, 91, 99.5} {
		m.flip(secs(at))
	}
	var want [flapChanges]bool
	for _, n := range []int{19, 18, 17, 15, 14} {
		want[n] = true
	}
	require.Equal(t, want, m.changes(secs(100), secs(5)))
}

// What opens and closes again and again is one incident, held open until it has
// been calm for long.
func TestFlapping(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", KeepFor: time.Minute, Playbook: remediate.Playbook{
		Steps: []remediate.Step{safe("fix")}, Limits: remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: -1}, Heals: remediate.Heals{N: -1}},
	}})
	w.heals("fix", s[0])
	s[0].sicken("", 9, 5)
	for n := range 3 {
		w.at(At(n+1)*2*time.Minute, func() { s[0].sicken("", 9, 5) })
	}
	w.at(8*time.Minute, func() { s[0].mend("") })
	w.until(time.Hour)
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: healed
		1m2s close
		2m0s open a: 9 is above 5
		2m2s step fix: healed
		3m2s close
		4m0s open a: 9 is above 5
		4m2s step fix: healed
		5m2s hold : flapping
		6m0s open a: 9 is above 5
		6m0s page exhausted
		9m0s resolve
		9m0s close`)
}

func TestFlipsAreBounded(t *testing.T) {
	m := &memory{}
	for n := range 10_000 {
		m.flip(At(n))
	}
	require.LessOrEqual(t, len(m.flips), 2*flapChanges)
}

func TestMemoriesAreBounded(t *testing.T) {
	e := New(Options{})
	e.add(&Watch{Name: "a", Playbook: remediate.Ladder(safe("fix"))})
	w := e.watches["a"]
	kept := w.remember("kept", 0)
	kept.cooldown = never
	kept.heals = []At{0}
	for n := range At(3 * maxMemories) {
		w.remember(n.String(), n)
	}
	require.LessOrEqual(t, len(w.keys), maxMemories)
	require.Same(t, kept, w.keys["kept"], "a limit rests on it")
}

func TestHealsAreBounded(t *testing.T) {
	m := &memory{}
	for n := range At(1000) {
		m.heal(n, remediate.Heals{N: 5, Within: time.Hour})
	}
	require.Len(t, m.heals, 5)
	m = &memory{}
	m.heal(1, remediate.Heals{N: -1})
	require.Empty(t, m.heals)
}
