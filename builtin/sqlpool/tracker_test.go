package sqlpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
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
		x, err := s.db.Begin()
		require.NoError(t, err)
		got := make(chan *sql.Conn)
		go func() {
			c, err := s.db.Conn(t.Context())
			assert.NoError(t, err)
			got <- c
		}()
		synctest.Wait()
		s.set(func(s *server) { s.invalid = true }) // so that another is dialled
		require.NoError(t, x.Rollback())
		c := <-got
		require.Equal(t, 2, s.dials)
		require.Empty(t, s.tracker.Holders())
		require.NoError(t, c.PingContext(t.Context()))
		h := s.tracker.Holders()
		require.Len(t, h, 1)
		require.Contains(t, h[0].Site, "TestAConnectionThatIsOpenedAheadHasNoHolder")
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

func TestAPanicOfTheDriverGivesTheConnectionBack(t *testing.T) {
	s := newStand(t, 1, sqlpool.TrackerOptions{})
	require.Panics(t, func() { _ = s.ask(t.Context(), "panic") })
	require.Empty(t, s.tracker.Holders())
	require.NoError(t, s.db.Ping())
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
