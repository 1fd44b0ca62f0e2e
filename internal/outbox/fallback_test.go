package outbox

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A provider plays targets that each fail in their own way; those without an
// entry take everything at once. It keeps what every target has been sent.
type provider struct {
	desk
	how   map[string]Failed // how a target fails
	sends []Send
	at    []time.Duration
}

func newProvider(opt Options) *provider {
	return &provider{desk: *newDesk(opt), how: map[string]Failed{}}
}

func (p *provider) give(in Input) { p.do(p.m.Step(p.now, in, nil)) }

func (p *provider) do(out []Effect) {
	for _, e := range out {
		p.write(e)
		s, ok := e.(Send)
		if !ok {
			continue
		}
		p.sends, p.at = append(p.sends, s), append(p.at, p.now)
		f, fails := p.how[s.Target]
		switch {
		case p.hold[s.Target]:
		case fails:
			f.ID, f.Target, f.Err = s.ID, s.Target, errors.New("no")
			p.give(f)
		default:
			p.give(Sent{ID: s.ID, Target: s.Target})
		}
	}
}

func (p *provider) until(to time.Duration) {
	for at, ok := p.m.Next(); ok && at <= to; at, ok = p.m.Next() {
		p.now = at
		p.give(Tick{})
	}
	p.now = to
}

// to is what a target was sent, as "kind note" for each.
func (p *provider) to(target string) []string {
	var all []string
	for _, s := range p.sends {
		if s.Target == target {
			all = append(all, s.Notification.Kind.String()+" "+s.Notification.Note)
		}
	}
	return all
}

func TestARefusalIsFinalAtOnce(t *testing.T) {
	p := newProvider(Options{})
	p.how["a"] = Failed{Permanent: true}
	p.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)})
	p.want(t, `
		0s told trigger level 1 [a]
		0s "a" will not have trigger: outbox: it was refused for good, then level 2
		0s told trigger level 2 [b]
		0s b has trigger: a could not be reached: it refused for good`)
	require.Len(t, p.to("a"), 1)
	p.give(resolve)
	p.until(time.Minute)
	require.Equal(t, []string{"trigger ", "resolve it began and ended before this could be told"}, p.to("a"))
	require.Zero(t, p.m.Stats().Entries)
}

func TestTheNextTargetOfTheLevelIsToldWhoFailed(t *testing.T) {
	plan := Plan{Levels: []Level{{To: []string{"a", "b", "c"}}, {After: time.Hour, To: []string{"d"}}}}
	t.Run("with its first call", func(t *testing.T) {
		p := newProvider(Options{})
		p.how["a"] = Failed{Permanent: true}
		p.hold["b"] = true
		p.give(Escalate{Notification: keyed("k0", escalate.Trigger, 0), Plan: to("b")}) // b is busy
		p.give(Escalate{Notification: note(escalate.Trigger), Plan: plan})
		p.hold["b"] = false
		p.give(Sent{ID: "1", Target: "b"})
		require.Equal(t, []string{"trigger ", "trigger a could not be reached: it refused for good"}, p.to("b"))
		require.Equal(t, []string{"trigger "}, p.to("c"))
		require.Empty(t, p.to("d"))
	})
	t.Run("after it", func(t *testing.T) {
		p := newProvider(Options{})
		p.how["c"] = Failed{Permanent: true}
		p.give(Escalate{Notification: note(escalate.Trigger), Plan: plan})
		require.Equal(t, []string{"trigger ", "update c could not be reached: it refused for good"}, p.to("a"))
		require.Equal(t, []string{"trigger "}, p.to("b"))
	})
	t.Run("until nobody of it is left", func(t *testing.T) {
		p := newProvider(Options{})
		p.how["a"], p.how["b"], p.how["c"] = Failed{Permanent: true}, Failed{Permanent: true}, Failed{Permanent: true}
		p.give(Escalate{Notification: note(escalate.Trigger), Plan: plan})
		require.Equal(t, []string{"trigger a could not be reached: it refused for good; b could not be reached: it refused for good; c could not be reached: it refused for good"}, p.to("d"))
		s, _ := p.m.Standing("k")
		require.False(t, s.Undeliverable)
	})
}

func TestAnOpenBreakerTellsOthersAndProbes(t *testing.T) {
	p := newProvider(Options{Breaker: 3})
	p.how["a"] = Failed{}
	p.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)})
	p.until(time.Minute)
	p.want(t, `
		0s told trigger level 1 [a]
		3s outbox.Down
		3s outbox.Fallback
		3s told trigger level 2 [b]
		3s b has trigger: a could not be reached: it does not answer`)

	// Others are told at once, and do not add to the calls.
	tries := len(p.to("a"))
	p.give(Escalate{Notification: keyed("k2", escalate.Trigger, 0), Plan: levels(0, time.Hour)})
	p.give(Escalate{Notification: keyed("k3", escalate.Trigger, 0), Plan: levels(0, time.Hour)})
	require.Len(t, p.to("a"), tries)
	require.Len(t, p.to("b"), 3)
	before := len(p.sends)
	p.until(time.Hour - time.Second)
	probes := 0
	for _, s := range p.sends[before:] {
		require.Equal(t, "a", s.Target)
		probes++
	}
	require.InDelta(t, 30, probes, 6, "one probe every two minutes, whoever waits")
	require.True(t, p.m.Targets()[0].Down)

	// It is back: everything that waits goes at once.
	delete(p.how, "a")
	p.text = nil
	p.until(time.Hour + 3*time.Minute)
	p.sends = nil
	require.Zero(t, p.m.Owed())
	require.Contains(t, p.text, p.text[0])
	up, first := "", ""
	for _, l := range p.text {
		var at, rest string
		_, _ = fmt.Sscan(l, &at, &rest)
		if rest == "outbox.Up" {
			up = at
		}
		if rest == "a" && first == "" {
			first = at
		}
		if rest == "a" {
			require.Equal(t, first, at, l)
		}
	}
	require.Equal(t, first, up)
	require.False(t, len(p.m.Targets()) > 0 && p.m.Targets()[0].Down)
}

func TestAgeTellsOthersToo(t *testing.T) {
	p := newProvider(Options{})
	p.hold["a"] = true // answers nothing for long, and is not given up
	plan := levels(0, time.Hour)
	plan.Fallback = 2 * time.Minute
	p.give(Escalate{Notification: keyed("k1", escalate.Trigger, 0), Plan: to("a")})
	p.give(Escalate{Notification: note(escalate.Trigger), Plan: plan})
	p.until(10 * time.Minute)
	require.Equal(t, []string{"trigger a could not be reached: it has not taken it for 2m0s"}, p.to("b"))
	p.hold["a"] = false
	p.give(Sent{ID: "1", Target: "a"})
	require.Equal(t, []string{"trigger ", "trigger "}, p.to("a"), "it stayed owed")
}

func TestNobodyIsLeft(t *testing.T) {
	p := newProvider(Options{Breaker: 3})
	p.how["a"], p.how["b"] = Failed{}, Failed{Permanent: true}
	lost := func() bool {
		s, _ := p.m.Standing("k")
		require.Equal(t, s.Undeliverable, p.m.Stats().Lost == 1)
		return s.Undeliverable
	}
	p.give(Escalate{Notification: note(escalate.Trigger), Plan: levels(0, time.Hour)})
	require.False(t, lost())
	p.until(time.Minute)
	require.True(t, lost())
	require.Contains(t, p.text, `3s "b" will not have trigger: outbox: it was refused for good, then level 0`)
	p.give(Ack{DedupKey: "k", By: "ann"})
	require.False(t, lost(), "somebody has it")
	p.give(Ack{DedupKey: "k", By: "ann", For: time.Minute})
	p.until(time.Hour)
	require.True(t, lost())

	// b takes something else: it is told of what it had refused.
	delete(p.how, "b")
	p.sends = nil
	p.give(Escalate{Notification: keyed("k2", escalate.Trigger, 0), Plan: to("b")})
	require.False(t, lost())
	require.Len(t, p.to("b"), 2)
	require.Equal(t, "trigger it could not be delivered before", p.to("b")[1])
	p.give(resolve)
	delete(p.how, "a")
	p.until(2 * time.Hour)
	require.Equal(t, 1, p.m.Stats().Entries)
}

func TestLostEffects(t *testing.T) {
	p := newProvider(Options{Breaker: 2})
	p.how["a"] = Failed{}
	var fallback Fallback
	out := p.m.Step(0, Escalate{Notification: note(escalate.Trigger), Plan: levels(0)}, nil)
	for i := 0; i < 2; i++ {
		for _, e := range out {
			switch e := e.(type) {
			case Send:
				out = p.m.Step(p.now, Failed{ID: e.ID, Target: "a", Err: errors.New("no")}, nil)
			}
		}
		for _, e := range out {
			if f, ok := e.(Fallback); ok {
				fallback = f
			}
		}
		p.now, _ = p.m.Next()
		out = p.m.Step(p.now, Tick{}, nil)
	}
	require.True(t, fallback.Lost)
	require.Equal(t, "k", fallback.DedupKey)
	require.Equal(t, "1", fallback.Incident.ID)
}

func TestRetryAfterIsObeyedForTheWholeTarget(t *testing.T) {
	p := newProvider(Options{Breaker: 3})
	p.how["a"] = Failed{RetryAfter: 10 * time.Minute}
	p.give(Escalate{Notification: note(escalate.Trigger), Plan: to("a")})
	p.give(Escalate{Notification: keyed("k2", escalate.Trigger, 0), Plan: to("a")})
	p.until(10*time.Minute - 1)
	require.Len(t, p.sends, 1)
	p.until(time.Hour)
	for i, at := range p.at {
		require.Equal(t, time.Duration(i)*10*time.Minute, at)
	}
	require.False(t, p.m.Targets()[0].Down, "whoever asks to be left alone answers")
	p.give(Drain{})
	require.Len(t, p.sends, 7, "also at the end")
	delete(p.how, "a")
	p.until(90 * time.Minute)
	require.Zero(t, p.m.Owed())
}

func TestARateIsKeptInEveryWindow(t *testing.T) {
	rate := escalate.Rate{N: 3, Per: time.Minute}
	p := newProvider(Options{Rate: func(string) escalate.Rate { return rate }})
	p.until(time.Hour)
	for i := range 10 {
		p.give(Escalate{Notification: keyed(fmt.Sprint("k", i), escalate.Trigger, 0), Plan: to("a")})
	}
	p.until(2 * time.Hour)
	require.Len(t, p.at, 10)
	for i := range p.at {
		require.Equal(t, time.Hour+time.Duration(i/3)*time.Minute, p.at[i])
	}
	require.Len(t, p.m.targets, 1)
	require.Empty(t, p.m.Targets(), "nothing to say of it")
}

func TestTheUrgentGoesFirst(t *testing.T) {
	rate := escalate.Rate{N: 1, Per: time.Second}
	p := newProvider(Options{Rate: func(string) escalate.Rate { return rate }})
	plan := to("a")
	for _, k := range []string{"old1", "old2", "old3"} {
		p.give(Escalate{Notification: keyed(k, escalate.Trigger, 0), Plan: plan})
		p.until(p.now + time.Minute)
	}
	p.sends = nil
	p.hold["a"] = true
	p.give(Escalate{Notification: keyed("busy", escalate.Trigger, 0), Plan: plan})
	p.give(Escalate{Notification: keyed("old1", escalate.Update, 0)})
	p.give(Escalate{Notification: keyed("old2", escalate.Update, 0)})
	p.give(Resolve{DedupKey: "old3"})
	p.give(Escalate{Notification: keyed("new", escalate.Trigger, 0), Plan: plan})
	p.give(Escalate{Notification: keyed("bad", escalate.Trigger, detect.Critical), Plan: plan})
	p.give(Resolve{DedupKey: "old2"}) // its update is said with it
	p.hold["a"] = false
	p.give(Sent{ID: p.sends[0].ID, Target: "a"})
	p.until(p.now + time.Minute)
	var got []string
	for _, s := range p.sends[1:] {
		got = append(got, s.Notification.DedupKey+" "+s.Notification.Kind.String())
	}
	require.Equal(t, []string{"bad trigger", "old3 resolve", "new trigger", "old2 resolve", "old1 update"}, got)
}

func TestOnceIsATryPastEverythingButTheTarget(t *testing.T) {
	p := newProvider(Options{Breaker: 1, Storm: 1, Rate: func(string) escalate.Rate { return escalate.Rate{N: 1, Per: time.Minute} }})
	var done []Done
	give := func(in Input) {
		p.give(in)
		for range p.text {
		}
	}
	test := escalate.Notification{DedupKey: "t", Kind: escalate.Trigger, Test: true}
	for _, e := range p.m.Step(0, Once{Notification: test, Target: "a"}, nil) {
		if s, ok := e.(Send); ok {
			for _, e := range p.m.Step(0, Failed{ID: s.ID, Target: "a", Err: errors.New("no")}, nil) {
				if d, ok := e.(Done); ok {
					done = append(done, d)
				}
			}
		}
	}
	require.ErrorContains(t, done[0].Err, "no")
	require.True(t, p.m.Targets()[0].Down)
	give(Once{Notification: test, Target: "a", Within: 10 * time.Second})
	require.Empty(t, p.sends, "its rate holds for a test too")
	p.until(30 * time.Second)
	require.Equal(t, "10s outbox.Done", p.text[len(p.text)-1])
	p.until(time.Minute)
	give(Once{Notification: test, Target: "a"})
	require.Len(t, p.sends, 1, "it probes where the breaker is open")
	require.Empty(t, p.m.Targets()[0].Err)
	require.False(t, p.m.Targets()[0].Down)
	require.Zero(t, p.m.Stats().Entries)
	give(Stop{})
	give(Once{Notification: test, Target: "a"})
	require.Equal(t, "1m0s outbox.Done", p.text[len(p.text)-1])
}
