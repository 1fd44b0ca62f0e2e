package outbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

func severe(kind escalate.Kind, s detect.Severity) escalate.Notification {
	n := note(kind)
	n.Incident.Finding.Severity = s
	return n
}

func TestALevelForWhatIsCriticalOnly(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, 0, time.Hour)
	p.Levels[1].Min = detect.Critical
	d.give(Escalate{Notification: severe(escalate.Trigger, detect.Warning), Plan: p})
	d.until(2 * time.Hour)
	d.give(Escalate{Notification: severe(escalate.Update, detect.Critical)})
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		1h0m0s told trigger level 3 [c]
		1h0m0s c has trigger: nobody acknowledged it for 1h0m0s
		2h0m0s told trigger level 2 [b]
		2h0m0s b has trigger: nobody acknowledged it for 2h0m0s
		2h0m0s told update level 3 [a c]
		2h0m0s a has update
		2h0m0s c has update`)
}

func TestTheFirstLevelThatIsConcernedIsAskedAndCalled(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, 0)
	p.Levels[0].Min = detect.Critical
	d.give(Escalate{Notification: severe(escalate.Ask, detect.Warning), Plan: p})
	d.give(Escalate{Notification: severe(escalate.Trigger, detect.Warning)})
	d.want(t, `
		0s told ask level 2 [b]
		0s b has ask
		0s told trigger level 2 [b]
		0s b has trigger: nobody acknowledged it for 0s`)
}

func TestASnoozeStopsEverythingButTheResolve(t *testing.T) {
	d := newDesk(Options{})
	p := levels(0, 15*time.Minute)
	p.Repeat = time.Minute
	d.give(Snooze{DedupKey: "k", By: "ann", For: time.Hour}) // of nothing
	d.give(Escalate{Notification: note(escalate.Trigger), Plan: p})
	d.give(Snooze{DedupKey: "k", By: "ann", For: time.Hour})
	d.until(30 * time.Minute)
	d.give(Escalate{Notification: note(escalate.Update)})
	s, _ := d.m.Standing("k")
	require.Equal(t, "ann", s.SnoozedBy)
	d.until(time.Hour)
	d.want(t, `
		0s told trigger level 1 [a]
		0s a has trigger
		1h0m0s told trigger level 1 [a] again 1
		1h0m0s a has trigger: the snooze by ann ran out; open for 1h0m0s, told once before`)
	d.give(Snooze{DedupKey: "k", By: "ann", For: time.Hour})
	d.give(resolve)
	d.want(t, `
		1h0m0s told resolve level 1 [a]
		1h0m0s a has resolve`)
}

func TestASnoozeIsForWhatItWas(t *testing.T) {
	d := newDesk(Options{})
	d.give(Escalate{Notification: severe(escalate.Trigger, detect.Warning), Plan: levels(0)})
	d.give(Snooze{DedupKey: "k", By: "ann", For: time.Hour})
	d.until(time.Minute)
	d.give(Escalate{Notification: severe(escalate.Update, detect.Warning)})
	d.until(2 * time.Minute)
	d.text = nil
	d.give(Escalate{Notification: severe(escalate.Update, detect.Critical)})
	d.want(t, `
		2m0s told update level 1 [a]
		2m0s a has update`)
	d.give(Snooze{DedupKey: "k", By: "ann", For: time.Hour})
	d.give(Ack{DedupKey: "k", By: "bob"})
	d.until(2 * time.Hour)
	d.want(t, ``)
	s, _ := d.m.Standing("k")
	require.True(t, s.Acked)
	require.False(t, s.Snoozed, "whoever takes it does not need the snooze")
}

// night is quiet from 22:00 to 7:00, and epoch a Monday at 21:00.
func night() (escalate.Quiet, time.Time) {
	return escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{From: 22 * time.Hour, To: 7 * time.Hour}}},
		time.Date(2026, 3, 2, 21, 0, 0, 0, time.UTC)
}

func nightDesk(opt Options) (*desk, Plan) {
	quiet, epoch := night()
	d := newDesk(opt)
	d.m.Clock(0, epoch)
	p := levels(0, 15*time.Minute)
	p.Quiet, p.Inform = quiet, []string{"i"}
	return d, p
}

func keyed(key string, kind escalate.Kind, s detect.Severity) escalate.Notification {
	n := severe(kind, s)
	n.DedupKey, n.Incident.ID, n.Incident.Watch = key, key, "watch-"+key
	return n
}

func TestQuietHoursHoldWhatIsNotCritical(t *testing.T) {
	d, p := nightDesk(Options{})
	d.until(50 * time.Minute) // 21:50
	d.give(Escalate{Notification: keyed("k1", escalate.Trigger, detect.Warning), Plan: p})
	d.until(2 * time.Hour) // 23:00
	d.give(Escalate{Notification: keyed("k2", escalate.Trigger, detect.Warning), Plan: p})
	d.give(Escalate{Notification: keyed("k3", escalate.Trigger, detect.Critical), Plan: p})
	d.give(Escalate{Notification: keyed("k1", escalate.Update, detect.Warning)})
	d.until(3 * time.Hour)
	d.give(Resolve{DedupKey: "k3"})
	d.until(9 * time.Hour) // 6:00
	d.want(t, `
		50m0s told trigger level 1 [a]
		50m0s a has trigger
		50m0s told trigger level 0 [i]
		50m0s i has trigger
		2h0m0s told trigger level 0 [i]
		2h0m0s i has trigger
		2h0m0s told trigger level 1 [a]
		2h0m0s a has trigger
		2h0m0s told trigger level 0 [i]
		2h0m0s i has trigger
		2h0m0s told update level 0 [i]
		2h0m0s i has update
		2h15m0s told trigger level 2 [b]
		2h15m0s b has trigger: nobody acknowledged it for 15m0s
		3h0m0s told resolve level 2 [a b]
		3h0m0s a has resolve
		3h0m0s b has resolve
		3h0m0s told resolve level 0 [i]
		3h0m0s i has resolve`)
	d.until(10*time.Hour + 5*time.Minute) // 7:05
	d.want(t, `
		10h0m0s told trigger level 1 [a]
		10h0m0s a has trigger
		10h0m0s a has update
		10h0m0s told trigger level 2 [b]
		10h0m0s b has trigger: nobody acknowledged it for 15m0s
		10h0m0s told update level 2 [a]`)
}

func TestWhatBeganAndEndedInQuietHoursIsOneDigest(t *testing.T) {
	d, p := nightDesk(Options{})
	d.until(2 * time.Hour)
	p.Inform = nil
	for _, k := range []string{"k1", "k2", "k3"} {
		d.give(Escalate{Notification: keyed(k, escalate.Trigger, detect.Warning), Plan: p})
	}
	d.until(2*time.Hour + 10*time.Minute)
	d.give(Resolve{DedupKey: "k1", Incident: keyed("k1", escalate.Trigger, detect.Warning).Incident})
	d.until(3 * time.Hour)
	d.give(Resolve{DedupKey: "k2", Incident: keyed("k2", escalate.Trigger, detect.Warning).Incident})
	require.Equal(t, 3, d.m.Stats().Entries, "two of them in digests for a and for b")
	d.until(9 * time.Hour)
	d.want(t, ``)
	q := &provider{desk: *d}
	q.until(11 * time.Hour)
	*d = q.desk
	d.want(t, `
		10h0m0s told trigger level 1 [a]
		10h0m0s a has trigger
		10h0m0s a has resolve
		10h0m0s told resolve level 1 [a]
		10h0m0s told resolve level 1 [b]
		10h0m0s b has resolve
		10h15m0s told trigger level 2 [b]
		10h15m0s b has trigger: nobody acknowledged it for 15m0s`)
	toA, toB := q.sends[1].Notification, q.sends[2].Notification
	require.True(t, toA.BeganAndEnded)
	require.Equal(t, 2, toA.Count)
	require.Equal(t, []string{"watch-k1", "watch-k2"}, toA.Incident.Symptoms)
	require.Equal(t, "2 incidents began and ended in quiet hours", toA.Incident.Finding.Summary)
	require.Equal(t, 1, toB.Count, "only what lasted long enough for the second level")
}

func TestQuietHoursEndForWhatBecomesCritical(t *testing.T) {
	d, p := nightDesk(Options{})
	d.until(2 * time.Hour)
	p.Inform = nil
	d.give(Escalate{Notification: keyed("k", escalate.Trigger, detect.Warning), Plan: p})
	d.until(3 * time.Hour)
	d.give(Refresh{DedupKey: "k", Incident: keyed("k", escalate.Trigger, detect.Critical).Incident})
	d.want(t, `
		3h0m0s told trigger level 1 [a]
		3h0m0s a has trigger`)
}

func TestAWallClockThatIsSetChangesQuietHours(t *testing.T) {
	d, p := nightDesk(Options{})
	d.until(2 * time.Hour)
	d.give(Escalate{Notification: keyed("k", escalate.Trigger, detect.Warning), Plan: p})
	d.text = nil
	_, epoch := night()
	d.m.Clock(d.now, epoch.Add(20*time.Hour)) // somebody sets it to 17:00
	d.until(2*time.Hour + 10*time.Minute)
	d.want(t, `
		2h10m0s told trigger level 1 [a]
		2h10m0s a has trigger`)
}
