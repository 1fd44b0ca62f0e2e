package sqlpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// sum uses every way to a result.
func sum(t *testing.T, db *sql.DB) {
	t.Helper()
	ctx := t.Context()
	read := func(r *sql.Rows, err error) {
		t.Helper()
		require.NoError(t, err)
		total := 0
		for r.Next() {
			var n int
			require.NoError(t, r.Scan(&n))
			total += n
		}
		require.NoError(t, r.Err())
		types, err := r.ColumnTypes()
		if err == nil { // rows close themselves at their end
			require.Len(t, types, 1)
		}
		require.NoError(t, r.Close())
		require.Equal(t, 6, total)
	}
	read(db.QueryContext(ctx, "select"))
	read(db.Query("select", 1, "two"))
	var n int
	require.NoError(t, db.QueryRow("select").Scan(&n))
	s, err := db.PrepareContext(ctx, "select")
	require.NoError(t, err)
	read(s.QueryContext(ctx, 1))
	_, err = s.ExecContext(ctx, 1)
	require.NoError(t, err)
	x, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	read(x.QueryContext(ctx, "select"))
	read(x.StmtContext(ctx, s).Query())
	_, err = x.Exec("insert", 1, 2)
	require.NoError(t, err)
	require.NoError(t, x.Commit())
	require.NoError(t, s.Close())
	x, err = db.Begin()
	require.NoError(t, err)
	require.NoError(t, x.Rollback())
	c, err := db.Conn(ctx)
	require.NoError(t, err)
	require.NoError(t, c.PingContext(ctx))
	read(c.QueryContext(ctx, "select"))
	require.NoError(t, c.Close())
	require.NoError(t, db.Ping())
}

func TestADatabaseBehavesAsItDidUntracked(t *testing.T) {
	for name, c := range map[string]driver.Connector{"of today": newServer(), "of old": oldConnector{}} {
		t.Run(name, func(t *testing.T) {
			tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
			db := sql.OpenDB(tracker.Connector(c))
			defer db.Close()
			db.SetMaxOpenConns(1) // whatever is not given back hangs the test
			sum(t, db)
			sum(t, db)
			require.Empty(t, tracker.Holders())
			_, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
			if name == "of old" {
				require.ErrorContains(t, err, "read-only")
				_, err = db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
				require.ErrorContains(t, err, "isolation")
				_, err = db.Exec("x", sql.Named("a", 1))
				require.ErrorContains(t, err, "named")
			}
			if s, ok := c.(*server); ok {
				s.check(t)
			}
		})
	}
}

func TestOpenIsSQLOpen(t *testing.T) {
	name := fmt.Sprintf("sqlpool-test-%d", time.Now().UnixNano()) // names last as long as the process
	sql.Register(name, oldDriver{})
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db, err := tracker.Open(name, "dsn")
	require.NoError(t, err)
	defer db.Close()
	sum(t, db)
	require.Equal(t, oldDriver{}, db.Driver())
	require.NoError(t, sqlpool.Options{Tracker: tracker}.Validate(), "it knows its database")
	_, err = tracker.Open("no such driver", "")
	require.ErrorContains(t, err, "unknown driver")
}

// oldDriver has nothing but what a driver must have.
type (
	oldDriver    struct{}
	oldConnector struct{}
	oldConn      struct{}
	oldStmt      struct{}
	oldTx        struct{}
	oldRows      struct{ left int }
)

func (oldDriver) Open(string) (driver.Conn, error)                { return oldConn{}, nil }
func (oldConnector) Connect(context.Context) (driver.Conn, error) { return oldConn{}, nil }
func (oldConnector) Driver() driver.Driver                        { return oldDriver{} }
func (oldConn) Prepare(string) (driver.Stmt, error)               { return oldStmt{}, nil }
func (oldConn) Close() error                                      { return nil }
func (oldConn) Begin() (driver.Tx, error)                         { return oldTx{}, nil }
func (oldTx) Commit() error                                       { return nil }
func (oldTx) Rollback() error                                     { return nil }
func (oldStmt) Close() error                                      { return nil }
func (oldStmt) NumInput() int                                     { return -1 }
func (oldStmt) Exec(a []driver.Value) (driver.Result, error)      { return driver.RowsAffected(len(a)), nil }
func (oldStmt) Query([]driver.Value) (driver.Rows, error)         { return &oldRows{3}, nil }
func (oldStmt) ColumnConverter(int) driver.ValueConverter         { return driver.DefaultParameterConverter }
func (*oldRows) Columns() []string                                { return []string{"n"} }
func (*oldRows) Close() error                                     { return nil }
func (r *oldRows) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	dest[0] = int64(r.left)
	r.left--
	return nil
}

type requestID struct{}

// loadOrders holds a connection, in a way that the test says.
func loadOrders(ctx context.Context, t *testing.T, db *sql.DB, kind string) (end func() error) {
	switch kind {
	case "rows":
		r, err := db.QueryContext(ctx, "select")
		require.NoError(t, err)
		return r.Close
	case "tx":
		x, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		return x.Rollback
	case "statement":
		s, err := db.PrepareContext(ctx, "select")
		require.NoError(t, err)
		r, err := s.QueryContext(ctx)
		require.NoError(t, err)
		return func() error { return errors.Join(r.Close(), s.Close()) }
	}
	c, err := db.Conn(ctx)
	require.NoError(t, err)
	return c.Close
}

var kinds = []string{"rows", "tx", "statement", "connection"}

func TestHoldersAreNamed(t *testing.T) {
	for _, kind := range kinds {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", kind, fresh), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStand(t, 1, sqlpool.TrackerOptions{Describe: func(ctx context.Context) string {
						id, _ := ctx.Value(requestID{}).(string)
						return id
					}})
					if !fresh {
						require.NoError(t, s.db.Ping())
					}
					end := loadOrders(context.WithValue(t.Context(), requestID{}, "request 7"), t, s.db, kind)
					s.tracker.Holders()
					time.Sleep(time.Minute)
					h := s.tracker.Holders()
					require.Len(t, h, 1)
					assert.Regexp(t, `sqlpool_test\.loadOrders \(sqlpool/tracker_test\.go:\d+\)$`, h[0].Site)
					assert.Contains(t, h[0].Stack[1], "TestHoldersAreNamed")
					assert.Equal(t, kind, h[0].Kind)
					assert.Equal(t, "request 7", h[0].For)
					assert.Equal(t, []time.Duration{time.Minute, time.Minute}, []time.Duration{h[0].Held, h[0].Idle})
					assert.False(t, h[0].InUse || h[0].Taken || h[0].Proven)
					require.NoError(t, end())
					assert.Empty(t, s.tracker.Holders())
				})
			})
		}
	}
}

func TestACallIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		done := make(chan error)
		go func() { done <- s.ask(t.Context(), "sleep 1h") }()
		time.Sleep(time.Minute)
		h := s.tracker.Holders()
		require.Len(t, h, 1)
		assert.True(t, h[0].InUse)
		assert.Zero(t, h[0].Idle)
		assert.Equal(t, time.Minute, h[0].Held)
		assert.Equal(t, "call", h[0].Kind)
		require.NoError(t, <-done)
	})
}

// What database/sql opens ahead for somebody who waits is nobody's until he uses it.
func TestAConnectionThatIsOpenedAheadHasNoHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		s.db.SetMaxIdleConns(0) // the next one who waits gets a connection of his own
		x, err := s.db.Begin()
		require.NoError(t, err)
		got := make(chan *sql.Conn)
		go func() {
			c, err := s.db.Conn(t.Context())
			assert.NoError(t, err)
			got <- c
		}()
		synctest.Wait()
		require.NoError(t, x.Rollback())
		c := <-got
		if h := s.tracker.Holders(); len(h) > 0 {
			require.Contains(t, h[0].Site, "TestAConnectionThatIsOpenedAheadHasNoHolder")
		}
		require.NoError(t, c.PingContext(t.Context()))
		require.Len(t, s.tracker.Holders(), 1)
		require.NoError(t, c.Close())
	})
}

func TestORMsAreSkipped(t *testing.T) {
	s := newStand(t, 1, sqlpool.TrackerOptions{Skip: []string{"github.com/selfheal-go/selfheal/builtin/sqlpool_test.loadOrders"}})
	end := loadOrders(t.Context(), t, s.db, "tx")
	assert.Contains(t, s.tracker.Holders()[0].Site, "TestORMsAreSkipped")
	require.NoError(t, end())
}

func TestRawGetsTheDriversConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		c, err := s.db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Raw(func(x any) error {
			_, ok := sqlpool.Unwrap(x).(*session)
			assert.True(t, ok)
			assert.Equal(t, 7, sqlpool.Unwrap(7))
			return nil
		}))
		s.tracker.Holders()
		time.Sleep(time.Hour)
		step := sqlpool.CancelHolders(s.options())
		require.ErrorContains(t, step.Run(t.Context(), request("i", "")), "no holder is past its time", "what is done with it cannot be seen")
		require.NoError(t, c.PingContext(t.Context()))
		require.NoError(t, c.Close())
	})
}

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

// lose drops rows that nobody closes.
//
//go:noinline
func lose(t *testing.T, db *sql.DB) {
	r, err := db.Query("select")
	require.NoError(t, err)
	require.True(t, r.Next())
}

// collect waits until the collector has found n leaks.
func (s *stand) collect(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		proven := 0
		for _, h := range s.tracker.Holders() {
			if h.Proven {
				proven++
			}
		}
		return proven == n
	}, 20*time.Second, 5*ms)
}

// Rows that became garbage before they were closed are a proof, and their connection
// can be taken at once, since nobody is left to notice.
func TestALeakIsProvenAndReclaimed(t *testing.T) {
	s := newStand(t, 2, sqlpool.TrackerOptions{})
	lose(t, s.db)
	held, err := s.db.Query("select") // still in reach
	require.NoError(t, err)
	s.collect(t, 1)
	w := sqlpool.Leak(s.options())
	found, err := w.Detector.Detect(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "1 connection cannot be returned any more: *sql.Rows that were not closed", found[0].Summary)
	require.Equal(t, sqlpool.Proven, found[0].Labels["verdict"])
	require.Contains(t, found[0].Key, "sqlpool_test.lose (sqlpool/tracker_test.go:")
	step := w.Playbook.Steps[0]
	require.ErrorContains(t, step.Run(t.Context(), request("i", "elsewhere")), "nothing is proven leaked there")
	require.NoError(t, step.Run(t.Context(), request("i", found[0].Key)))
	require.Equal(t, 3, s.db.Stats().MaxOpenConnections)
	found, err = w.Detector.Detect(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, s.db.Ping())
	require.LessOrEqual(t, s.most, 2, "the server never sees more than it was")
	require.True(t, held.Next())
	require.NoError(t, held.Close())
}

// Of a *sql.Conn the rows may be lost, and the connection is not.
func TestLostRowsOfAConnectionProveNothing(t *testing.T) {
	s := newStand(t, 2, sqlpool.TrackerOptions{})
	lose(t, s.db) // by which the collector is seen to have run
	c, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	loseOf(t, c)
	s.collect(t, 1)
	runtime.GC()
	time.Sleep(50 * ms)
	step := sqlpool.CancelHolders(s.options())
	require.NoError(t, step.Run(t.Context(), request("i", "")))
	taken := 0
	for _, h := range s.tracker.Holders() {
		if h.Taken {
			taken++
		}
		require.Equal(t, h.Kind == "rows", h.Taken)
	}
	require.Equal(t, 1, taken)
	runtime.KeepAlive(c) // it cannot be closed: its rows hold it for ever
}

//go:noinline
func loseOf(t *testing.T, c *sql.Conn) {
	r, err := c.QueryContext(context.Background(), "select")
	require.NoError(t, err)
	require.True(t, r.Next())
}

// A larger limit alone wakes nobody who waits already.
func TestThoseWhoWaitAreLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 2, sqlpool.TrackerOptions{})
		s.hoard(t, 2)
		served := make(chan error, 2)
		for range 2 {
			go func() { served <- s.ask(t.Context(), "x") }()
		}
		s.takeAll(t)
		synctest.Wait()
		require.Len(t, served, 2)
		require.NoError(t, <-served)
	})
}

func TestAPanicOfTheDriverGivesTheConnectionBack(t *testing.T) {
	s := newStand(t, 1, sqlpool.TrackerOptions{})
	require.Panics(t, func() { _ = s.ask(t.Context(), "panic") })
	require.Empty(t, s.tracker.Holders())
	require.NoError(t, s.db.Ping())
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

func TestKinds(t *testing.T) {
	for function, kind := range map[string]string{
		"(*DB).QueryContext": "rows", "(*DB).QueryRow": "rows", "(*DB).BeginTx": "tx", "(*DB).Conn": "connection",
		"(*Conn).QueryContext": "connection", "(*Stmt).Query": "statement", "(*Stmt).Exec": "call", "(*DB).Ping": "call", "": "call",
	} {
		assert.Equal(t, kind, sqlpool.KindOf(function), function)
	}
	assert.Equal(t, "a(...).b?c…", sqlpool.Printable("a[...].b\nc…"))
	assert.Len(t, sqlpool.Printable(strings.Repeat("x", 1000)), 200+len("…"))
}
