package selfheal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// The rails, each as a person would see it.

func TestALadderThatDoesNotHelpPagesWithWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "one", Run: do(func() {}), Risk: remediate.Safe},
				remediate.Step{Name: "two", Run: func(context.Context, remediate.Request) error { return errors.New("boom") }, Lasting: true},
				remediate.Step{Name: "three", Run: func(context.Context, remediate.Request) error { panic("ouch") }, Undo: do(func() {})},
			),
		})
		time.Sleep(10 * time.Minute)
		depth.Set(1)
		time.Sleep(10 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			2s step one: no effect
			2s step two: failed
			2s step three: failed
			2s undo three
			2s page exhausted
			11m0s resolve
			11m0s close`)
		require.Len(t, trial.Pager().Pages(), 1)
		require.Len(t, trial.Pager().Resolved(), 1)
		text := trial.Pager().Pages()[0].Incident.Text()
		for _, want := range []string{"one: no effect", "two: failed: boom", "three: failed", "ouch", "undone", "every rung was climbed"} {
			require.Contains(t, text, want)
		}
	})
}

func TestCooldownLiesBetweenIncidentsOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Lasting: true, Run: do(func() { depth.Set(1) })}),
		})
		time.Sleep(2 * time.Minute)
		depth.Set(9)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			2s step q fix: healed
			1m2s close q
			2m0s open q: 9 is above 5
			2m0s hold q fix: cooldown
			6m4s step q fix: healed
			7m4s close q`)
	})
}

// A finding that comes back before the close re-opens the same incident, at the
// rung after the one that did not hold.
func TestAFixThatDoesNotHoldIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		fix := do(func() { depth.Set(1) })
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "first", Undo: do(func() {}), Run: fix},
				remediate.Step{Name: "second", Undo: do(func() {}), Run: fix},
			),
		})
		time.Sleep(30 * time.Second)
		depth.Set(9)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			2s step first: healed
			30s open q: 9 is above 5
			32s step second: healed
			1m32s undo second
			1m32s undo first
			1m32s close`)
	})
}

func TestAFixThatOnlyHidesABugStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		runs := 0
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Lasting: true, Run: do(func() { runs++; depth.Set(1) })}),
		})
		for range 8 {
			depth.Set(9)
			time.Sleep(10 * time.Minute)
		}
		require.Equal(t, 5, runs)
		require.True(t, strings.HasSuffix(trial.Timeline(), "50m0s open q: 9 is above 5\n50m0s hold q fix: masking\n50m0s page q masking"), trial.Timeline())
	})
}

func TestAStormStopsEverythingAndPagesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		runs := 0
		var ws []selfheal.Watch
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			ws = append(ws, selfheal.Watch{
				Name: n, Detector: detect.Above(depth.Read, 5),
				Playbook: remediate.Ladder(remediate.Step{Name: "restart", Run: do(func() { runs++ }), Lasting: true}),
			})
		}
		trial := selfhealtest.Start(t, ws...)
		time.Sleep(time.Minute)
		depth.Set(9)
		time.Sleep(time.Minute)
		require.Zero(t, runs)
		require.Len(t, trial.Pager().Pages(), 1)
		page := trial.Pager().Pages()[0].Incident
		require.Equal(t, escalate.Storm, page.Reason)
		require.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g", "h"}, page.Symptoms)
		require.True(t, trial.Supervisor().Status().Storm)
		require.Equal(t, remediate.RailStorm, trial.Supervisor().Status().Watches[0].Incidents[0].HeldBy)

		depth.Set(1)
		time.Sleep(10 * time.Minute)
		require.Zero(t, runs)
		require.False(t, trial.Supervisor().Status().Storm)
		require.Len(t, trial.Pager().Resolved(), 1)
		require.True(t, strings.HasSuffix(trial.Timeline(), "3m0s close h\n6m0s resolve selfheal[storm]"), trial.Timeline())
	})
}

func TestShadowTellsAndWritesWhatItWouldDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		never := do(func() { t.Error("a shadow acted") })
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Mode: selfheal.Shadow, Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "first", Lasting: true, Run: never},
				remediate.Step{Name: "second", Lasting: true, Run: never},
			),
		})
		time.Sleep(5 * time.Minute)
		depth.Set(1)
		time.Sleep(5 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			0s page exhausted
			0s would step first
			2s would step second
			6m0s resolve
			6m0s close`)
	})
}

func TestAProposalNeedsAYesAndSilenceIsANo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Mode: selfheal.Propose, Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "first", Lasting: true, Run: do(func() {})},
				remediate.Step{Name: "second", Lasting: true, Run: do(func() { t.Error("nobody said yes") })},
			),
		})
		s := trial.Supervisor()
		time.Sleep(5 * time.Minute)
		asked := s.Status().Proposals
		require.Len(t, asked, 1)
		require.Equal(t, "first", asked[0].Step)
		require.Equal(t, remediate.Disruptive, asked[0].Risk)
		require.Equal(t, escalate.Ask, trial.Pager().Pages()[0].Kind)
		require.Equal(t, asked[0].ID, trial.Pager().Pages()[0].Incident.Proposal)
		require.NoError(t, s.Approve(asked[0].ID, "ann"))
		require.ErrorIs(t, s.Approve(asked[0].ID, "ann"), selfheal.ErrNoSuch, "an approval is for one plan, once")
		time.Sleep(20 * time.Minute)
		require.ErrorIs(t, s.Approve(asked[0].ID, "ann"), selfheal.ErrNoSuch)
		depth.Set(1)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			0s ask first
			5m2s step first: no effect
			5m2s ask second
			20m2s page no answer
			26m0s resolve
			26m0s close`)
	})
}

func TestRiskAboveTheLimitIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "purge", Risk: remediate.Destructive, Lasting: true, Run: do(func() { t.Error("it was rejected") })}),
		})
		s := trial.Supervisor()
		time.Sleep(time.Minute)
		require.Equal(t, remediate.RailRisk, s.Status().Watches[0].Incidents[0].HeldBy)
		require.NoError(t, s.Reject(s.Status().Proposals[0].ID, "ann"))
		time.Sleep(time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			0s ask purge
			1m0s page rejected`)
	})
}

// A halt stops undos too, and says that they are owed.
func TestAHaltStopsEverythingUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth, other := selfhealtest.NewGauge(9), selfhealtest.NewGauge(1)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "shed", Undo: do(func() {}), Run: do(func() { depth.Set(1) })}),
		}, selfheal.Watch{
			Name: "r", Detector: detect.Above(other.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { other.Set(1) })}),
		})
		s := trial.Supervisor()
		time.Sleep(30 * time.Second)
		require.Error(t, s.Halt("", "why"))
		require.NoError(t, s.Halt("ann", "a deploy"))
		other.Set(9)
		time.Sleep(20 * time.Minute)
		require.Equal(t, "ann", s.Status().Halted.By)
		require.Equal(t, 1, s.Status().OwedUndos)
		require.NoError(t, s.Resume("ann"))
		require.ErrorIs(t, s.Resume("ann"), selfheal.ErrNoSuch)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			2s step q shed: healed
			30s open r: 9 is above 5
			30s hold r fix: halt
			30s page r halted
			1m2s page q undo owed
			20m30s undo q shed
			20m30s resolve q
			20m30s close q
			20m32s step r fix: healed
			21m32s resolve r
			21m32s close r`)
	})
}

// A silence stops acting and telling, never observing; what is still wrong when
// it ends is told then.
func TestASilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5), For: time.Minute,
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() {})}),
		}, selfheal.Watch{Name: "x", Detector: detect.Above(depth.Read, 5), For: time.Minute})
		s := trial.Supervisor()
		time.Sleep(30 * time.Second)
		_, err := s.Silence(selfheal.Silence{By: "ann", Reason: "all", Until: time.Now().Add(time.Hour)})
		require.ErrorContains(t, err, "match everything")
		_, err = s.Silence(selfheal.Silence{Watch: "*", By: "ann", Reason: "late", Until: time.Now()})
		require.ErrorContains(t, err, "not in the future")
		_, err = s.Silence(selfheal.Silence{Watch: "*", By: "ann", Reason: "planned work", Until: time.Now().Add(10 * time.Minute)})
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		require.Equal(t, "sick", s.Status().Watches[0].State)
		require.Len(t, s.Status().Silences, 1)
		time.Sleep(15 * time.Minute)
		trial.Want(`
			1m0s open q: 9 is above 5
			1m0s hold q fix: silence
			1m0s open x: 9 is above 5
			10m30s page x exhausted
			10m32s step q fix: no effect
			10m32s undo q fix
			10m32s page q exhausted`)
	})
}

// A symptom waits for its cause, and is named in its cause's notice.
func TestCauseFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "db", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() {})}),
		}, selfheal.Watch{
			Name: "api", After: []string{"db"}, Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "restart", Lasting: true, Run: do(func() { t.Error("the symptom was treated") })}),
		})
		time.Sleep(20 * time.Minute)
		depth.Set(1)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open api: 9 is above 5
			0s hold api restart: cause first
			0s open db: 9 is above 5
			2s step db fix: no effect
			2s undo db fix
			2s page db exhausted
			21m0s close api
			21m0s resolve db
			21m0s close db`)
		require.Equal(t, []string{"api"}, trial.Pager().Pages()[0].Incident.Symptoms)
	})
}

func TestAGateHoldsAndPeopleHearOfItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth, open := selfhealtest.NewGauge(9), selfhealtest.NewGauge(0)
		trial := selfhealtest.StartWith(t, selfheal.Options{Gate: func(ctx context.Context, p selfheal.Proposal) error {
			if n, _ := open.Read(ctx); n == 1 {
				return nil
			}
			return errors.New("deploying")
		}}, selfheal.Watch{
			Name: "db", Detector: detect.Above(depth.Read, 5),
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { depth.Set(1) })}),
		})
		time.Sleep(20 * time.Minute)
		require.Equal(t, "deploying", trial.Supervisor().Status().Watches[0].Incidents[0].Why)
		open.Set(1)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open db: 9 is above 5
			0s hold fix: gate
			15m0s page held too long
			20m2s step fix: healed
			21m2s undo fix
			21m2s resolve
			21m2s close`)
	})
}

func TestOneStepAboveSafeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		var ws []selfheal.Watch
		for _, n := range []string{"a", "b"} {
			ws = append(ws, selfheal.Watch{Name: n, Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(
				remediate.Step{Name: "fix", Lasting: true, Settle: time.Minute, Run: do(func() {})},
			)})
		}
		for _, n := range []string{"c", "d"} { // else two sick ones were half of all
			ws = append(ws, selfheal.Watch{Name: n, Detector: selfhealtest.Script()})
		}
		trial := selfhealtest.Start(t, ws...)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			0s open a: 9 is above 5
			0s open b: 9 is above 5
			0s hold b fix: concurrency
			1m0s step a fix: no effect
			1m0s page a exhausted
			2m0s step b fix: no effect
			2m0s page b exhausted`)
	})
}

func TestABlipIsNeverActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5), For: time.Minute,
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { t.Error("it acted") })}),
		})
		time.Sleep(10 * time.Second)
		depth.Set(9)
		time.Sleep(30 * time.Second)
		depth.Set(1)
		time.Sleep(time.Minute)
		trial.Want(`40s blip`)
	})
}

func TestABlindDetectorNeverActsAndIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5), For: time.Minute,
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { t.Error("it acted") })}),
		})
		time.Sleep(30 * time.Second)
		depth.Fail(errors.New("connection refused"))
		time.Sleep(10 * time.Minute)
		require.Equal(t, "blind", trial.Supervisor().Status().Watches[0].State)
		depth.Set(1)
		time.Sleep(time.Minute)
		trial.Want(`
			30s blind: connection refused
			1m30s page blind
			10m30s blip
			10m30s resolve`)
	})
}

// Levels, repeats, informed targets, an acknowledgement.
func TestLevelsRepeatsAndAnAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, told := &selfhealtest.Pager{}, &selfhealtest.Pager{}, &selfhealtest.Pager{}
		depth := selfhealtest.NewGauge(9)
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Escalate: escalate.Policy{
				Levels: []escalate.Level{{To: []escalate.Notifier{first}}, {After: 10 * time.Minute, To: []escalate.Notifier{second}}},
				Repeat: 15 * time.Minute, Inform: []escalate.Notifier{told},
			},
		})
		time.Sleep(20 * time.Minute)
		id := trial.Supervisor().Status().Watches[0].Incidents[0].ID
		require.NoError(t, trial.Supervisor().Ack(id, "ann", time.Time{}))
		time.Sleep(3 * time.Hour)
		depth.Set(1)
		time.Sleep(2 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			0s inform
			0s page exhausted
			0s inform
			10m0s page exhausted
			15m0s page exhausted
			3h21m0s resolve
			3h21m0s inform
			3h21m0s close`)
		require.Len(t, first.Pages(), 2)
		require.Len(t, second.Pages(), 1)
		require.Len(t, first.Resolved(), 1)
		require.Len(t, second.Resolved(), 1)
		require.Len(t, told.Resolved(), 1)
		require.NotEmpty(t, told.Pages())
	})
}

// A measure that several incidents share is taken once, held by all of them, and
// undone when the last lets go.
func TestASharedMeasureIsTakenOnceAndUndoneByTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := selfhealtest.NewGauge(9), selfhealtest.NewGauge(9)
		var taken, undone int
		shed := remediate.Step{
			Name: "shed", Measure: "shed-orders", Risk: remediate.Safe, Settle: 10 * time.Second,
			Run: func(_ context.Context, r remediate.Request) error { taken++; return r.Save([]byte("was 100 %")) },
			Undo: func(_ context.Context, r remediate.Request) error {
				undone++
				require.Equal(t, "was 100 %", string(r.Memo))
				return nil
			},
		}
		trial := selfhealtest.Start(t,
			selfheal.Watch{Name: "a", Detector: detect.Above(a.Read, 5), Playbook: remediate.Ladder(shed)},
			selfheal.Watch{Name: "b", Detector: detect.Above(b.Read, 5), Playbook: remediate.Ladder(shed)},
			selfheal.Watch{Name: "c", Detector: selfhealtest.Script()},
		)
		time.Sleep(5 * time.Second)
		a.Set(1)
		b.Set(1)
		time.Sleep(30 * time.Second)
		b.Set(9)
		time.Sleep(30 * time.Second)
		b.Set(1)
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1, taken)
		require.Equal(t, 1, undone)
		trial.Want(`
			0s open a: 9 is above 5
			0s open b: 9 is above 5
			10s step a shed: healed
			10s step b shed: healed
			35s open b: 9 is above 5
			35s page b exhausted
			1m10s close a
			2m5s undo b shed
			2m5s resolve b
			2m5s close b`)
	})
}

// What is forbidden while evidence is captured does not run after it.
func TestAHaltDuringEvidenceStopsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9)
		ran := 0
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "q", Detector: detect.Above(depth.Read, 5),
			Evidence: []escalate.Gatherer{escalate.GathererFunc(func(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
				time.Sleep(time.Second)
				return []escalate.Evidence{{Name: "stacks", Ref: "stacks.txt"}}, nil
			})},
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Undo: do(func() { t.Error("nothing was done") }), Run: do(func() { ran++; depth.Set(1) })}),
		}, selfheal.Watch{Name: "r", Detector: selfhealtest.Script()}, selfheal.Watch{Name: "s", Detector: selfhealtest.Script()})
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, trial.Supervisor().Halt("ann", "now"))
		time.Sleep(59500 * time.Millisecond)
		require.Zero(t, ran)
		require.Zero(t, trial.Supervisor().Status().BudgetUsed)
		depth.Set(1)
		time.Sleep(5 * time.Minute)
		trial.Want(`
			0s open q: 9 is above 5
			1s hold fix: halt
			1s page halted
			2m0s resolve
			2m0s close`)
		require.Equal(t, "stacks", trial.Pager().Pages()[0].Incident.Evidence[0].Name)
	})
}
