package selfheal_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// values are the samples of a collection: "name{label=value}" to number. Of a
// histogram there are _count and _sum.
func values(t testing.TB, s *selfheal.Supervisor) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(s.Collector()))
	families, err := r.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "selfheal_")
			for _, l := range m.GetLabel() {
				name += "{" + l.GetName() + "=" + l.GetValue() + "}"
			}
			switch {
			case m.GetHistogram() != nil:
				all[name+"_count"] = float64(m.GetHistogram().GetSampleCount())
				all[name+"_sum"] = m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				all[name] = m.GetCounter().GetValue()
			default:
				all[name] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := healing(t, selfheal.Options{}).Supervisor()
		problems, err := testutil.CollectAndLint(s.Collector())
		require.NoError(t, err)
		require.Empty(t, problems)
		got := values(t, s)
		for name, want := range map[string]float64{
			"running":                        1,
			"attempts_total{outcome=failed}": 1, "attempts_total{outcome=healed}": 1, "attempts_total{outcome=worse}": 0,
			"held_total{rail=scope}": 1, "held_total{rail=halt}": 0, "incidents_held{rail=scope}": 1,
			"incidents{watch=held}": 1, "incidents{watch=heals}": 0, "incidents{watch=off}": 0,
			"incidents_opened_total": 2, "incidents_closed_total": 1, "incidents_healed_total": 1,
			"pages_total{reason=scope}": 1, "pages_total{reason=blind}": 1, "pages_total{reason=exhausted}": 0,
			"watches{state=blind}": 1, "watches{state=healthy}": 3, "watches{state=sick}": 1, "watches{state=off}": 1,
			"watches{state=invalid}": 0, "watches{state=removing}": 0, "watches{state=unknown}": 0,
			"watch_blind{watch=blind}": 1, "watch_blind{watch=heals}": 0,
			"watch_blind_seconds_total{watch=blind}": 300, "watch_blind_seconds_total{watch=heals}": 0,
			"heal_seconds_count": 1, "detect_seconds_count": 2,
			"loop_lag_seconds": 0, "notifications_owed": 0, "dead_man_failing": 0, "journal_degraded": 0,
		} {
			require.Contains(t, got, name)
			require.Equal(t, want, got[name], name)
		}
		require.Greater(t, got["checks_total"], 100.0)
	})
}

// The time to detect counts the confirmation and the interval before it; the time
// to heal ends with the proof, not with the close.
func TestTimeToDetectAndToHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5), For: 2 * time.Minute, KeepFor: 10 * time.Minute,
			Playbook: remediate.Ladder(remediate.Step{Name: "drain", Lasting: true, Settle: 30 * time.Second, Run: do(func() { depth.Set(1) })}),
		})
		time.Sleep(time.Minute)
		depth.Set(9) // found half a second later
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got := values(t, trial.Supervisor())
		require.Equal(t, 1+120.0, got["detect_seconds_sum"])
		require.Zero(t, got["heal_seconds_count"], "it may come back before it closes")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		got = values(t, trial.Supervisor())
		require.Equal(t, 120+30.0, got["heal_seconds_sum"])
		require.Equal(t, 1.0, got["heal_seconds_count"])
	})
}

func TestAFixThatDoesNotHoldIsARelapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Playbook{
				Steps:  []remediate.Step{{Name: "drain", Risk: remediate.Safe, Run: do(func() { depth.Set(1) })}},
				Limits: remediate.Limits{Cooldown: -1},
			},
		})
		relapses := func() float64 {
			synctest.Wait()
			return values(t, trial.Supervisor())["relapses_total"]
		}
		time.Sleep(10 * time.Minute)
		require.Zero(t, relapses())
		depth.Set(9)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 1.0, relapses(), "the same key within a day")
		depth.Set(9)
		time.Sleep(30 * time.Second)
		depth.Set(9)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 3.0, relapses(), "and before it closed")
		depth.Set(1)
		time.Sleep(25 * time.Hour)
		depth.Set(9)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 4.0, values(t, trial.Supervisor())["incidents_opened_total"])
		require.Equal(t, 3.0, relapses(), "a day later it is another sickness")
	})
}

func TestTimeThatHealingWasOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := selfhealtest.Start(t,
			selfheal.Watch{Name: "real", Detector: selfhealtest.Script()},
			selfheal.Watch{Name: "shadow", Mode: selfheal.Shadow, Detector: selfhealtest.Script()},
		)
		s := trial.Supervisor()
		off := func(why string) float64 {
			synctest.Wait()
			return values(t, s)["off_seconds_total{why="+why+"}"]
		}
		silence := func(d time.Duration) string {
			id, err := s.Silence(selfheal.Silence{Watch: "real", By: "ada", Reason: "test", Until: time.Now().Add(d)})
			require.NoError(t, err)
			return id
		}
		require.NoError(t, s.Halt("ada", "deploy"))
		time.Sleep(10 * time.Minute)
		require.Equal(t, 600.0, off("halt"), "also while it lasts")
		require.NoError(t, s.Resume("ada"))
		silence(5 * time.Minute)
		second := silence(30 * time.Minute) // overlaps; 20 min in all
		time.Sleep(20 * time.Minute)
		require.NoError(t, s.Unsilence(second, "ada"))
		time.Sleep(10 * time.Minute)
		silence(time.Minute) // expires unseen
		time.Sleep(10 * time.Minute)
		require.Equal(t, 600.0, off("halt"))
		require.Equal(t, 1260.0, off("silence"))
		require.Equal(t, 3000.0, off("shadow"))
		require.NoError(t, s.Remove("shadow"))
		time.Sleep(time.Hour)
		require.Equal(t, 3000.0, off("shadow"), "nothing is in shadow any longer")
		require.Zero(t, off("storm"))
		trial.Stop()
		time.Sleep(time.Hour)
		require.Equal(t, 0.0, values(t, s)["running"])
	})
}

func TestBlindTimeEndsWithTheBlindness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		trial := selfhealtest.Start(t, selfheal.Watch{Name: "queue", Detector: detect.Above(depth.Read, 5)})
		time.Sleep(time.Minute)
		for range 3 {
			depth.Fail(errors.New("no route"))
			time.Sleep(time.Minute)
			depth.Set(1)
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		require.Equal(t, 180.0, values(t, trial.Supervisor())["watch_blind_seconds_total{watch=queue}"])
		require.NoError(t, trial.Supervisor().Remove("queue"))
		synctest.Wait()
		require.NotContains(t, values(t, trial.Supervisor()), "watch_blind_seconds_total{watch=queue}")
	})
}

func TestAnOpenBreakerIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "queue", Detector: detect.Above(depth.Read, 5), Playbook: remediate.Playbook{
				Steps:  []remediate.Step{{Name: "vain", Risk: remediate.Safe, Run: do(func() {})}},
				Limits: remediate.Limits{Breaker: remediate.Breaker{Failures: 1, OpenFor: time.Hour}},
			},
		})
		open := func() float64 {
			synctest.Wait()
			return values(t, trial.Supervisor())["watch_breaker_open{watch=queue}"]
		}
		require.Zero(t, open())
		depth.Set(9)
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1.0, open())
	})
}

func TestWhatIsOwedToPeopleHasAnAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		pager.Fail(errors.New("connection refused"))
		s := selfhealtest.Start(t, sickly("disks", count(1), detect.Warning, escalate.To(pager))).Supervisor()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		got := values(t, s)
		require.Equal(t, 1.0, got["notifications_owed"])
		require.InDelta(t, 180, got["notifications_owed_age_seconds"], 2)
		require.Equal(t, 1.0, got["notifiers_down"])
	})
}

func TestCollectingIsPossibleBeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
		s.Watch(selfheal.Watch{Name: "queue", Detector: selfhealtest.Script()})
		got := values(t, s)
		require.Zero(t, got["running"])
		require.Equal(t, 1.0, got["watches{state=unknown}"])
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, s.Run(ctx))
		require.Zero(t, values(t, s)["loop_lag_seconds"])
	})
}

func TestHostileNamesAndTooManyOfThem(t *testing.T) {
	s := selfheal.New(selfheal.Options{})
	add := func(name string) { s.Watch(selfheal.Watch{Name: name, Detector: selfhealtest.Script()}) }
	for _, name := range []string{"\xff", "\xfe", `"\xff"`, "a\nb", `x"} 1`, "\u202eevil", "�", "(more)"} {
		add(name)
	}
	got := values(t, s)
	require.Contains(t, got, "incidents{watch="+strconv.QuoteToASCII("\xfe")+"}")
	for n := range 10_000 {
		add(fmt.Sprintf("watch-%05d", n))
	}
	got = values(t, s)
	n := 0
	for name := range got {
		if strings.HasPrefix(name, "incidents{") {
			n++
		}
	}
	require.Equal(t, 10_001, n)
	require.Contains(t, got, "incidents{watch=(more)}")
	require.Equal(t, 10_008.0, got["watches{state=unknown}"])
}

// A word that is added must be a series from the first collection.
func TestEveryWordIsThereFromTheStart(t *testing.T) {
	got := values(t, selfheal.New(selfheal.Options{}))
	for _, w := range []struct{ file, kind, series string }{
		{"remediate/words.go", "Rail", "held_total{rail=%s}"},
		{"escalate/incident.go", "Reason", "pages_total{reason=%s}"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), w.file, nil, 0)
		require.NoError(t, err)
		found := 0
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != w.kind {
				return true
			}
			word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.Contains(t, got, fmt.Sprintf(w.series, word))
			found++
			return true
		})
		require.Greater(t, found, 15, w.file)
	}
	for o := remediate.Healed; o <= remediate.InForce; o++ {
		require.Contains(t, got, "attempts_total{outcome="+o.String()+"}")
	}
}
