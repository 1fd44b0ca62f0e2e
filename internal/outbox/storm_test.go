package outbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// storms makes n keys sick at once.
func (p *provider) storms(n int, plan Plan) {
	for i := range n {
		severity := detect.Warning
		if i == n/2 {
			severity = detect.Critical
		}
		p.give(Escalate{Notification: keyed(fmt.Sprintf("k%04d", i), escalate.Trigger, severity), Plan: plan})
	}
}

func (p *provider) sentTo(target string, before time.Duration) []escalate.Notification {
	var ns []escalate.Notification
	for i, s := range p.sends {
		if s.Target == target && p.at[i] < before {
			ns = append(ns, s.Notification)
		}
	}
	return ns
}

// open is what a provider of targets would still show as open.
func (p *provider) open(target string) []string {
	open := map[string]bool{}
	for _, s := range p.sends {
		if s.Target == target {
			open[s.Notification.DedupKey] = s.Notification.Kind != escalate.Resolve
		}
	}
	var keys []string
	for k, is := range open {
		if is {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestAThousandAtOnceAreThreeNotices(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	plan := Plan{Levels: []Level{{To: []string{"a", "b"}}}, Inform: []string{"i"}}
	p.storms(1000, plan)
	p.until(2 * time.Minute)
	for _, target := range []string{"a", "b", "i"} {
		ns := p.sentTo(target, time.Minute)
		require.Len(t, ns, 3)
		require.Equal(t, "k0000", ns[0].DedupKey)
		require.Zero(t, p.at[0], "the first at once")
		group := ns[2]
		require.Equal(t, 998, group.Count)
		require.Equal(t, "998 incidents at once", group.Incident.Finding.Summary)
		require.Equal(t, detect.Critical, group.Incident.Finding.Severity)
		require.Len(t, group.Incident.Symptoms, listed)
		require.Equal(t, "watch-k0500", group.Incident.Symptoms[0], "what is critical is named first")
		require.Len(t, p.sentTo(target, time.Hour), 3, "nothing new, nothing said")
	}
	require.Less(t, p.at[len(p.at)-1], time.Second)

	// All but one are over: the provider still shows those that it opened.
	for i := range 999 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	require.Len(t, p.open("a"), 1)
	require.Len(t, p.sentTo("a", time.Hour), 5, "a resolve for each of the two")
	p.give(Resolve{DedupKey: "k0999"})
	require.Empty(t, p.open("a"))
	require.Empty(t, p.open("i"))
	last := p.sentTo("a", time.Hour)[5]
	require.Equal(t, escalate.Resolve, last.Kind)
	require.False(t, last.BeganAndEnded)
	require.Equal(t, 998, last.Count)
	require.Zero(t, p.m.Stats().Entries)
	p.until(2 * time.Hour)
	require.Empty(t, p.m.targets)
}

func TestFewAreNoStorm(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	p.storms(5, to("a"))
	p.until(time.Minute)
	require.Len(t, p.open("a"), 5)
	require.Zero(t, p.m.Stats().Grouped)
	require.Equal(t, []time.Duration{0, 0, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}, p.at)
}

func TestAStormGoesOn(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	for i := range 300 {
		p.give(Escalate{Notification: keyed(fmt.Sprintf("k%04d", i), escalate.Trigger, 0), Plan: to("a")})
		p.until(p.now + time.Second)
	}
	p.until(p.now + time.Hour)
	ns := p.sentTo("a", 24*time.Hour)
	require.LessOrEqual(t, len(p.sentTo("a", time.Minute)), 6, "a slow beginning is told one by one at first")
	require.LessOrEqual(t, len(ns), 12)
	last := ns[len(ns)-1]
	require.Equal(t, escalate.Update, last.Kind)
	require.Equal(t, 300-5, last.Count+len(p.open("a"))-6)
	for i := range 300 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	require.Empty(t, p.open("a"))
	require.Zero(t, p.m.Stats().Entries)
}

func TestAStormThatIsOverBeforeItIsTold(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	p.storms(100, to("a"))
	for i := range 100 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	p.until(time.Minute)
	ns := p.sentTo("a", time.Minute)
	require.Len(t, ns, 5)
	require.True(t, ns[4].BeganAndEnded)
	require.Equal(t, 98, ns[4].Count)
	require.Zero(t, p.m.Stats().Entries)
}

func TestAQuestionIsNotGrouped(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	p.storms(100, to("a"))
	p.until(time.Second)
	p.give(Escalate{Notification: keyed("k0050", escalate.Ask, 0)})
	require.Equal(t, []string{"trigger ", "trigger ", "trigger ", "ask "}, p.to("a"))
	require.Contains(t, p.open("a"), "k0050")
	for i := range 100 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	require.Empty(t, p.open("a"))
	require.Zero(t, p.m.Stats().Entries)
}

func TestAGroupIsRepeatedAndTakenAsOne(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	plan := to("a")
	plan.Repeat = time.Hour
	p.storms(100, plan)
	p.until(90 * time.Minute)
	ns := p.sentTo("a", 24*time.Hour)
	require.Len(t, ns, 6)
	require.Equal(t, 1, ns[5].Repeat)
	key := ns[2].DedupKey
	require.Len(t, p.m.Members(key), 98)
	require.Nil(t, p.m.Members("k0001"))
	p.give(Snooze{DedupKey: key, By: "ann", For: time.Hour})
	p.give(Ack{DedupKey: key, By: "ann"})
	p.give(Ack{DedupKey: "k0000", By: "ann"})
	p.give(Ack{DedupKey: "k0001", By: "ann"})
	p.until(9 * time.Hour)
	require.Len(t, p.sentTo("a", 24*time.Hour), 6)
}

func TestWhatAGroupCannotTellItsMembersTellElsewhere(t *testing.T) {
	p := newProvider(Options{Storm: 5, Breaker: 3})
	p.how["a"] = Failed{Permanent: true}
	plan := levels(0, time.Hour)
	p.storms(100, plan)
	p.until(time.Minute)
	ns := p.sentTo("b", time.Minute)
	require.Len(t, ns, 3)
	require.Equal(t, 98, ns[2].Count)
	require.Equal(t, "a could not be reached: it refused for good", ns[2].Note)
	require.Zero(t, p.m.Stats().Lost)

	// Nobody is left there either, until a takes something.
	p.how["b"] = Failed{Permanent: true}
	q := newProvider(Options{Storm: 5})
	q.how["a"] = Failed{Permanent: true}
	q.storms(100, to("a"))
	q.until(time.Minute)
	require.Equal(t, 100, q.m.Stats().Lost)
	delete(q.how, "a")
	q.give(Escalate{Notification: keyed("x", escalate.Trigger, 0), Plan: to("a")})
	q.until(5 * time.Minute)
	require.Zero(t, q.m.Stats().Lost)
	for i := range 100 {
		q.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	require.Len(t, q.open("a"), 1, "x has joined them")
	q.give(Resolve{DedupKey: "x"})
	require.Empty(t, q.open("a"))
}

func TestTheEndOfQuietHoursIsNoStormOfNotices(t *testing.T) {
	d, plan := nightDesk(Options{Storm: 5})
	p := &provider{desk: *d, how: map[string]Failed{}}
	p.until(2 * time.Hour)
	plan.Inform = nil
	for i := range 200 {
		p.give(Escalate{Notification: keyed(fmt.Sprintf("k%04d", i), escalate.Trigger, detect.Warning), Plan: plan})
	}
	p.until(3 * time.Hour)
	for i := range 100 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", i)})
	}
	require.Empty(t, p.sends)
	p.until(10*time.Hour + 2*time.Minute)
	require.Len(t, p.to("a"), 4, "two, a group and the digest")
	for i := range 100 {
		p.give(Resolve{DedupKey: fmt.Sprintf("k%04d", 100+i)})
	}
	require.Empty(t, p.open("a"))
}

func TestWhatAProviderMayHaveIsNotGrouped(t *testing.T) {
	p := newProvider(Options{Storm: 5})
	p.how["b"] = Failed{} // keeps the key alive
	p.give(Escalate{Notification: keyed("k", escalate.Trigger, 0), Plan: to("a", "b")})
	p.how["a"] = Failed{Permanent: true}
	p.give(Resolve{DedupKey: "k"}) // is refused: it stays open over there
	delete(p.how, "a")
	p.storms(9, to("a"))
	p.until(p.now + time.Second)
	p.sends = nil
	p.give(Escalate{Notification: keyed("k", escalate.Trigger, 0), Plan: to("a")})
	p.until(p.now + time.Second)
	p.give(Resolve{DedupKey: "k"})
	own := false
	for _, s := range p.sends {
		own = own || s.Target == "a" && s.Notification.DedupKey == "k" && s.Notification.Kind == escalate.Resolve
	}
	require.True(t, own, "it is resolved under its own key")
}
