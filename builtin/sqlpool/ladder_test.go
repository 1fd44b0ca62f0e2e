package sqlpool_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// told is the timeline without the words of the findings, which depend on the moment,
// and without what came to nothing.
func told(trial *selfhealtest.Trial) string {
	var lines []string
	for line := range strings.Lines(trial.Timeline()) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, " blip") {
			continue
		}
		if strings.Contains(line, " open ") {
			line, _, _ = strings.Cut(line, ": ")
		} else {
			line = name.ReplaceAllString(line, "")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// name is that of an incident; a timeline has it wherever a second one was seen,
// be it for a moment.
var name = regexp.MustCompile(`sqlpool/\S+ `)

// hoard holds connections and forgets them until the test ends.
func (s *stand) hoard(t *testing.T, n int) {
	t.Helper()
	for range n {
		x, err := s.db.Begin()
		require.NoError(t, err)
		t.Cleanup(func() { _ = x.Rollback() })
	}
}

// Holders that forgot a connection a moment ago are given their time first.
func TestAPoolThatIsHeldIsHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 4, sqlpool.TrackerOptions{})
		trial := selfhealtest.Start(t, watches(sqlpool.Module(s.options()))...)
		served := s.traffic(t, 4, "sleep 10ms", time.Second)
		time.Sleep(time.Minute)
		trial.Want("")
		s.hoard(t, 4)
		time.Sleep(2 * time.Minute)
		before := served.Load()
		time.Sleep(10 * time.Minute)
		require.Greater(t, served.Load()-before, int64(4_000))
		require.Regexp(t, `^1m1\ds open sqlpool/exhausted
2m\d+s step await-holders: no effect
2m\d+s step cancel-holders: healed
7m\d+s close sqlpool/exhausted$`, told(trial))
		require.Equal(t, 8, s.db.Stats().MaxOpenConnections)
		require.LessOrEqual(t, s.most, 4, "the server never sees more than the program allows")
		require.Empty(t, trial.Pager().Pages())
	})
}

// A program that forgets its connections again and again is healed for a while, and
// then a person is told that it is no cure.
func TestAHealThatIsRepeatedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		trial := selfhealtest.Start(t, watches(sqlpool.Module(s.options()))...)
		s.traffic(t, 2, "x", time.Second)
		for n := 1; ; n++ {
			s.hoard(t, 2)
			time.Sleep(20 * time.Minute)
			require.Equal(t, min(n, 2), strings.Count(told(trial), "cancel-holders: healed"))
			if n == 3 {
				require.Equal(t, escalate.Masking, trial.Pager().Pages()[0].Incident.Reason)
				return
			}
			require.Empty(t, trial.Pager().Pages())
		}
	})
}

// A database that gets slower the more is asked of it at once.
func TestAPoolBeforeASlowDatabaseIsShrunkAndGetsItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 10, sqlpool.TrackerOptions{})
		o := s.options()
		o.FairShare, o.Settings, o.KeepFor = 2, &sqlpool.Settings{MaxIdle: 10}, time.Minute
		trial := selfhealtest.Start(t, watches(sqlpool.Module(o))...)
		s.traffic(t, 20, "x", 10*time.Second)
		time.Sleep(time.Minute)
		trial.Want("")
		s.set(func(s *server) { s.thrash = 15 * ms })
		time.Sleep(time.Minute)
		require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
		s.set(func(s *server) { s.thrash = 0 })
		time.Sleep(2 * time.Minute)
		require.Regexp(t, `^1m1\ds open sqlpool/exhausted
1m1\ds step await-holders: skipped
1m1\ds step cancel-holders: skipped
1m4\ds step shrink-pool: healed
2m4\ds undo shrink-pool
2m4\ds close sqlpool/exhausted$`, told(trial))
		require.Equal(t, 10, s.db.Stats().MaxOpenConnections)
		for range 10 {
			go func() { _ = s.ask(t.Context(), "sleep 1s") }()
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, 10, s.open(), "it keeps as many as it did")
		require.Empty(t, trial.Pager().Pages())
	})
}

// Nothing here heals a database that answers nobody: people are told, and it closes
// when it answers again. The pool does not grow.
func TestADatabaseThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 4, sqlpool.TrackerOptions{})
		o := s.options()
		o.KeepFor = time.Minute
		trial := selfhealtest.Start(t, watches(sqlpool.Module(o))...)
		s.traffic(t, 12, "x", 2*time.Second)
		time.Sleep(time.Minute)
		thaw := s.freeze(false)
		time.Sleep(2 * time.Minute)
		require.Regexp(t, `^1m1\ds open sqlpool/exhausted
1m1\ds step await-holders: skipped
1m1\ds step cancel-holders: skipped
1m\d+s step rebuild-pool: no effect
1m\d+s page exhausted$`, told(trial))
		text := trial.Pager().Pages()[0].Incident.Text()
		require.Contains(t, text, "for a connection, above 500ms: 4 of 4 are in use")
		thaw()
		time.Sleep(3 * time.Minute)
		require.True(t, strings.HasSuffix(told(trial), "close sqlpool/exhausted"), told(trial))
		require.Len(t, trial.Pager().Resolved(), 1)
		require.Equal(t, 4, s.db.Stats().MaxOpenConnections)
		require.LessOrEqual(t, s.most, 4)
	})
}

// Calls that hang without a time-out of their own, on connections that lead nowhere.
func TestCallsThatHangAreCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 4, sqlpool.TrackerOptions{})
		o := s.options()
		o.MaxHold = 5 * time.Second
		trial := selfhealtest.Start(t, watches(sqlpool.Module(o))...)
		ended := make(chan error, 4)
		for range 4 {
			go func() { ended <- s.ask(context.Background(), "sleep 24h") }()
		}
		s.traffic(t, 2, "x", 2*time.Second)
		time.Sleep(time.Minute)
		require.Len(t, ended, 4)
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Contains(t, told(trial), "step cancel-holders: healed")
		require.Equal(t, 4, s.db.Stats().MaxOpenConnections)
	})
}

func TestASuspectedLeakIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 4, sqlpool.TrackerOptions{})
		trial := selfhealtest.Start(t, watches(sqlpool.Module(s.options()))...)
		end := loadOrders(t.Context(), t, s.db, "rows")
		time.Sleep(10 * time.Minute)
		require.Regexp(t, `^5m0s open sqlpool/leak\[.*sqlpool_test\.loadOrders \(sqlpool/tracker_test\.go:\d+\)\]
5m0s step reclaim: skipped
5m0s page exhausted$`, told(trial))
		require.Regexp(t, `1 connection since 5m[01]s without a call: \*sql\.Rows that were not closed`, trial.Pager().Pages()[0].Incident.Text())
		require.NoError(t, end())
		time.Sleep(2 * time.Minute)
		require.Len(t, trial.Pager().Resolved(), 1)
	})
}

func TestCallersAreSeenToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		trial := selfhealtest.Start(t, watches(sqlpool.Module(s.options()))...)
		s.traffic(t, 4, "sleep 300ms", time.Minute) // every 1.2 s, of which each waits 0.4
		time.Sleep(20 * time.Minute)
		require.Regexp(t, `^10m\d+s open sqlpool/warning
10m\d+s page exhausted$`, told(trial))
		require.Contains(t, trial.Pager().Pages()[0].Incident.Text(), "for a connection")
	})
}

func TestAPoolThatKeepsTooFewIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 10, sqlpool.TrackerOptions{})
		s.db.SetMaxIdleConns(1)
		trial := selfhealtest.Start(t, watches(sqlpool.Module(s.options()))...)
		s.traffic(t, 6, "sleep 10ms", time.Second)
		time.Sleep(15 * time.Minute)
		require.Regexp(t, `^1\dm\d+s open sqlpool/churn
1\dm\d+s page exhausted$`, told(trial))
		require.Contains(t, trial.Pager().Pages()[0].Incident.Text(), "raise SetMaxIdleConns")
	})
}

// held is a pool whose every connection is held, past its time, with callers waiting.
func held(t *testing.T) *stand {
	s := newStand(t, 2, sqlpool.TrackerOptions{})
	s.hoard(t, 2)
	s.traffic(t, 2, "x", 2*time.Second)
	return s
}

// untouched fails the test where anything was done.
func (s *stand) untouched(t *testing.T) {
	t.Helper()
	require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
	require.Equal(t, 2, s.open())
	require.Equal(t, 2, s.dials)
	for _, h := range s.tracker.Holders() {
		require.False(t, h.Taken)
	}
}

func TestMustNotAct(t *testing.T) {
	run := func(name string, o selfheal.Options, prepare func(t *testing.T, s *stand, trial *selfhealtest.Trial), says string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := held(t)
				trial := selfhealtest.StartWith(t, o, watches(sqlpool.Module(s.options()))...)
				if prepare != nil {
					prepare(t, s, trial)
				}
				time.Sleep(16 * time.Minute) // by then people are told of anything that is held
				s.untouched(t)
				require.Contains(t, trial.Timeline(), says)
				require.NotEmpty(t, trial.Pager().Pages(), "and it does not end in silence")
			})
		})
	}
	run("halt", selfheal.Options{}, func(t *testing.T, _ *stand, trial *selfhealtest.Trial) {
		require.NoError(t, trial.Supervisor().Halt("ann", "a deploy"))
	}, "halt")
	run("shadow", selfheal.Options{Mode: selfheal.Shadow}, nil, "would step")
	run("propose", selfheal.Options{Mode: selfheal.Propose}, nil, "ask")
	run("gate", selfheal.Options{Gate: func(context.Context, selfheal.Proposal) error { return errors.New("a deploy") }}, nil, "gate")
	run("disabled", selfheal.Options{Disable: []string{"cancel-holders", "rebuild-pool", "sqlpool/leak"}}, nil, "page")
	run("blind", selfheal.Options{}, func(t *testing.T, s *stand, _ *selfhealtest.Trial) {
		time.Sleep(5 * time.Second)
		sqlpool.CloseTracker(s.tracker)
	}, "blind sqlpool/exhausted: sqlpool: the database was closed")
}

// Many pools at once have a cause in common: the network, or this process.
func TestAStormIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pools []*stand
		var all []selfheal.Watch
		for i := range 6 {
			s := newStand(t, 2, sqlpool.TrackerOptions{})
			o := s.options()
			o.Name = fmt.Sprint("shard-", i)
			pools = append(pools, s)
			all = append(all, watches(sqlpool.Module(o))...)
		}
		trial := selfhealtest.Start(t, all...)
		time.Sleep(time.Minute)
		for _, s := range pools {
			s.hoard(t, 2)
			s.traffic(t, 2, "x", 2*time.Second)
		}
		time.Sleep(4 * time.Minute)
		require.True(t, trial.Supervisor().Status().Storm)
		for _, s := range pools {
			s.untouched(t)
		}
		require.Equal(t, escalate.Storm, trial.Pager().Pages()[0].Incident.Reason)
	})
}
