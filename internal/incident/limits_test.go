package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

func TestConcurrency(t *testing.T) {
	var cfgs []Watch
	for _, n := range []string{"a", "b", "c"} {
		cfgs = append(cfgs, Watch{Name: n, Playbook: remediate.Ladder(risky("fix-" + n))})
	}
	// Enough healthy watches beside them that three are no storm.
	for n := range 5 {
		cfgs = append(cfgs, Watch{Name: fmt.Sprint("z", n)})
	}
	w, s := staged(Options{}, cfgs...)
	for n := range 3 {
		s[n].sicken("", 9, 5)
		w.heals("fix-"+s[n].cfg.Name, s[n])
	}
	s[2].severe("", detect.Critical)
	w.until(secs(20))
	// Critical first, then the oldest, then by name; each on a fresh look.
	w.want(t, `
		0s open a: 9 is above 5
		0s hold a fix-a: concurrency
		0s open b: 9 is above 5
		0s hold b fix-b: concurrency
		0s open c: 9 is above 5
		2s step c fix-c: healed
		2s close c
		4s step a fix-a: healed
		4s close a
		6s step b fix-b: healed
		6s close b`)
}

// A permit that is kept for one whose fresh look finds nothing goes to the next
// at once; and where that look hangs, after two seconds.
func TestAKeptPermitIsNotLost(t *testing.T) {
	for name, c := range map[string]struct {
		look At
		want string
	}{"finds nothing": {0, "4s step b fix-b: healed"}, "hangs": {time.Hour, "6s step b fix-b: healed"}} {
		t.Run(name, func(t *testing.T) {
			cfgs := []Watch{{Name: "a", Playbook: remediate.Ladder(risky("fix-a"))}, {Name: "b", Playbook: remediate.Ladder(risky("fix-b"))}, {Name: "c", Playbook: remediate.Ladder(risky("fix-c"))}}
			for n := range 5 {
				cfgs = append(cfgs, Watch{Name: fmt.Sprint("z", n)})
			}
			for n := range cfgs {
				cfgs[n].Every = time.Hour
				for k := range cfgs[n].Playbook.Steps {
					cfgs[n].Playbook.Steps[k].Settle = 2 * time.Second
				}
			}
			w, s := staged(Options{}, cfgs...)
			for n := range 3 {
				s[n].sicken("", 9, 5)
				w.heals("fix-"+s[n].cfg.Name, s[n])
			}
			s[2].severe("", detect.Critical)
			w.look = func(x *watched) (At, []detect.Finding, error) {
				if x == s[0] && w.now > 0 {
					s[0].mend("")
					return c.look, nil, nil
				}
				return 0, x.findings(), nil
			}
			w.until(secs(20))
			require.Empty(t, w.failed, w.monitor.detail)
			require.Contains(t, w.timeline(), c.want)
		})
	}
}

func TestBudget(t *testing.T) {
	limits := remediate.Limits{Cooldown: -1, Heals: remediate.Heals{N: -1}}
	w, s := staged(Options{Budget: 2, BudgetWindow: 10 * time.Minute}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{risky("fix")}, Limits: limits}})
	w.heals("fix", s[0])
	s[0].sicken("", 9, 5)
	for n := range 2 {
		w.at(At(n+1)*time.Minute, func() { s[0].sicken("", 9, 5) })
	}
	w.until(20 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		2s step fix: healed
		2s close
		1m0s open a: 9 is above 5
		1m2s step fix: healed
		1m2s close
		2m0s open a: 9 is above 5
		2m0s hold fix: budget
		10m2s step fix: healed
		10m2s close`)
}

func TestCooldown(t *testing.T) {
	w, s := staged(Options{}, Watch{Name: "a", Disabled: map[string]bool{"vetoed": true}, Playbook: remediate.Ladder(safe("vetoed"), safe("fix"))})
	w.heals("fix", s[0])
	s[0].sicken("", 9, 5)
	w.at(secs(10), func() { s[0].sicken("", 9, 5) })
	w.until(10 * time.Minute)
	w.want(t, `
		0s open a: 9 is above 5
		0s step vetoed: skipped
		2s step fix: healed
		2s close
		10s open a: 9 is above 5
		10s step vetoed: skipped
		10s hold fix: cooldown
		5m4s step fix: healed
		5m4s close`)
}

// The breaker opens after three failed ladders, lets one through when half
// open, doubles, and closes with the first that heals.
func TestBreaker(t *testing.T) {
	limits := remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: 2, Within: time.Hour, OpenFor: 10 * time.Minute}}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{safe("fix")}, Limits: limits}})
	b := &w.e.watches
	for n := range 2 {
		w.at(At(n)*time.Minute, func() { s[0].sicken(fmt.Sprint("k", n), 9, 5) })
	}
	w.until(2 * time.Minute)
	require.Equal(t, time.Minute+secs(2)+10*time.Minute, (*b)["a"].breaker.until)
	w.at(3*time.Minute, func() {
		s[0].mend("k0")
		s[0].mend("k1")
		s[0].sicken("k2", 9, 5)
		s[0].sicken("k3", 9, 5)
	})
	w.until(11*time.Minute + secs(1))
	require.Equal(t, 2, w.runs["fix"], "it is open")
	w.until(12 * time.Minute)
	require.Equal(t, 3, w.runs["fix"], "half open lets one through")
	require.Equal(t, 11*time.Minute+secs(4)+20*time.Minute, (*b)["a"].breaker.until, "and opens for twice as long")
	w.heals("fix", s[0])
	w.at(13*time.Minute, func() { s[0].mend("k2") })
	w.until(32 * time.Minute)
	require.Zero(t, (*b)["a"].breaker.until, "one that heals closes it")
	require.Empty(t, w.failed, w.monitor.detail)
	require.Contains(t, w.timeline(), "3m0s page a[k2] breaker open\n")
}

func TestBreakerCap(t *testing.T) {
	e := New(Options{})
	e.add(&Watch{Name: "a"})
	b := &e.watches["a"].breaker
	i := &inc{w: e.watches["a"]}
	var waits []At
	for n := range 9 {
		e.now = At(n) * 100 * time.Hour
		e.openBreaker(i)
		waits = append(waits, b.until-e.now)
	}
	require.Equal(t, []At{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour, 24 * time.Hour}, waits)
}

// A trial whose steps were all skipped decides nothing: the next has its turn.
func TestATrialIsGivenBack(t *testing.T) {
	limits := remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: 1, OpenFor: time.Minute}}
	w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{safe("fix")}, Limits: limits}})
	w.does("fix", func(d *Decision) answer {
		switch d.Key {
		case "k1":
			return answer{result: Skip}
		case "k2":
			s[0].mend("k2")
		}
		return answer{}
	})
	s[0].sicken("k0", 9, 5)
	w.at(secs(10), func() { s[0].sicken("k1", 9, 5); s[0].sicken("k2", 9, 5) })
	w.until(2 * time.Minute)
	require.Empty(t, w.failed, w.monitor.detail)
	require.Contains(t, w.timeline(), "1m2s step a[k1] fix: skipped\n")
	require.Contains(t, w.timeline(), "1m4s step a[k2] fix: healed\n")
	require.False(t, w.e.watches["a"].breaker.half)
}

// A fix that only hides a bug: steps above Safe stop and a person gets the
// evidence; Safe steps go on, and people are told once a day.
func TestMasking(t *testing.T) {
	for name, c := range map[string]struct {
		step remediate.Step
		want string
	}{
		"above safe": {risky("fix"), `
			10m0s open a: 9 is above 5
			10m0s hold fix: masking
			10m0s page masking`},
		"safe": {safe("fix"), `
			10m0s open a: 9 is above 5
			10m0s page masking
			10m2s step fix: healed
			10m2s resolve
			10m2s close
			15m0s open a: 9 is above 5
			15m2s step fix: healed
			15m2s close`},
	} {
		t.Run(name, func(t *testing.T) {
			limits := remediate.Limits{Cooldown: -1, Heals: remediate.Heals{N: 2, Within: time.Hour}}
			w, s := staged(Options{}, Watch{Name: "a", Playbook: remediate.Playbook{Steps: []remediate.Step{c.step}, Limits: limits}})
			w.heals("fix", s[0])
			for n := range 4 {
				w.at(At(n)*5*time.Minute, func() { s[0].sicken("", 9, 5) })
			}
			w.until(16 * time.Minute)
			require.Empty(t, w.failed, w.monitor.detail)
			lines := linesOf(w.timeline())
			require.Equal(t, linesOf(c.want), lines[6:])
		})
	}
}
