package outbox

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

func TestNothingIsRepeatedBeforeTheFirstIsThere(t *testing.T) {
	d := newDesk(Options{})
	d.down["a"] = true
	p := levels(0)
	p.Repeat = 10 * time.Second
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(time.Minute)
	require.Equal(t, 1, d.m.Owed())
	d.give(Escalate{Notification: note(escalate.Update)})
	d.give(Escalate{Notification: note(escalate.Update)})
	d.down["a"] = false
	d.until(66 * time.Second)
	d.want(t, `
		0s told trigger level 1 [a]
		1m0s told update level 1 [a]
		1m0s outbox.Superseded
		1m0s told update level 1 [a]
		1m0s a has trigger
		1m0s a has update`)
}

func TestWhoeverCouldNotBeReachedIsCalledAnew(t *testing.T) {
	d := newDesk(Options{MaxAge: time.Minute})
	d.down["a"], d.down["i"] = true, true
	p := levels(0)
	p.Inform = []string{"i"}
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(time.Hour)
	require.False(t, d.m.Told("k"), "nobody is on the way to it any more")
	d.down["a"], d.down["i"] = false, false
	d.text = nil
	d.give(Escalate{Notification: note(escalate.Update)})
	d.want(t, `
		1h0m0s told trigger level 1 [a]
		1h0m0s a has trigger
		1h0m0s told update level 0 [i]
		1h0m0s i has update`)
}

func TestWhoeverOnlyInformsCallsNoNextLevel(t *testing.T) {
	d := newDesk(Options{MaxAge: time.Minute})
	d.down["i"] = true
	p := levels(0, time.Hour)
	p.Inform = []string{"i"}
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(30 * time.Minute)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		0s told trigger level 0 [i]
		1m0s "i" will not have trigger: outbox: it could not be delivered for too long, then level 0`)
	d.give(Inform{Notification: note(escalate.Trigger), To: []string{"a"}})
	d.want(t, `
		30m0s told trigger level 0 [a]
		30m0s a has update`)
}

func TestASuccessEndsTheBackoff(t *testing.T) {
	d := newDesk(Options{})
	d.down["a"] = true
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
	d.until(time.Hour)
	d.down["a"] = false
	d.until(2 * time.Hour)
	d.down["a"] = true
	d.give(Escalate{Notification: note(escalate.Update)})
	at, _ := d.m.Next()
	require.InDelta(t, float64(time.Second), float64(at-d.now), float64(200*time.Millisecond))
}

func TestATargetServesItsLanesInTurn(t *testing.T) {
	d := newDesk(Options{})
	d.hold["a"] = true
	one, two := note(escalate.Trigger), note(escalate.Trigger)
	one.DedupKey, two.DedupKey = "k1", "k2"
	d.give(Escalate{Notification: one, Plan: levels(0)})
	d.give(Escalate{Notification: one})
	d.give(Escalate{Notification: two, Plan: levels(0)})
	d.text, d.hold["a"] = nil, false
	var got []string
	for _, e := range d.m.Step(0, Sent{ID: "1", Target: "a"}, nil) {
		if s, ok := e.(Send); ok {
			got = append(got, s.ID)
			for _, e := range d.m.Step(0, Sent{ID: s.ID, Target: "a"}, nil) {
				if s, ok := e.(Send); ok {
					got = append(got, s.ID)
				}
			}
		}
	}
	require.Equal(t, []string{"3", "2"}, got)
}

func TestTimersOfOneInstantKeepTheirOrder(t *testing.T) {
	m := New(Options{})
	var want, got []string
	for i := range 20 {
		n := note(escalate.Trigger)
		n.DedupKey = fmt.Sprint("k", (i*7)%20)
		want = append(want, n.DedupKey)
		m.Step(0, Escalate{Notification: n, Plan: levels(time.Minute)}, nil)
	}
	for _, e := range m.Step(time.Hour, Tick{}, nil) {
		if told, ok := e.(Told); ok {
			got = append(got, told.DedupKey)
		}
	}
	require.Equal(t, want, got)
}

func TestANewPlanMayChangeTheRepeat(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
	d.until(time.Hour)
	p := levels(0)
	p.Repeat = 10 * time.Minute
	d.give(Escalate{Notification: note(escalate.Update), Plan: p})
	d.until(75 * time.Minute)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		1h0m0s told update level 1 [a]
		1h0m0s a has update
		1h10m0s told trigger level 1 [a] again 1
		1h10m0s a has trigger: open for 1h10m0s, told once before`)
}

func TestANewLifeStartsAtTheFirstLevel(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, time.Minute)
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(time.Minute)
	d.give(Mute{"k"})
	d.give(Escalate{Notification: note(escalate.Update)})
	d.hold["b"] = true
	d.give(resolve)
	d.text = nil
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p, Muted: true})
	d.give(Resolve{DedupKey: "k"})
	d.give(Escalate{Notification: note(escalate.Ask), Plan: p, Muted: true})
	d.give(Unmute{"k"})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(110 * time.Second)
	d.want(t, `
		1m0s told ask level 1 [a]
		1m0s a has ask
		1m0s told trigger level 1 [a]
		1m0s a has trigger`)
}

func TestWhatIsHeldIsNotForgottenForAQuestion(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0), Muted: true})
	d.give(Escalate{Notification: note(escalate.Update)})
	d.give(Escalate{Notification: note(escalate.Ask)})
	d.give(Unmute{"k"})
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger`)
}

func TestACallTakesAKeyOutOfTheShareOfInforming(t *testing.T) {
	d := newDesk(Options{MaxEntries: 4})
	for _, key := range []string{"k1", "k2", "k3"} {
		n := note(escalate.Trigger)
		n.DedupKey = key
		d.give(Inform{Notification: n, To: []string{"i"}})
		if key == "k1" {
			d.give(Escalate{Notification: n, Plan: levels(0)})
		}
	}
	require.Zero(t, d.m.Stats().Full)
	require.Equal(t, 3, d.m.Stats().Entries)
}

func TestStaleInputsChangeNothing(t *testing.T) {
	d := newDesk(Options{})
	d.hold["a"] = true
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, 1<<63-1)})
	d.text = nil
	for _, in := range []Input{
		Sent{ID: "7", Target: "a"}, Failed{ID: "7", Target: "a"}, Sent{ID: "1", Target: "x"}, Freed{"a"}, Freed{"x"},
		Resolve{DedupKey: "x"}, Refresh{DedupKey: "x"}, Mute{"x"}, Unmute{"k"}, Ack{DedupKey: "x"}, Inform{Notification: note(escalate.Trigger)}, Tick{},
	} {
		d.give(in)
	}
	d.want(t, ``)
	require.Equal(t, 1, d.m.Owed())
	d.m.Step(time.Hour, Tick{}, nil)
	require.Empty(t, d.m.Step(time.Minute, Tick{}, nil), "time does not run back")
	d.hold["a"] = false
	d.give(Sent{ID: "1", Target: "a"})
	d.give(Escalate{Notification: resolve.notification()})
	require.Zero(t, d.m.Stats().Entries, "a notification that resolves is a resolve")
}

func (r Resolve) notification() escalate.Notification {
	return escalate.Notification{DedupKey: r.DedupKey, Kind: escalate.Resolve, Incident: r.Incident, At: r.At}
}
