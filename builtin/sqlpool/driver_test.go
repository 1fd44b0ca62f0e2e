package sqlpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

const ms = time.Millisecond

// server is a database in memory. Its driver complains where its connections are used
// in a way that package driver forbids.
type server struct {
	mu       sync.Mutex
	sessions map[*session]struct{}
	most     int
	dials    int
	commits  int
	refuse   error
	closeErr error
	frozen   chan struct{} // while it is not nil no call returns before its context ends
	deaf     bool          // nor then
	invalid  bool          // no connection may be used again
	thrash   time.Duration // what a call takes, times the square of how many there are
	active   int

	wrong atomic.Pointer[string]
}

func newServer() *server { return &server{sessions: map[*session]struct{}{}} }

func (s *server) Connect(ctx context.Context) (driver.Conn, error) {
	if err := s.wait(ctx, 0); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	c := &session{s: s}
	s.sessions[c] = struct{}{}
	s.dials++
	s.most = max(s.most, len(s.sessions))
	return c, nil
}

func (s *server) Driver() driver.Driver { return nil }

// wait is a call that takes d.
func (s *server) wait(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	frozen, deaf := s.frozen, s.deaf
	s.active++
	d += s.thrash * time.Duration(s.active*s.active)
	s.mu.Unlock()
	defer s.set(func(s *server) { s.active-- })
	done := ctx.Done()
	if deaf {
		done = nil
	}
	if frozen != nil {
		select {
		case <-frozen:
		case <-done:
			return ctx.Err()
		}
	}
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *server) freeze(deaf bool) (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	s.frozen, s.deaf = c, deaf
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.frozen == c {
			s.frozen, s.deaf = nil, false
			close(c)
		}
	}
}

func (s *server) set(f func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *server) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.wrong.CompareAndSwap(nil, &text)
}

// check fails the test for what the server complained of.
func (s *server) check(t testing.TB) {
	t.Helper()
	if w := s.wrong.Load(); w != nil {
		t.Error(*w)
	}
}

// session is a connection of a driver that has every optional method.
type session struct {
	s      *server
	calls  atomic.Int32
	closed atomic.Bool
	inTx   bool
}

func (c *session) enter(what string) func() {
	if c.closed.Load() {
		c.s.complain("%s on a session that is closed", what)
	}
	if c.calls.Add(1) != 1 {
		c.s.complain("%s beside another call on the session", what)
	}
	return func() { c.calls.Add(-1) }
}

func (c *session) do(ctx context.Context, what, query string) error {
	defer c.enter(what)()
	var d time.Duration
	if text, ok := strings.CutPrefix(query, "sleep "); ok {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	if query == "panic" {
		panic("a driver that panics")
	}
	return c.s.wait(ctx, d)
}

func (c *session) Ping(ctx context.Context) error { return c.do(ctx, "Ping", "") }
func (c *session) ResetSession(ctx context.Context) error {
	defer c.enter("ResetSession")()
	return nil
}
func (c *session) IsValid() bool {
	defer c.enter("IsValid")()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return !c.s.invalid
}

func (c *session) CheckNamedValue(*driver.NamedValue) error {
	defer c.enter("CheckNamedValue")()
	return nil
}

func (c *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(len(args)), c.do(ctx, "Exec", query)
}

func (c *session) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := c.do(ctx, "Query", query); err != nil {
		return nil, err
	}
	if query == "many" {
		return &result{c: c, left: 1000}, nil
	}
	return &result{c: c, left: 3}, nil
}

func (c *session) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c *session) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return &prepared{c, query}, c.do(ctx, "Prepare", "")
}

func (c *session) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *session) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	err := c.do(ctx, "Begin", "")
	if c.inTx {
		c.s.complain("Begin within a transaction")
	}
	c.inTx = err == nil
	return &transaction{c, ctx}, err
}

func (c *session) Close() error {
	defer c.enter("Close")()
	c.closed.Store(true)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.sessions, c)
	return c.s.closeErr
}

// transaction keeps its context to the end, as drivers do.
type transaction struct {
	c   *session
	ctx context.Context
}

func (x *transaction) end(what string) error {
	x.c.inTx = false
	if err := x.ctx.Err(); err != nil && what == "Commit" {
		return err
	}
	return x.c.do(x.ctx, what, "")
}

func (x *transaction) Commit() error {
	err := x.end("Commit")
	if err == nil {
		x.c.s.set(func(s *server) { s.commits++ })
	}
	return err
}
func (x *transaction) Rollback() error { return x.end("Rollback") }

type prepared struct {
	c     *session
	query string
}

func (p *prepared) NumInput() int { return -1 }
func (p *prepared) Close() error  { defer p.c.enter("Stmt.Close")(); return nil }
func (p *prepared) Exec([]driver.Value) (driver.Result, error) {
	return nil, errors.New("database/sql calls ExecContext")
}
func (p *prepared) Query([]driver.Value) (driver.Rows, error) {
	return nil, errors.New("database/sql calls QueryContext")
}
func (p *prepared) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(len(args)), p.c.do(ctx, "Stmt.Exec", p.query)
}
func (p *prepared) QueryContext(ctx context.Context, _ []driver.NamedValue) (driver.Rows, error) {
	return p.c.QueryContext(ctx, p.query, nil)
}

type result struct {
	c    *session
	left int
}

func (r *result) Columns() []string { return []string{"n"} }
func (r *result) Close() error      { defer r.c.enter("Rows.Close")(); return nil }
func (r *result) Next(dest []driver.Value) error {
	defer r.c.enter("Rows.Next")()
	if r.left == 0 {
		return io.EOF
	}
	dest[0] = int64(r.left)
	r.left--
	return nil
}

// stand is a pool on a server, tracked.
type stand struct {
	*server
	db      *sql.DB
	tracker *sqlpool.Tracker
}

func newStand(t testing.TB, most int, o sqlpool.TrackerOptions) *stand {
	s := &stand{server: newServer(), tracker: sqlpool.NewTracker(o)}
	s.db = sql.OpenDB(s.tracker.Connector(s.server))
	s.db.SetMaxOpenConns(most)
	s.db.SetMaxIdleConns(most)
	t.Cleanup(func() {
		s.set(func(s *server) { s.refuse = nil })
		_ = s.db.Close()
		s.check(t)
	})
	return s
}

func (s *stand) options() sqlpool.Options { return sqlpool.Options{DB: s.db, Tracker: s.tracker} }

// ask uses a connection for a query.
func (s *stand) ask(ctx context.Context, query string) error {
	_, err := s.db.ExecContext(ctx, query)
	return err
}

// traffic is n callers that ask again and again until the test ends, each giving up
// after a time.
func (s *stand) traffic(t testing.TB, n int, query string, patience time.Duration) (served *atomic.Int64) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	served = &atomic.Int64{}
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				call, end := context.WithTimeout(ctx, patience)
				if s.ask(call, query) == nil {
					served.Add(1)
				}
				end()
				pause, end := context.WithTimeout(ctx, 500*ms)
				<-pause.Done()
				end()
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return served
}
