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
	d.give(Ack{DedupKey: "k", By: "ann", For: time.Hour})
	d.until(30 * time.Minute)
	d.give(Escalate{Notification: note(escalate.Update)})
	d.until(70 * time.Minute)
	d.give(Ack{DedupKey: "k", By: "ann", For: -time.Minute}) // too late to count
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
	d.until(time.Hour)
	d.give(Escalate{Notification: note(escalate.Ask), Plan: levels(0, time.Minute)})
	d.until(time.Hour + 15*time.Minute)
	d.give(Escalate{Notification: note(escalate.Trigger)}) // nobody answered
	d.until(2 * time.Hour)
	d.want(t, `
		1h0m0s told ask level 1 [a]
		1h0m0s a has ask
		1h15m0s told trigger level 1 [a]
		1h15m0s a has trigger
		1h16m0s told trigger level 2 [b]
		1h16m0s b has trigger: nobody acknowledged it for 1m0s`)
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
