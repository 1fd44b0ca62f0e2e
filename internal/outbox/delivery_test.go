package outbox

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

func TestBeganAndEndedWhileTheProviderWasDown(t *testing.T) {
	d := newDesk(Options{})
	d.down["a"] = true
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
	d.until(time.Minute)
	d.give(resolve)
	d.down["a"] = false
	d.until(time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		1m0s outbox.Superseded
		1m0s told resolve level 1 [a]
		1m0s a has resolve: it began and ended before this could be told`)
	require.Zero(t, d.m.Stats().Entries)
}

func TestAResolveWaitsForItsTrigger(t *testing.T) {
	for _, test := range []struct {
		name   string
		failed bool
		want   string
	}{
		{"that arrives", false, `
			0s told trigger level 1 [a]
			0s told resolve level 1 [a]
			1s a has trigger
			1s a has resolve`},
		{"that fails", true, `
			0s told trigger level 1 [a]
			0s told resolve level 1 [a]
			1s outbox.Superseded
			2s a has resolve: it began and ended before this could be told`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(Options{})
			d.hold["a"] = true
			d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
			d.give(resolve)
			d.until(time.Second)
			d.hold["a"] = false
			if test.failed {
				d.give(Failed{ID: "1", Target: "a", Err: errors.New("no")})
			} else {
				d.give(Sent{ID: "1", Target: "a"})
			}
			d.until(time.Hour)
			d.want(t, test.want)
			require.Zero(t, d.m.Stats().Entries)
		})
	}
}

func TestItIsBackBeforeItsEndIsDelivered(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
	d.down["a"] = true
	for range 50 { // flapping while the provider is down
		d.give(resolve)
		d.give(Escalate{Notification: note(escalate.Trigger)})
		d.until(d.now + time.Second)
	}
	require.LessOrEqual(t, d.m.Owed(), 3)
	d.down["a"] = false
	d.text = nil
	d.until(d.now + time.Hour)
	d.want(t, `
		1m1s a has resolve
		1m1s a has trigger`)
}

func TestExpiryCallsTheNextLevel(t *testing.T) {
	d := newDesk(Options{MaxAge: 10 * time.Minute})
	d.down["a"] = true
	p := levels(0, time.Hour, 2*time.Hour)
	p.Levels[1].To, p.Levels[2].To = nil, []string{"b"} // nobody is no help
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(90 * time.Minute)
	d.want(t, `
		0s told trigger level 1 [a]
		10m0s "a" will not have trigger: outbox: it could not be delivered for too long, then level 3
		10m0s told trigger level 3 [b]
		10m0s b has trigger: a could not be reached`)
	d.down["a"] = false
	d.give(resolve)
	d.want(t, `
		1h30m0s told resolve level 3 [a b]
		1h30m0s a has resolve: it began and ended before this could be told
		1h30m0s b has resolve`)
}

func TestRetriesAreBoundedByAgeAndSpread(t *testing.T) {
	m := New(Options{})
	var at []time.Duration
	now := time.Duration(0)
	out := m.Step(now, Escalate{Notification: note(escalate.Trigger), Plan: levels(0)}, nil)
	ids := map[string]bool{}
	for len(out) > 0 {
		for _, e := range out {
			if s, ok := e.(Send); ok {
				at = append(at, now)
				ids[s.ID] = true
				require.Equal(t, len(at), s.Try)
				m.Step(now, Failed{ID: s.ID, Target: "a", Err: errors.New("no")}, nil)
			}
		}
		next, ok := m.Next()
		if !ok {
			break
		}
		now, out = next, m.Step(next, Tick{}, nil)
	}
	require.Len(t, ids, 1)
	require.Equal(t, 6*time.Hour, at[len(at)-1], "the last try is at the limit")
	for i, full := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 120, 120} {
		pause := at[i+1] - at[i]
		require.InEpsilon(t, float64(full*time.Second), float64(pause), 0.201, "pause %d", i)
		require.NotEqual(t, full*time.Second, pause, "pause %d is not spread", i)
	}
	require.Zero(t, m.Owed())
}

func TestOneCallATargetAtATime(t *testing.T) {
	d := newDesk(Options{})
	d.hold["a"] = true
	for _, key := range []string{"k1", "k2", "k3"} {
		n := note(escalate.Trigger)
		n.DedupKey = key
		d.give(Escalate{Notification: n, Plan: levels(0)})
	}
	require.Equal(t, 3, d.m.Owed())
	require.EqualValues(t, 1, d.m.Stats().Tries)
	d.give(Failed{ID: "1", Target: "a", Err: errors.New("hangs"), Stuck: true})
	d.until(time.Hour)
	require.EqualValues(t, 1, d.m.Stats().Tries, "a stuck target is left alone")
	require.Equal(t, []string{"a"}, d.m.Stats().Stuck)
	list := d.m.Snapshot(d.now)
	require.Len(t, list, 3)
	require.Equal(t, Owed{ID: "1", DedupKey: "k1", Target: "a", Watch: "w", Age: time.Hour, Tries: 1, Err: errors.New("hangs")}, list[0])
	d.hold["a"] = false
	d.give(Freed{"a"})
	require.Zero(t, d.m.Owed())
	require.EqualValues(t, 4, d.m.Stats().Tries)
}
