package sqlpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// takeAll takes back what is held, which by then is past its time.
func (s *stand) takeAll(t *testing.T) {
	t.Helper()
	s.tracker.Holders()
	time.Sleep(2 * time.Minute)
	require.NoError(t, sqlpool.CancelHolders(s.options()).Run(t.Context(), request("i", "")))
}

// Whoever held on too long is told, nothing of his is done, and the slot that was
// given in his place is taken back when he returns the connection.
func TestWhatIsTakenBack(t *testing.T) {
	check := func(t *testing.T, use func(t *testing.T, s *stand) (after func())) {
		synctest.Test(t, func(t *testing.T) {
			s := newStand(t, 2, sqlpool.TrackerOptions{})
			after := use(t, s)
			s.takeAll(t)
			require.Equal(t, 3, s.db.Stats().MaxOpenConnections)
			require.Equal(t, 1, s.open(), "for those that wait")
			require.True(t, s.tracker.Holders()[0].Taken)
			after()
			require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
			require.Zero(t, s.db.Stats().InUse)
			require.Empty(t, s.tracker.Holders())
			require.Zero(t, s.commits)
			sum(t, s.db)
		})
	}
	told := func(t *testing.T, err error) {
		t.Helper()
		var taken *sqlpool.TakenError
		require.ErrorAs(t, err, &taken)
		require.ErrorIs(t, err, driver.ErrBadConn, "nothing was asked of the server")
		require.Contains(t, err.Error(), "the connection was taken back after 2m0s, because it was not used for 2m0s while others waited: close what")
		require.Contains(t, taken.Site, "TestWhatIsTakenBack")
	}
	t.Run("rows", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			r, err := s.db.Query("select")
			require.NoError(t, err)
			return func() {
				require.False(t, r.Next())
				told(t, r.Err())
				require.NoError(t, r.Close())
			}
		})
	})
	t.Run("rows that are only closed", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			r, err := s.db.Query("select")
			require.NoError(t, err)
			return func() { require.NoError(t, r.Close()) }
		})
	})
	t.Run("a commit", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			x, err := s.db.Begin()
			require.NoError(t, err)
			return func() { told(t, x.Commit()) }
		})
	})
	t.Run("a rollback", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			x, err := s.db.Begin()
			require.NoError(t, err)
			r, err := x.Query("select")
			require.NoError(t, err)
			return func() {
				require.False(t, r.Next())
				_, err := x.Exec("insert")
				told(t, err)
				require.NoError(t, x.Rollback())
			}
		})
	})
	t.Run("a connection", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			c, err := s.db.Conn(t.Context())
			require.NoError(t, err)
			return func() {
				told(t, c.PingContext(t.Context()))
				require.ErrorIs(t, c.PingContext(t.Context()), sql.ErrConnDone)
			}
		})
	})
	t.Run("a statement", func(t *testing.T) {
		check(t, func(t *testing.T, s *stand) func() {
			p, err := s.db.Prepare("select")
			require.NoError(t, err)
			r, err := p.Query()
			require.NoError(t, err)
			return func() {
				require.NoError(t, r.Close())
				r, err = p.Query() // on another connection
				require.NoError(t, err)
				require.NoError(t, r.Close())
				require.NoError(t, p.Close())
			}
		})
	})
}

// A call under way is cancelled, and its caller is told by whom.
func TestACallIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		var told [2]error
		for i := range told {
			go func() { told[i] = s.ask(context.Background(), "sleep 1h") }()
		}
		time.Sleep(11 * time.Minute)
		require.NoError(t, sqlpool.CancelHolders(s.options()).Run(t.Context(), request("i", "")))
		synctest.Wait()
		for _, err := range told {
			var taken *sqlpool.TakenError
			require.ErrorAs(t, err, &taken)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, driver.ErrBadConn, "the server may have done it")
			require.ErrorContains(t, err, "because it was held for longer than 10m0s while others waited")
		}
		require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
		require.Zero(t, s.db.Stats().InUse)
	})
}

// One that gets an error and keeps its connection all the same loses it too.
func TestACancelledHolderThatKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		x, err := s.db.Begin()
		require.NoError(t, err)
		go func() { _, _ = x.Exec("sleep 1h") }()
		time.Sleep(11 * time.Minute)
		require.NoError(t, sqlpool.CancelHolders(s.options()).Run(t.Context(), request("i", "")))
		require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
		require.NoError(t, s.db.Ping())
		require.Error(t, x.Commit())
		require.Equal(t, 1, s.db.Stats().MaxOpenConnections)
		require.Zero(t, s.commits)
	})
}

func TestADriverThatDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		done := make(chan error, 1)
		require.NoError(t, s.db.Ping())
		thaw := s.freeze(true)
		go func() { done <- s.ask(context.Background(), "x") }()
		time.Sleep(11 * time.Minute)
		err := sqlpool.CancelHolders(s.options()).Run(t.Context(), request("i", ""))
		require.ErrorContains(t, err, "1 connection: the driver goes on with calls that were cancelled 2s ago")
		require.Equal(t, 2, s.db.Stats().MaxOpenConnections, "the session is still open")
		require.Equal(t, 1, s.open())
		thaw()
		require.NoError(t, <-done, "it was done after all")
		require.NoError(t, s.db.Ping())
	})
}

// A call that ended long after it was cancelled, and whose holder kept the connection.
func TestAHolderThatAnswersLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		x, err := s.db.Begin()
		require.NoError(t, err)
		thaw := s.freeze(true)
		go func() { _, _ = x.Exec("x") }()
		time.Sleep(11 * time.Minute)
		step := sqlpool.CancelHolders(s.options())
		require.ErrorContains(t, step.Run(t.Context(), request("i", "")), "goes on with calls that were cancelled")
		require.ErrorContains(t, step.Run(t.Context(), request("j", "")), "no holder is past its time", "it is being waited for")
		thaw()
		synctest.Wait()
		require.NoError(t, step.Run(t.Context(), request("k", "")))
		require.Equal(t, 2, s.db.Stats().MaxOpenConnections)
		require.NoError(t, s.db.Ping())
		require.ErrorIs(t, x.Commit(), driver.ErrBadConn)
		require.Equal(t, 1, s.db.Stats().MaxOpenConnections)
	})
}

// What a program does in its description of a holder stops nothing.
func TestADescriptionThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{Describe: func(context.Context) string { panic("no tenant") }})
		s.hoard(t, 1)
		require.Equal(t, "(TrackerOptions.Describe panicked: no tenant)", s.tracker.Holders()[0].For)
		s.takeAll(t)
		require.Equal(t, 1, s.open())
	})
}

func TestWhoMayHoldOn(t *testing.T) {
	for name, test := range map[string]struct {
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		o    sqlpool.Options
		busy bool
		may  bool
	}{
		"nobody":                       {},
		"by AllowHold":                 {ctx: allow(time.Hour), may: true},
		"for ever":                     {ctx: allow(-1), may: true},
		"AllowHold is over":            {ctx: allow(time.Minute)},
		"a context that ends":          {ctx: deadline(time.Hour), may: true},
		"no limit":                     {o: sqlpool.Options{IdleHold: -1, MaxHold: -1}, may: true},
		"only as long as it is in use": {o: sqlpool.Options{IdleHold: -1}},
		"in use":                       {o: sqlpool.Options{MaxHold: -1}, busy: true, may: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t, 1, sqlpool.TrackerOptions{})
				ctx := context.Background()
				if test.ctx != nil {
					var cancel context.CancelFunc
					ctx, cancel = test.ctx(ctx)
					defer cancel()
				}
				x, err := s.db.BeginTx(ctx, nil)
				require.NoError(t, err)
				defer func() { _ = x.Rollback() }()
				for range 11 {
					if test.busy {
						_, err := x.Exec("x")
						require.NoError(t, err)
					}
					s.tracker.Holders()
					time.Sleep(59 * time.Second)
				}
				test.o.DB, test.o.Tracker = s.db, s.tracker
				err = sqlpool.CancelHolders(test.o).Run(t.Context(), request("i", ""))
				if test.may {
					require.ErrorContains(t, err, "no holder is past its time")
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}

func allow(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		return sqlpool.AllowHold(ctx, d), func() {}
	}
}

func deadline(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, d)
	}
}

func TestTheProgramsOwnLimitWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		x, err := s.db.Begin()
		require.NoError(t, err)
		s.takeAll(t)
		require.Equal(t, 3, s.db.Stats().MaxOpenConnections)
		s.db.SetMaxOpenConns(10)
		require.NoError(t, x.Rollback())
		require.Equal(t, 10, s.db.Stats().MaxOpenConnections)
	})
}
