package sqlpool_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestModuleConforms(t *testing.T) {
	for name, build := range map[string]func(*testing.T) sqlpool.Options{
		"least": func(t *testing.T) sqlpool.Options {
			return sqlpool.Options{DB: newStand(t, 2, sqlpool.TrackerOptions{}).db}
		},
		"tracked": func(t *testing.T) sqlpool.Options {
			return newStand(t, 2, sqlpool.TrackerOptions{}).options()
		},
		"full": func(t *testing.T) sqlpool.Options {
			o := newStand(t, 20, sqlpool.TrackerOptions{}).options()
			o.Name, o.FairShare, o.Settings = "replica", 5, &sqlpool.Settings{MaxIdle: 20}
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestModule(t, func(t *testing.T) selfheal.Module { return sqlpool.Module(build(t)) })
		})
	}
}

func TestTheLadderHasWhatTheOptionsAllow(t *testing.T) {
	db := newStand(t, 2, sqlpool.TrackerOptions{}).db
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	for want, o := range map[string]sqlpool.Options{
		"":                          {DB: db},
		"rebuild-pool ":             {DB: db, Settings: &sqlpool.Settings{}},
		"shrink-pool rebuild-pool ": {DB: db, Settings: &sqlpool.Settings{}, FairShare: 1},
		"await-holders cancel-holders rebuild-pool ":             {DB: db, Tracker: tracker},
		"cancel-holders rebuild-pool ":                           {DB: db, Tracker: tracker, IdleHold: -1, MaxHold: -1},
		"await-holders cancel-holders shrink-pool rebuild-pool ": {DB: db, Tracker: tracker, Settings: &sqlpool.Settings{}, FairShare: 1},
	} {
		require.NoError(t, o.Validate())
		names := ""
		for _, s := range sqlpool.Exhausted(o).Playbook.Steps {
			require.Empty(t, s.Validate())
			names += s.Name + " "
		}
		assert.Equal(t, want, names)
	}
}

func TestMistakesSayWhatToDo(t *testing.T) {
	a, b := newStand(t, 2, sqlpool.TrackerOptions{}), newStand(t, 2, sqlpool.TrackerOptions{})
	two := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	two.Connector(newServer())
	two.Connector(newServer())
	for want, o := range map[string]sqlpool.Options{
		"DB is nil: set it to":                         {},
		"MaxWait is -1s: use a positive time, or 0":    {DB: a.db, MaxWait: -time.Second},
		"IdleHold is -1s: use a positive time, 0 for":  {DB: a.db, IdleHold: -time.Second},
		"FairShare is -1":                              {DB: a.db, FairShare: -1},
		"FairShare is set without Settings":            {DB: a.db, FairShare: 3},
		"Settings.MaxIdle is -2":                       {DB: a.db, Settings: &sqlpool.Settings{MaxIdle: -2}},
		"Settings.MaxLifetime is -1s":                  {DB: a.db, Settings: &sqlpool.Settings{MaxLifetime: -time.Second}},
		"MaxChurn is NaN":                              {DB: a.db, MaxChurn: math.NaN()},
		`Name is "a/b"`:                                {DB: a.db, Name: "a/b"},
		"Tracker tracks 2 databases: use one for each": {DB: a.db, Tracker: two},
	} {
		err := sqlpool.Exhausted(o).Detector.(detect.Validator).Validate()
		require.ErrorContains(t, err, want)
		_, seen := sqlpool.Churn(o).Detector.Detect(t.Context())
		require.EqualError(t, seen, err.Error())
		for _, s := range []remediate.Step{sqlpool.AwaitHolders(o), sqlpool.CancelHolders(o), sqlpool.Reclaim(o), sqlpool.Shrink(o), sqlpool.Rebuild(o)} {
			require.EqualError(t, s.Run(t.Context(), request("i", "")), err.Error())
		}
	}
	sqlpool.Module(a.options())
	err := sqlpool.Exhausted(sqlpool.Options{DB: b.db, Tracker: a.tracker}).Detector.(detect.Validator).Validate()
	require.ErrorContains(t, err, "used with another DB already")
	require.ErrorContains(t, sqlpool.Leak(sqlpool.Options{DB: a.db}).Detector.(detect.Validator).Validate(), "Tracker is nil")

	// One that has seen nothing is another's.
	require.NoError(t, b.db.Ping())
	_, err = sqlpool.Exhausted(sqlpool.Options{DB: b.db, Tracker: sqlpool.NewTracker(sqlpool.TrackerOptions{})}).Detector.Detect(t.Context())
	require.ErrorContains(t, err, "has seen none of the connections")
}

// waiters makes callers wait for a connection that is held.
func (s *stand) waiters(t *testing.T, n int) (end func()) {
	c, err := s.db.Conn(context.Background())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, n)
	before := s.db.Stats().WaitCount
	for range n {
		go func() { _ = s.ask(ctx, "x"); done <- struct{}{} }()
	}
	require.Eventually(t, func() bool { return s.db.Stats().WaitCount == before+int64(n) }, 10*time.Second, ms)
	var ended bool
	return func() {
		if ended {
			return
		}
		ended = true
		cancel()
		for range n {
			<-done
		}
		require.NoError(t, c.Close())
	}
}

func TestDetectorsConform(t *testing.T) {
	t.Run("exhausted", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
			s := newStand(t, 1, sqlpool.TrackerOptions{})
			o := s.options()
			o.MaxWait = 20 * ms
			end := func() {}
			t.Cleanup(func() { end() })
			d := sqlpool.Exhausted(o).Detector
			_, _ = d.Detect(t.Context())
			return selfhealtest.DetectorFixture{
				Detector: d,
				Sicken:   func() { end(); end = s.waiters(t, 2) },
				Heal: func() {
					end()
					for range 2000 { // waits of no length, so that the average falls
						for done := s.waiters(t, 1); done != nil; done = nil {
							done()
						}
						if f, _ := d.Detect(t.Context()); len(f) == 0 {
							return
						}
					}
				},
				Within: 30 * time.Second,
			}
		})
	})
	t.Run("leak", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
			s := newStand(t, 4, sqlpool.TrackerOptions{})
			o := s.options()
			o.LeakAfter = 20 * ms
			var x *sql.Tx
			end := func() {
				if x != nil {
					require.NoError(t, x.Rollback())
				}
				x = nil
			}
			t.Cleanup(end)
			return selfhealtest.DetectorFixture{
				Detector: sqlpool.Leak(o).Detector,
				Sicken: func() {
					end()
					var err error
					x, err = s.db.Begin()
					require.NoError(t, err)
				},
				Heal:   end,
				Within: 10 * time.Second,
			}
		})
	})
}

func TestStepsConform(t *testing.T) {
	held := func(t *testing.T) (*stand, sqlpool.Options) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		s.hoard(t, 1)
		s.tracker.Holders()
		o := s.options()
		o.IdleHold = ms
		time.Sleep(5 * ms)
		return s, o
	}
	t.Run("cancel-holders", func(t *testing.T) {
		selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
			s, o := held(t)
			return selfhealtest.StepFixture{
				Step: sqlpool.CancelHolders(o),
				State: func() string {
					s.mu.Lock()
					defer s.mu.Unlock()
					return fmt.Sprint(len(s.sessions), s.dials)
				},
				Inapplicable: func() {
					require.NoError(t, sqlpool.CancelHolders(o).Run(context.Background(), request("other", "")))
				},
			}
		})
	})
	t.Run("reclaim", func(t *testing.T) {
		selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
			s := newStand(t, 2, sqlpool.TrackerOptions{})
			lose(t, s.db)
			s.collect(t, 1)
			return selfhealtest.StepFixture{
				Step: sqlpool.Reclaim(s.options()), Finding: detect.Finding{Key: s.tracker.Holders()[0].Site},
				State: func() string { return fmt.Sprint(s.dials) },
				Inapplicable: func() {
					require.NoError(t, sqlpool.Reclaim(s.options()).Run(context.Background(), request("other", s.tracker.Holders()[0].Site)))
				},
			}
		})
	})
	t.Run("shrink-pool", func(t *testing.T) {
		selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
			s := newStand(t, 20, sqlpool.TrackerOptions{})
			o := s.options()
			o.FairShare, o.Settings = 5, &sqlpool.Settings{MaxIdle: 20}
			return selfhealtest.StepFixture{
				Step:         sqlpool.Shrink(o),
				State:        func() string { return fmt.Sprint(s.db.Stats().MaxOpenConnections, s.keeps(t, 10)) },
				Inapplicable: func() { s.db.SetMaxOpenConns(5) },
			}
		})
	})
	for name, tracked := range map[string]bool{"rebuild-pool": true, "rebuild-pool, untracked": false} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
				s := newStand(t, 10, sqlpool.TrackerOptions{})
				o := sqlpool.Options{DB: s.db, Settings: &sqlpool.Settings{MaxIdle: 10}}
				if tracked {
					o = s.options()
				}
				s.keeps(t, 4)
				step := sqlpool.QuickRebuild(o, 5*ms)
				return selfhealtest.StepFixture{
					Step: step,
					State: func() string {
						before := s.db.Stats()
						s.keeps(t, 4)
						return fmt.Sprint(s.dials, before.MaxOpenConnections)
					},
					Inapplicable: func() {
						require.NoError(t, step.Run(context.Background(), request("other", "")))
					},
				}
			})
		})
	}
}

// keeps uses n connections at once and returns how many of them the pool keeps, at
// most as many as it may have.
func (s *stand) keeps(t *testing.T, n int) int {
	n = min(n, s.db.Stats().MaxOpenConnections)
	var conns []*sql.Conn
	for range n {
		c, err := s.db.Conn(context.Background())
		require.NoError(t, err)
		require.NoError(t, c.PingContext(context.Background()))
		conns = append(conns, c)
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	return s.db.Stats().Idle
}

// Settings that cannot be true are not put back.
func TestSettingsThatAreContradicted(t *testing.T) {
	s := newStand(t, 20, sqlpool.TrackerOptions{})
	s.keeps(t, 10)
	o := s.options()
	o.FairShare, o.Settings = 5, &sqlpool.Settings{MaxIdle: 8}
	err := sqlpool.Shrink(o).Run(t.Context(), request("i", ""))
	require.ErrorIs(t, err, remediate.ErrEscalate)
	require.ErrorContains(t, err, "10 connections are idle, and Options.Settings says that at most 8 are kept")
	o.Tracker = nil
	require.ErrorIs(t, sqlpool.Rebuild(o).Run(t.Context(), request("i", "")), remediate.ErrEscalate)
	require.Equal(t, 10, s.db.Stats().Idle)
	require.Equal(t, 20, s.db.Stats().MaxOpenConnections)

	s.db.SetConnMaxLifetime(ms)
	time.Sleep(2 * ms)
	s.keeps(t, 1)
	o.Settings.MaxIdle = 20
	require.ErrorContains(t, sqlpool.Rebuild(o).Run(t.Context(), request("i", "")), "say what SetConnMaxLifetime was called with")
}

// A pool that most hold without a use is not helped by less of it.
func TestAPoolIsNotShrunkForThoseWhoHoldIt(t *testing.T) {
	s := newStand(t, 4, sqlpool.TrackerOptions{})
	s.hoard(t, 3)
	s.tracker.Holders()
	time.Sleep(1100 * ms)
	o := s.options()
	o.FairShare, o.Settings = 2, &sqlpool.Settings{MaxIdle: 4}
	require.ErrorContains(t, sqlpool.Shrink(o).Run(t.Context(), request("i", "")), "3 of 3 connections are held without a call")
}

// A program that sets its limit anew keeps it.
func TestAnUndoLeavesTheProgramsLimitAlone(t *testing.T) {
	s := newStand(t, 20, sqlpool.TrackerOptions{})
	o := s.options()
	o.FairShare, o.Settings = 5, &sqlpool.Settings{MaxIdle: 20}
	step, req := sqlpool.Shrink(o), request("i", "")
	req.Save = func(memo []byte) error { req.Memo = memo; return nil }
	require.NoError(t, step.Run(t.Context(), req))
	require.Equal(t, 5, s.db.Stats().MaxOpenConnections)
	s.db.SetMaxOpenConns(12)
	require.NoError(t, step.Undo(t.Context(), req))
	require.Equal(t, 12, s.db.Stats().MaxOpenConnections)

	req.Memo = []byte("{")
	require.Error(t, step.Undo(t.Context(), req))
	req.Save = func([]byte) error { return errors.New("disk full") }
	req.Incident = "j"
	require.ErrorContains(t, step.Run(t.Context(), req), "disk full")
	require.Equal(t, 12, s.db.Stats().MaxOpenConnections)
}
