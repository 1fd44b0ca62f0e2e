package postgrestest

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// postgres is a server on a random port of the loopback.
type postgres struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	cred *syscall.Credential
	cmd  *exec.Cmd
}

// startPostgres starts a server that ends with the test.
func startPostgres(t testing.TB) *postgres {
	t.Helper()
	p := &postgres{t: t, bin: findPostgres(t)}
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		u, err := user.Lookup("postgres")
		if err != nil {
			missing(t, "a user postgres to run the server as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	dir, err := os.MkdirTemp("", "sqlpool-pg-") // short: it holds a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.dir = dir
	if p.cred != nil {
		require.NoError(t, os.Chown(dir, int(p.cred.Uid), int(p.cred.Gid)))
	}
	init := p.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "--no-sync")
	out, err := init.CombinedOutput()
	require.NoError(t, err, "%s", out)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.port = l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGQUIT) })
	return p
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

func (p *postgres) start() {
	p.t.Helper()
	p.cmd = p.command("postgres", "-D", filepath.Join(p.dir, "data"), "-p", strconv.Itoa(p.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+p.dir, "-c", "fsync=off", "-c", "max_connections=50")
	require.NoError(p.t, p.cmd.Start())
	db, err := sql.Open("pgx", p.dsn("probe"))
	require.NoError(p.t, err)
	defer db.Close()
	require.Eventually(p.t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return db.PingContext(ctx) == nil
	}, 60*time.Second, 50*time.Millisecond)
}

// stop ends the server: SIGQUIT at once, SIGINT after it has ended its sessions.
func (p *postgres) stop(how syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(how)
	late := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *postgres) dsn(name string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable connect_timeout=5 application_name=%s", p.port, name)
}

// sessions counts what the server sees of an application, in a state or any ("").
func (p *postgres) sessions(name, state string) (n int) {
	db, err := sql.Open("pgx", p.dsn("observer"))
	require.NoError(p.t, err)
	defer db.Close()
	err = db.QueryRow(`select count(*) from pg_stat_activity where application_name = $1 and ($2 = '' or state = $2)`, name, state).Scan(&n)
	require.NoError(p.t, err)
	return n
}

// pool is a tracked pool on the server.
type pool struct {
	*postgres
	name    string
	db      *sql.DB
	tracker *sqlpool.Tracker
}

func (p *postgres) pool(name string, most int) *pool {
	p.t.Helper()
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db, err := tracker.Open("pgx", p.dsn(name))
	require.NoError(p.t, err)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	p.t.Cleanup(func() { _ = db.Close() })
	return &pool{p, name, db, tracker}
}

func findPostgres(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("postgres"); err == nil {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		missing(t, "PostgreSQL: apt-get install postgresql, or put postgres and initdb on PATH")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1])
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// missing skips the test, or fails it where services are required.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}
