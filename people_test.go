package selfheal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// sickly is a watch that only tells people, of as many keys as n says.
func sickly(name string, n *atomic.Int64, severity detect.Severity, p escalate.Policy) selfheal.Watch {
	return selfheal.Watch{Name: name, Escalate: p, KeepFor: time.Second, Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
		var fs []detect.Finding
		for i := range n.Load() {
			fs = append(fs, detect.Finding{Key: fmt.Sprintf("key-%d", i), Severity: severity, Summary: "sick"})
		}
		return fs, nil
	})}
}

func count(n int64) *atomic.Int64 {
	var c atomic.Int64
	c.Store(n)
	return &c
}

func incidents(s *selfheal.Supervisor) []selfheal.IncidentStatus {
	var all []selfheal.IncidentStatus
	for _, w := range s.Status().Watches {
		all = append(all, w.Incidents...)
	}
	return all
}

func TestAThousandAlertsAreThreeNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager, keys := &selfhealtest.Pager{}, count(1000)
		selfhealtest.Start(t, sickly("disks", keys, detect.Warning, escalate.To(pager)))
		time.Sleep(time.Second)
		require.NotEmpty(t, pager.Pages(), "the first within a second")
		time.Sleep(59 * time.Second)
		pages := pager.Pages()
		require.Len(t, pages, 3)
		require.Equal(t, 998, pages[2].Count)
		require.Contains(t, pages[2].Text(), "998 incidents at once")
		keys.Store(0)
		time.Sleep(time.Minute)
		open := map[string]bool{}
		for _, n := range pages {
			open[n.DedupKey] = true
		}
		for _, n := range pager.Resolved() {
			delete(open, n.DedupKey)
		}
		require.Empty(t, open, "whatever was opened is resolved")
		require.Len(t, pager.Resolved(), 3)
	})
}

func TestUndeliverableIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &selfhealtest.Pager{}, &selfhealtest.Pager{}
		first.Fail(errors.New("connection refused"))
		second.Fail(escalate.Permanent(errors.New("no such channel")))
		trial := selfhealtest.Start(t, sickly("disk", count(1), detect.Critical, escalate.Policy{Levels: []escalate.Level{
			{To: []escalate.Notifier{escalate.Named("first", first)}},
			{After: time.Hour, To: []escalate.Notifier{escalate.Named("second", second)}},
		}}))
		s := trial.Supervisor()
		time.Sleep(2 * time.Minute)
		st := s.Status()
		require.Equal(t, 1, st.Undeliverable)
		require.True(t, incidents(s)[0].Undeliverable)
		require.Equal(t, "first", st.Targets[0].Name)
		require.True(t, st.Targets[0].Down)
		require.Equal(t, "connection refused", st.Targets[0].Error)
		require.NoError(t, testutil.CollectAndCompare(s.Collector(), strings.NewReader(`
# HELP selfheal_incidents_undeliverable Open incidents of which nobody could be reached.
# TYPE selfheal_incidents_undeliverable gauge
selfheal_incidents_undeliverable 1
# HELP selfheal_notifiers_down Notifiers that do not answer, so that others are told in their place.
# TYPE selfheal_notifiers_down gauge
selfheal_notifiers_down 1
`), "selfheal_incidents_undeliverable", "selfheal_notifiers_down"))
		var lines []string
		for _, e := range trial.Events() {
			switch e.(type) {
			case selfheal.EventUndeliverable, selfheal.EventTarget:
				lines = append(lines, e.Line(false))
			}
		}
		require.Equal(t, []string{"target down first", "undeliverable second", "undeliverable"}, lines)

		first.Fail(nil)
		time.Sleep(3 * time.Minute)
		require.Len(t, first.Pages(), 1, "it is told once its provider is back")
		require.Zero(t, s.Status().Undeliverable)
	})
}

func TestSnooze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		p := escalate.To(pager)
		p.Repeat = time.Minute
		trial := selfhealtest.Start(t, sickly("disk", count(1), detect.Warning, p))
		s := trial.Supervisor()
		time.Sleep(time.Second)
		until := func(d time.Duration) time.Time { return time.Now().Add(d) }
		require.ErrorIs(t, s.Snooze("nothing", "ann", until(time.Hour)), selfheal.ErrNoSuch)
		require.ErrorContains(t, s.Snooze("x", "", until(time.Hour)), "say who")
		require.ErrorContains(t, s.Snooze("x", "ann", until(-time.Hour)), "not in the future")
		require.ErrorContains(t, selfheal.New(selfheal.Options{}).Snooze("x", "ann", until(time.Hour)), "call Run")
		id := incidents(s)[0].ID
		require.NoError(t, s.Snooze(id, "ann", until(time.Hour)))
		time.Sleep(59 * time.Minute)
		require.Len(t, pager.Pages(), 1)
		require.Equal(t, "ann", incidents(s)[0].SnoozedBy)
		time.Sleep(2 * time.Minute)
		require.Greater(t, len(pager.Pages()), 1)
		require.Contains(t, pager.Pages()[1].Note, "the snooze by ann ran out")
	})
}

func TestAnAckOfAGroupedNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		p := escalate.To(pager)
		p.Repeat = 10 * time.Minute
		s := selfhealtest.Start(t, sickly("disk", count(50), detect.Warning, p)).Supervisor()
		time.Sleep(time.Minute)
		group := pager.Pages()[2].DedupKey
		require.NoError(t, s.Snooze(group, "ann", time.Now().Add(time.Minute)))
		require.NoError(t, s.Ack(group, "ann", time.Time{}))
		acked := 0
		for _, in := range incidents(s) {
			if in.AckedBy == "ann" {
				acked++
			}
		}
		require.Equal(t, 48, acked)
	})
}

func TestTestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager, broken := &selfhealtest.Pager{}, &selfhealtest.Pager{}
		broken.Fail(errors.New("connection refused"))
		night := escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{To: 23 * time.Hour}}}
		s := selfhealtest.Start(t, sickly("disk", count(0), detect.Warning, escalate.Policy{
			Levels: []escalate.Level{{To: []escalate.Notifier{escalate.Named("oncall", pager), escalate.Named("mail", broken)}}}, Quiet: night,
		})).Supervisor()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, s.TestNotify(ctx, "oncall"))
		n := pager.Pages()[0]
		require.True(t, n.Test)
		require.Contains(t, n.Title(), "test: ")
		require.Contains(t, n.Text(), "nothing is wrong")
		require.Equal(t, n.DedupKey, pager.Resolved()[0].DedupKey, "what it opened it ends")
		require.ErrorContains(t, s.TestNotify(ctx, "mail"), "connection refused")
		require.ErrorContains(t, s.TestNotify(ctx, "nobody"), "there are mail, oncall")
		require.Zero(t, s.Status().Counts.Undeliverable, "a test that fails loses no notice")
		require.ErrorContains(t, selfheal.New(selfheal.Options{}).TestNotify(ctx, "oncall"), "call Run")
	})
}

func TestATestThatIsLeftIsResolvedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var kinds []escalate.Kind
		slow := escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
			time.Sleep(5 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, n.Kind)
			return nil
		})
		s := selfhealtest.Start(t, sickly("disk", count(0), detect.Warning, escalate.To(escalate.Named("slow", slow)))).Supervisor()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.TestNotify(ctx, "slow"), context.DeadlineExceeded)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []escalate.Kind{escalate.Trigger, escalate.Resolve}, kinds)
	})
}

func TestQuietHoursAndRoutingReachTheNotifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight, UTC
		day, night := &selfhealtest.Pager{}, &selfhealtest.Pager{}
		p := escalate.Policy{
			Levels: []escalate.Level{{To: []escalate.Notifier{day}}, {To: []escalate.Notifier{night}, Min: detect.Critical}},
			Quiet:  escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{From: 22 * time.Hour, To: 7 * time.Hour}}},
		}
		lasting, passing := count(1), count(3)
		selfhealtest.Start(t, sickly("lasting", lasting, detect.Warning, p), sickly("passing", passing, detect.Warning, p), sickly("bad", count(1), detect.Critical, p))
		time.Sleep(time.Hour)
		passing.Store(0)
		require.Len(t, day.Pages(), 1)
		require.Len(t, night.Pages(), 1)
		require.Equal(t, "bad", night.Pages()[0].Incident.Watch)
		time.Sleep(6*time.Hour + time.Minute)
		require.Len(t, day.Pages(), 2)
		require.Equal(t, "lasting", day.Pages()[1].Incident.Watch)
		require.Len(t, day.Resolved(), 1)
		require.Equal(t, 3, day.Resolved()[0].Count)
	})
}

func TestTheDeadMansSwitchNeedsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		var calls atomic.Int64
		alive := clientFunc(func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			w := httptest.NewRecorder()
			return w.Result(), nil
		})
		trial := selfhealtest.StartWith(t, selfheal.Options{Service: "shop", DeadMan: escalate.DeadMan{
			URL: "https://example.test/canary-secret", Client: &http.Client{Transport: alive}, To: escalate.Named("watchdog", pager), Every: time.Minute,
		}}, selfheal.Watch{Name: "well", Detector: selfhealtest.Script()})
		time.Sleep(10*time.Minute + time.Second)
		require.InDelta(t, 10, calls.Load(), 1)
		require.Len(t, pager.Pages(), int(calls.Load()))
		n := pager.Pages()[3]
		require.Equal(t, escalate.Trigger, n.Kind)
		require.Equal(t, pager.Pages()[0].DedupKey, n.DedupKey)
		st := trial.Supervisor().Status()
		require.WithinDuration(t, time.Now(), st.DeadMan.Last, time.Minute)
		require.Empty(t, st.Owed)

		trial.Stop()
		was := calls.Load()
		time.Sleep(10 * time.Minute)
		require.Equal(t, was, calls.Load(), "it stops with the supervisor")
		require.Empty(t, pager.Resolved(), "and does not say that all is over")
	})
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestADeadMansSwitchThatFailsIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := clientFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
		s := selfhealtest.StartWith(t, selfheal.Options{DeadMan: escalate.DeadMan{
			URL: "https://example.test/canary-secret", Client: &http.Client{Transport: down},
		}}, selfheal.Watch{Name: "well", Detector: selfhealtest.Script()}).Supervisor()
		time.Sleep(2 * time.Minute)
		st := s.Status()
		require.Contains(t, st.DeadMan.Error, "no route")
		require.NotContains(t, st.DeadMan.Error, "canary")
		require.Zero(t, st.DeadMan.Last)
	})
	err := selfheal.New(selfheal.Options{DeadMan: escalate.DeadMan{URL: "no address"}}).Validate()
	require.ErrorContains(t, err, "Options.DeadMan: escalate: dead man: URL is no address")
}

func TestOneNotifierIsOneTargetHoweverItIsWrapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &selfhealtest.Pager{}
		pager.Fail(errors.New("down"))
		named := func() escalate.Policy {
			return escalate.To(escalate.Limit(escalate.Named("oncall", pager), escalate.Rate{N: 10, Per: time.Minute}))
		}
		f := escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return errors.New("down") })
		s := selfhealtest.Start(t, sickly("one", count(1), detect.Warning, named()), sickly("two", count(1), detect.Warning, named()), sickly("three", count(1), detect.Warning, escalate.To(f))).Supervisor()
		time.Sleep(time.Minute)
		var names []string
		for _, target := range s.Status().Targets {
			names = append(names, target.Name)
		}
		require.Equal(t, []string{"escalate.NotifierFunc#1", "oncall"}, names)
	})
}

func TestWithAJournalTargetsNeedNamesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	journal, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	defer journal.Close()
	pager := &selfhealtest.Pager{}
	f := escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })
	policy := escalate.To(escalate.Named("a", pager), escalate.Named("a", f), escalate.Named("b", pager), f)
	with := func(j *selfheal.Journal) error {
		s := selfheal.New(selfheal.Options{Journal: j, Escalate: policy})
		s.Watch(sickly("disk", count(0), detect.Warning, escalate.To(escalate.Named("a", pager))))
		return s.Validate()
	}
	require.NoError(t, with(nil))
	var wiring *selfheal.WiringError
	require.ErrorAs(t, with(journal), &wiring)
	require.Len(t, wiring.Problems, 2, "%v", wiring)
	require.Contains(t, wiring.Problems[0].What, `two notifiers are named "a"`)
	require.Contains(t, wiring.Problems[1].What, "has no name")
}
