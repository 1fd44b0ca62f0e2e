package postgrestest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

// TestMain plays the part that the environment asks for, in a child of a test, else
// runs the tests and fails the run when they leave goroutines behind.
func TestMain(m *testing.M) {
	if dsn := os.Getenv("SELFHEAL_SQLPOOL_CHILD"); dsn != "" {
		tilted(dsn)
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait more than they work
		panic(err)
	}
	code := m.Run()
	left := leaked()
	for until := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(until); left = leaked() {
		time.Sleep(10 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for s := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal") || strings.Contains(s, "database/sql.") || strings.Contains(s, "jackc/pgx")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

func request(incident string) remediate.Request {
	return remediate.Request{Incident: incident, Step: "step", Attempt: 1, Try: 1}
}

// backends are the processes of the server behind the pool.
func (p *pool) backends(t *testing.T) map[int]bool {
	t.Helper()
	db, err := sql.Open("pgx", p.dsn("observer"))
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), "select pid from pg_stat_activity where application_name = $1", p.name)
	require.NoError(t, err)
	defer rows.Close()
	pids := map[int]bool{}
	for rows.Next() {
		var pid int
		require.NoError(t, rows.Scan(&pid))
		pids[pid] = true
	}
	require.NoError(t, rows.Err())
	return pids
}

// children are all processes that the server has started.
func (p *pool) children(t *testing.T) (pids []int) {
	t.Helper()
	pid := p.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	require.NoError(t, err)
	for _, f := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(f)
		require.NoError(t, err)
		pids = append(pids, n)
	}
	return pids
}

func signal(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
}
