package outbox

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

// A desk plays people against a machine and writes down what happens, one line
// an effect. Targets named in down fail, all others succeed at once.
type desk struct {
	m    *Machine
	now  time.Duration
	down map[string]bool
	hold map[string]bool // these calls stay under way
	text []string
}

func newDesk(opt Options) *desk {
	return &desk{m: New(opt), down: map[string]bool{}, hold: map[string]bool{}}
}

func (d *desk) give(in Input) {
	for _, e := range d.m.Step(d.now, in, nil) {
		d.write(e)
		if s, ok := e.(Send); ok && !d.hold[s.Target] {
			if d.down[s.Target] {
				d.give(Failed{ID: s.ID, Target: s.Target, Err: errors.New("no")})
			} else {
				d.give(Sent{ID: s.ID, Target: s.Target})
			}
		}
	}
}

// until lets time pass, with every tick on its moment.
func (d *desk) until(to time.Duration) {
	for at, ok := d.m.Next(); ok && at <= to; at, ok = d.m.Next() {
		d.now = at
		d.give(Tick{})
	}
	d.now = to
}

func (d *desk) write(e Effect) {
	s := d.now.Round(time.Second).String() + " "
	switch e := e.(type) {
	case Told:
		s += fmt.Sprintf("told %s level %d %v", e.Kind, e.Level, e.Targets)
		if e.Repeat > 0 {
			s += fmt.Sprintf(" again %d", e.Repeat)
		}
	case Send:
		return
	case Delivered:
		s += fmt.Sprintf("%s has %s", e.Target, e.Notification.Kind)
		if n := e.Notification.Note; n != "" {
			s += ": " + n
		}
	case Undeliverable:
		s += fmt.Sprintf("%q will not have %s: %v, then level %d", e.Target, e.Notification.Kind, e.Why, e.NextLevel)
	default:
		s += fmt.Sprintf("%T", e)
	}
	d.text = append(d.text, s)
}

func (d *desk) want(t *testing.T, lines string) {
	t.Helper()
	var want []string
	for l := range strings.Lines(lines) {
		if l = strings.TrimSpace(l); l != "" {
			want = append(want, l)
		}
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(d.text, "\n"))
	d.text = nil
}

func note(kind escalate.Kind) escalate.Notification {
	return escalate.Notification{DedupKey: "k", Kind: kind, At: time.Unix(1000, 0), Incident: escalate.Incident{ID: "1", Watch: "w"}}
}

func levels(after ...time.Duration) Plan {
	var p Plan
	for i, a := range after {
		p.Levels = append(p.Levels, Level{After: a, To: []string{string(rune('a' + i))}})
	}
	return p
}

var resolve = Resolve{DedupKey: "k", Incident: escalate.Incident{ID: "1", Watch: "w"}, At: time.Unix(2000, 0)}

func TestLevelsComeAfterTheirDelays(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, 15*time.Minute, time.Hour)})
	require.True(t, d.m.Told("k"))
	d.until(20 * time.Minute)
	d.give(resolve)
	d.until(3 * time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		15m0s told trigger level 2 [b]
		15m0s b has trigger: nobody acknowledged it for 15m0s
		20m0s told resolve level 2 [a b]
		20m0s a has resolve
		20m0s b has resolve`)
	require.Zero(t, d.m.Stats().Entries)
	require.False(t, d.m.Told("k"))
}

func TestALevelOnlyLater(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(time.Minute)})
	require.False(t, d.m.Told("k"))
	d.give(resolve) // nobody was told: nobody is told that it is over
	d.until(time.Hour)
	d.want(t, ``)
	require.Zero(t, d.m.Stats().Entries)
}

func TestRepeatSaysHowLongAndHowOften(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, 15*time.Minute)
	p.Repeat = time.Hour
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.until(2*time.Hour + 10*time.Minute)
	d.give(Ack{DedupKey: "k", By: "ann"})
	d.until(9 * time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		15m0s told trigger level 2 [b]
		15m0s b has trigger: nobody acknowledged it for 15m0s
		1h0m0s told trigger level 1 [a] again 1
		1h0m0s a has trigger: open for 1h0m0s, told once before
		1h15m0s told trigger level 2 [b] again 1
		1h15m0s b has trigger: open for 1h15m0s, told once before
		2h0m0s told trigger level 1 [a] again 2
		2h0m0s a has trigger: open for 2h0m0s, told 2 times before`)
}

func TestAnAcknowledgementRunsOut(t *testing.T) {
	d := newDesk(Options{})
	d.give(Ack{DedupKey: "k", For: time.Minute}) // of nothing
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, 15*time.Minute)})
	d.until(5 * time.Minute)
	d.give(Ack{DedupKey: "k", By: "ann", For: -time.Minute})
	d.give(Ack{DedupKey: "k", By: "ann", For: time.Hour})
	d.until(30 * time.Minute)
	d.give(Escalate{Notification: note(escalate.Update)})
	d.until(2 * time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		30m0s told update level 1 [a]
		30m0s a has update
		1h5m0s outbox.Reopened
		1h5m0s told trigger level 1 [a] again 1
		1h5m0s a has trigger: the acknowledgement by ann ran out; open for 1h5m0s, told once before
		1h15m0s told trigger level 2 [b]
		1h15m0s b has trigger: nobody acknowledged it for 15m0s`)
}

func TestMuteStopsTheClock(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, 15*time.Minute)
	p.Inform = []string{"i"}
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p, Muted: true})
	d.until(time.Hour)
	d.give(Unmute{"k"})
	d.until(time.Hour + 10*time.Minute)
	d.give(Mute{"k"})
	d.give(Escalate{Notification: note(escalate.Update)})
	d.until(2 * time.Hour)
	d.give(Unmute{"k"})
	d.until(3 * time.Hour)
	d.give(Mute{"k"})
	d.give(resolve)
	d.want(t, `
		0s told trigger level 0 [i]
		0s i has trigger
		1h0m0s told trigger level 1 [a]
		1h0m0s a has trigger
		1h10m0s told update level 0 [i]
		1h10m0s i has update
		2h0m0s told update level 1 [a]
		2h0m0s a has update
		2h5m0s told trigger level 2 [b]
		2h5m0s b has trigger: nobody acknowledged it for 15m0s
		3h0m0s told resolve level 2 [a b]
		3h0m0s a has resolve
		3h0m0s b has resolve
		3h0m0s told resolve level 0 [i]
		3h0m0s i has resolve`)
	require.Zero(t, d.m.Stats().Entries)
}

func TestAnAcknowledgementRunsOutWhileMuted(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0)})
	d.give(Ack{DedupKey: "k", By: "ann", For: time.Minute})
	d.give(Mute{"k"})
	d.until(time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		1m0s outbox.Reopened`)
	d.give(Unmute{"k"})
	d.want(t, `
		1h0m0s told trigger level 1 [a] again 1
		1h0m0s a has trigger: the acknowledgement by ann ran out; open for 1h0m0s, told once before`)
}

func TestAskGoesToTheFirstLevelAndStartsNoDelays(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Ask), Plan: levels(0, time.Minute)})
	d.until(15 * time.Minute)
	d.give(Escalate{Notification: note(escalate.Trigger)}) // nobody answered
	d.until(time.Hour)
	d.want(t, `
		0s told ask level 1 [a]
		0s a has ask
		15m0s told trigger level 1 [a]
		15m0s a has trigger
		16m0s told trigger level 2 [b]
		16m0s b has trigger: nobody acknowledged it for 1m0s`)
}

func TestWhoeverWasAskedAndAcknowledgedIsStillCalled(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Ask), Plan: levels(0, time.Minute)})
	d.give(Ack{DedupKey: "k", By: "ann"})
	d.give(Escalate{Notification: note(escalate.Trigger)})
	d.until(time.Hour)
	d.want(t, `
		0s told ask level 1 [a]
		0s a has ask
		0s told trigger level 1 [a]
		0s a has trigger`)
}

func TestAnUpdateCallsWhoIsNewAtALevelThatWasReached(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)})
	d.give(Escalate{Notification: note(escalate.Update), Plan: Plan{Levels: []Level{{To: []string{"a", "x"}}, {After: time.Hour, To: []string{"b"}}}}})
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		0s told trigger level 1 [x]
		0s x has trigger
		0s told update level 1 [a]
		0s a has update`)
}

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
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour, 2*time.Hour)})
	d.until(90 * time.Minute)
	d.want(t, `
		0s told trigger level 1 [a]
		10m0s "a" will not have trigger: outbox: it could not be delivered for too long, then level 2
		10m0s told trigger level 2 [b]
		10m0s b has trigger: a could not be reached`)
	d.down["a"] = false
	d.give(resolve)
	d.want(t, `
		1h30m0s told resolve level 2 [a b]
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

func TestRefusals(t *testing.T) {
	d := newDesk(Options{MaxEntries: 2})
	give := func(key string, inform bool) {
		n := note(escalate.Trigger)
		n.DedupKey = key
		if inform {
			d.give(Inform{Notification: n, To: []string{"i"}})
		} else {
			d.give(Escalate{Notification: n, Plan: levels(0)})
		}
	}
	d.give(Escalate{Notification: note(escalate.Trigger)})
	d.want(t, `0s "" will not have trigger: outbox: the policy names nobody, then level 0`)
	give("i1", true)
	give("i2", true) // informing takes half of the room only
	give("k1", false)
	give("k2", false)
	d.want(t, `
		0s told trigger level 0 [i]
		0s i has trigger
		0s "" will not have trigger: outbox: no room for another incident, then level 0
		0s told trigger level 1 [a]
		0s a has trigger
		0s "" will not have trigger: outbox: no room for another incident, then level 0`)
	require.EqualValues(t, 2, d.m.Stats().Full)
	d.give(Stop{})
	give("k1", false)
	give("i1", true)
	d.give(Resolve{DedupKey: "k1"})
	d.want(t, `
		0s "" will not have trigger: outbox: it was stopped before it could be delivered, then level 0
		0s "" will not have trigger: outbox: it was stopped before it could be delivered, then level 0
		0s "" will not have resolve: outbox: it was stopped before it could be delivered, then level 0`)
}

func TestDrainAndStop(t *testing.T) {
	d := newDesk(Options{})
	d.down["a"] = true
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)})
	d.until(time.Minute)
	tries := d.m.Stats().Tries
	d.give(Drain{})
	require.Equal(t, tries+1, d.m.Stats().Tries, "one more try at once")
	d.until(2 * time.Hour) // no level 2 any more
	d.give(Stop{})
	d.want(t, `
		0s told trigger level 1 [a]
		2h0m0s "a" will not have trigger: outbox: it was stopped before it could be delivered, then level 0`)
	_, ok := d.m.Next()
	require.False(t, ok)
}

func TestInformOnly(t *testing.T) {
	d := newDesk(Options{})
	d.give(Inform{Notification: note(escalate.Trigger), To: []string{"i"}})
	d.give(Inform{Notification: note(escalate.Trigger), To: []string{"i"}})
	require.False(t, d.m.Told("k"))
	d.give(Inform{Notification: note(escalate.Resolve), To: []string{"i"}})
	d.want(t, `
		0s told trigger level 0 [i]
		0s i has trigger
		0s told trigger level 0 [i]
		0s i has update
		0s told resolve level 0 [i]
		0s i has resolve`)
	require.Zero(t, d.m.Stats().Entries)
	d.give(Inform{Notification: note(escalate.Resolve), To: []string{"i"}})
	d.want(t, `
		0s told resolve level 0 [i]
		0s i has resolve: it began and ended before this could be told`)
	require.Zero(t, d.m.Stats().Entries)
}

func TestLaterWordsAreTheNewest(t *testing.T) {
	m := New(Options{IDPrefix: "p-"})
	m.Step(0, Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)}, nil)
	m.Step(time.Minute, Refresh{DedupKey: "k", Incident: escalate.Incident{ID: "1", State: escalate.Watching}}, nil)
	out := m.Step(time.Hour, Tick{}, nil)
	n := out[1].(Send).Notification
	require.Equal(t, escalate.Watching, n.Incident.State)
	require.Equal(t, time.Unix(1000, 0).Add(time.Hour), n.At)
	require.Equal(t, "p-2", n.ID)
}

func TestNoChangeAllocatesNothing(t *testing.T) {
	m, now := busy(100)
	out := make([]Effect, 0, 8)
	allocs := testing.AllocsPerRun(100, func() { out = m.Step(now, Tick{}, out[:0]) })
	require.Zero(t, allocs)
}

// busy is a machine with n open keys, told and waiting for their second level.
func busy(n int) (*Machine, time.Duration) {
	m := New(Options{MaxEntries: n})
	for i := range n {
		k := note(escalate.Trigger)
		k.DedupKey = fmt.Sprint("k", i)
		for _, e := range m.Step(0, Escalate{Notification: k, Plan: levels(0, time.Hour)}, nil) {
			if s, ok := e.(Send); ok {
				m.Step(0, Sent{ID: s.ID, Target: s.Target}, nil)
			}
		}
	}
	return m, time.Second
}

func BenchmarkStepNoChange(b *testing.B) {
	m, now := busy(10_000)
	var out []Effect
	b.ReportAllocs()
	for b.Loop() {
		out = m.Step(now, Tick{}, out[:0])
	}
}

// BenchmarkStepIncident is one incident from its trigger to its forgetting:
// four inputs beside 10,000 open ones.
func BenchmarkStepIncident(b *testing.B) {
	m, now := busy(10_000)
	m.opt.MaxEntries = 20_000
	esc, p := note(escalate.Trigger), levels(0, time.Hour)
	out := make([]Effect, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		out = m.Step(now, Escalate{Notification: esc, Plan: p}, out[:0])
		out = m.Step(now, Sent{ID: out[1].(Send).ID, Target: "a"}, out[:0])
		out = m.Step(now, resolve, out[:0])
		out = m.Step(now, Sent{ID: out[1].(Send).ID, Target: "a"}, out[:0])
	}
	if m.Owed() > 0 {
		b.Fatal(m.Owed())
	}
}
