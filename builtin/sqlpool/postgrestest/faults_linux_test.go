package postgrestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/escalate"
)

// supervised is a supervisor in real time and what it says.
type supervised struct {
	s  *selfheal.Supervisor
	mu sync.Mutex
	// lines is the timeline, pages what people are told.
	lines []string
	pages []escalate.Notification
}

// supervise runs modules until the test ends. They look ten times a second, and act
// after a second.
func supervise(t *testing.T, o selfheal.Options, pools ...sqlpool.Options) *supervised {
	t.Helper()
	v := &supervised{}
	o.Escalate = escalate.To(escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.pages = append(v.pages, n)
		return nil
	}))
	o.Observer = selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.lines = append(v.lines, fmt.Sprint(e))
	})
	v.s = selfheal.New(o)
	for _, p := range pools {
		p.Every, p.For, p.KeepFor, p.MaxChurn = 100*time.Millisecond, time.Second, time.Second, -1
		v.s.Install(sqlpool.Module(p))
	}
	require.NoError(t, v.s.Validate())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
		if t.Failed() {
			t.Log(v.text())
		}
	})
	return v
}

func (v *supervised) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.lines, "\n")
}

func (v *supervised) said(parts ...string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, line := range v.lines {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

func (v *supervised) paged() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.pages)
}

func (v *supervised) await(t *testing.T, parts ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return v.said(parts...) }, 90*time.Second, 50*time.Millisecond, "it never said %q:\n%s", parts, v.text())
}

// traffic is callers that ask, wait a second at most, and ask again.
func (p *pool) traffic(n int, query string) (served *atomic.Int64) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	served = &atomic.Int64{}
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				call, end := context.WithTimeout(ctx, time.Second)
				if _, err := p.db.ExecContext(call, query); err == nil {
					served.Add(1)
				}
				end()
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	p.t.Cleanup(func() { cancel(); wg.Wait() })
	return served
}

// flows waits until callers are served again.
func flows(t *testing.T, served *atomic.Int64) {
	t.Helper()
	from := served.Load()
	require.Eventually(t, func() bool { return served.Load() > from+50 }, 30*time.Second, 20*time.Millisecond, "nobody is served")
}

func (p *pool) options() sqlpool.Options {
	return sqlpool.Options{DB: p.db, Tracker: p.tracker, Name: p.name, IdleHold: 2 * time.Second, LeakAfter: time.Hour}
}

// forget opens what nobody closes.
//
//go:noinline
func forget(t *testing.T, db *sql.DB) {
	rows, err := db.Query("select generate_series(1, 1000)")
	require.NoError(t, err)
	require.True(t, rows.Next())
}

func TestOnAServer(t *testing.T) {
	server := startPostgres(t)
	for name, test := range map[string]func(*testing.T, *pool){
		"transactions": forgottenTransactions,
		"rows":         forgottenRows,
		"saturated":    saturated,
		"hung":         aSessionThatHangs,
		"halt":         halted,
		"shadow":       shadowed,
		"blind":        blind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := *server
			own.t = t
			test(t, own.pool(name, 4))
		})
	}
}

// Transactions that nobody ends: found, taken back, and the server has rolled back.
func forgottenTransactions(t *testing.T, p *pool) {
	v := supervise(t, selfheal.Options{}, p.options())
	served := p.traffic(3, "select 1")
	flows(t, served)
	var held []*sql.Tx
	for _, query := range []string{"create table never_there (n int)", "select 1", "select 1", "select 1"} {
		tx, err := p.db.Begin()
		require.NoError(t, err)
		_, err = tx.Exec(query)
		require.NoError(t, err)
		held = append(held, tx)
	}
	v.await(t, "step", "cancel-holders: healed")
	flows(t, served)
	require.Zero(t, p.sessions(p.name, "idle in transaction"))
	require.LessOrEqual(t, p.sessions(p.name, ""), 4, "the server sees no more than the program allows")
	require.Equal(t, 8, p.db.Stats().MaxOpenConnections)
	v.await(t, "close")
	for _, tx := range held {
		var taken *sqlpool.TakenError
		require.ErrorAs(t, tx.Commit(), &taken)
		require.Contains(t, taken.Site, "forgottenTransactions")
	}
	require.Equal(t, 4, p.db.Stats().MaxOpenConnections, "every slot is taken back")
	var n int
	require.NoError(t, p.db.QueryRow("select count(*) from pg_tables where tablename = 'never_there'").Scan(&n))
	require.Zero(t, n)
	require.Zero(t, v.paged())
}

// Rows that nobody can close any more are reclaimed before anybody has to wait.
func forgottenRows(t *testing.T, p *pool) {
	v := supervise(t, selfheal.Options{}, p.options())
	served := p.traffic(2, "select 1")
	for range 2 {
		forget(t, p.db)
	}
	require.Eventually(t, func() bool { runtime.GC(); return v.said("reclaim: healed") }, 90*time.Second, 50*time.Millisecond)
	flows(t, served)
	require.True(t, v.said("open", "forget (postgrestest/faults_linux_test.go:", "*sql.Rows that were not closed"))
	require.Equal(t, 6, p.db.Stats().MaxOpenConnections)
	require.LessOrEqual(t, p.sessions(p.name, ""), 4)
	require.False(t, v.said("sqlpool-rows/exhausted"))
}

// More is asked of the database than it can do: the pool is shrunk, that does not
// help, it gets back what it had, and people are told.
func saturated(t *testing.T, p *pool) {
	o := p.options()
	o.FairShare, o.Settings = 2, &sqlpool.Settings{MaxIdle: 4}
	v := supervise(t, selfheal.Options{}, o)
	p.traffic(24, "select pg_sleep(0.3)")
	v.await(t, "step", "shrink-pool: no effect")
	v.await(t, "undo", "shrink-pool")
	v.await(t, "page", "exhausted")
	require.True(t, v.said("step", "cancel-holders: skipped"), "nobody holds a connection that does not use it")
	require.True(t, v.said("step", "rebuild-pool: no effect"))
	require.Equal(t, 4, p.db.Stats().MaxOpenConnections)
}

// A session whose process is stopped answers to nothing, and its caller has no
// time-out.
func aSessionThatHangs(t *testing.T, p *pool) {
	o := p.options()
	o.MaxHold = 2 * time.Second
	p.db.SetMaxOpenConns(1)
	v := supervise(t, selfheal.Options{}, o)
	conn, err := p.db.Conn(context.Background())
	require.NoError(t, err)
	var pid int
	require.NoError(t, conn.QueryRowContext(context.Background(), "select pg_backend_pid()").Scan(&pid))
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	hung := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(context.Background(), "select 1")
		hung <- errors.Join(err, conn.Close())
	}()
	served := p.traffic(2, "select 1")
	var taken *sqlpool.TakenError
	select {
	case err := <-hung:
		require.ErrorAs(t, err, &taken)
	case <-time.After(60 * time.Second):
		t.Fatalf("it still hangs: %+v, held by %+v", p.db.Stats(), p.tracker.Holders())
	}
	flows(t, served)
	v.await(t, "step", "cancel-holders: healed")
	require.Equal(t, 1, p.db.Stats().MaxOpenConnections)
}

// hold makes a pool sick in the way that the ladder would heal.
func (p *pool) hold(t *testing.T) []*sql.Tx {
	var held []*sql.Tx
	for range 4 {
		tx, err := p.db.Begin()
		require.NoError(t, err)
		held = append(held, tx)
	}
	p.traffic(3, "select 1")
	return held
}

// untouched fails the test where a transaction is not as it was.
func untouched(t *testing.T, p *pool, held []*sql.Tx) {
	t.Helper()
	require.Equal(t, 4, p.db.Stats().MaxOpenConnections)
	for _, tx := range held {
		_, err := tx.Exec("select 1")
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
	}
}

func halted(t *testing.T, p *pool) {
	v := supervise(t, selfheal.Options{}, p.options())
	require.Eventually(t, func() bool { return v.s.Halt("ann", "a deploy") == nil }, 10*time.Second, 10*time.Millisecond)
	held := p.hold(t)
	v.await(t, "hold", "halt")
	time.Sleep(8 * time.Second) // past the time of the holders, and of the rungs
	untouched(t, p, held)
	require.NotZero(t, v.paged())
}

func shadowed(t *testing.T, p *pool) {
	v := supervise(t, selfheal.Options{Mode: selfheal.Shadow}, p.options())
	held := p.hold(t)
	v.await(t, "would step", "await-holders")
	time.Sleep(8 * time.Second)
	untouched(t, p, held)
}

// A tracker of another database sees nothing of this one.
func blind(t *testing.T, p *pool) {
	o := p.options()
	o.Tracker = sqlpool.NewTracker(sqlpool.TrackerOptions{})
	held := p.hold(t)
	v := supervise(t, selfheal.Options{}, o)
	v.await(t, "blind", "has seen none of the connections")
	time.Sleep(8 * time.Second)
	require.False(t, v.said("step"), v.text())
	untouched(t, p, held)
}

// A server that goes away and comes back: callers fail meanwhile, and then go on.
// Nothing grows against it.
func TestAServerThatIsRestarted(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	p := server.pool("restarted", 4)
	o := p.options()
	v := supervise(t, selfheal.Options{}, o)
	served := p.traffic(6, "select pg_sleep(0.01)")
	flows(t, served)
	tx, err := p.db.Begin()
	require.NoError(t, err)
	server.stop(syscall.SIGQUIT)
	_, err = tx.Exec("select 1")
	require.Error(t, err)
	_ = tx.Rollback()
	before := served.Load()
	time.Sleep(2 * time.Second)
	require.LessOrEqual(t, served.Load()-before, int64(6))
	server.start()
	flows(t, served)
	require.Equal(t, 4, p.db.Stats().MaxOpenConnections)
	require.LessOrEqual(t, p.sessions(p.name, ""), 4)
	require.False(t, v.said("taken back"))

	// Connections to a server that was replaced are rebuilt without an error of
	// anybody's.
	old := p.backends(t)
	require.NoError(t, sqlpool.Rebuild(o).Run(context.Background(), request("rebuild")))
	flows(t, served)
	require.Eventually(t, func() bool {
		for pid := range p.backends(t) {
			if old[pid] {
				return false
			}
		}
		return true
	}, 20*time.Second, 50*time.Millisecond, "an old session is still used")
}

// A server whose every process is stopped: calls end by their own time-outs, nothing
// that is done helps, people are told, and it closes when the server goes on.
func TestAServerThatHangs(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	p := server.pool("hangs", 4)
	v := supervise(t, selfheal.Options{}, p.options())
	served := p.traffic(12, "select 1")
	flows(t, served)
	pids := append(p.children(t), server.cmd.Process.Pid)
	t.Cleanup(func() { signal(pids, syscall.SIGCONT) })
	signal(pids, syscall.SIGSTOP)
	v.await(t, "page", "exhausted")
	require.LessOrEqual(t, p.db.Stats().MaxOpenConnections, 4)
	signal(pids, syscall.SIGCONT)
	flows(t, served)
	v.await(t, "resolve")
}
