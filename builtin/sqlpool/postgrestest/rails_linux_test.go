package postgrestest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/escalate"
)

// Many pools sick at once: the server or this process is, and nobody's transactions
// are taken for it.
func TestAStormIsNotActedOn(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	var all []sqlpool.Options
	var pools []*pool
	for i := range 6 {
		p := server.pool(fmt.Sprint("shard-", i), 4)
		pools, all = append(pools, p), append(all, p.options())
	}
	v := supervise(t, selfheal.Options{}, all...)
	held := make([][]*sql.Tx, len(pools))
	for i, p := range pools {
		held[i] = p.hold(t)
	}
	require.Eventually(t, func() bool { return v.s.Status().Storm }, 60*time.Second, 50*time.Millisecond, "%s", v.text())
	// The first to fall sick may have been acted on before there was a storm.
	acted := func(p *pool) bool { return p.db.Stats().MaxOpenConnections != 4 }
	before := map[*pool]bool{}
	for _, p := range pools {
		before[p] = acted(p)
	}
	require.LessOrEqual(t, len(slices.DeleteFunc(slices.Clone(pools), func(p *pool) bool { return !before[p] })), 1, "one at a time")
	time.Sleep(8 * time.Second)
	for i, p := range pools {
		if !before[p] {
			untouched(t, p, held[i])
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	require.NotEmpty(t, v.pages)
	require.Equal(t, escalate.Storm, v.pages[0].Incident.Reason)
}

// A process that was stopped sees holders past their time for no fault of theirs.
func TestAProcessThatWasStoppedTakesNothing(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SELFHEAL_SQLPOOL_CHILD="+server.dsn("tilted"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	defer func() {
		_ = cmd.Process.Kill()
		for range lines {
		}
		_ = cmd.Wait()
	}()
	wait := func(part string) {
		t.Helper()
		deadline := time.After(60 * time.Second)
		for {
			select {
			case l, ok := <-lines:
				require.True(t, ok, "the child ended before it said %q", part)
				require.NotContains(t, l, "cancel-holders: healed")
				require.NotContains(t, l, "lost")
				if strings.Contains(l, part) {
					return
				}
			case <-deadline:
				t.Fatalf("the child never said %q", part)
			}
		}
	}
	wait("ready")
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(4 * time.Second) // longer than it may be late, and than a holder may hold
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	wait("tilt: the supervisor was")
	wait("kept")
}

// tilted is a process whose holders are past their time only because it was stopped.
func tilted(dsn string) {
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db, err := tracker.Open("pgx", dsn)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(2)
	heal := selfheal.New(selfheal.Options{
		Escalate: escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) { fmt.Println(e) }),
	})
	heal.Install(sqlpool.Module(sqlpool.Options{
		DB: db, Every: 50 * time.Millisecond, For: 100 * time.Millisecond, MaxWait: 100 * time.Millisecond, IdleHold: 3 * time.Second, LeakAfter: time.Hour, Tracker: tracker,
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = heal.Run(ctx)
	}()
	var held []*sql.Tx
	for range 2 {
		tx, err := db.Begin()
		if err != nil {
			fmt.Println("lost:", err)
			return
		}
		held = append(held, tx)
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		_ = db.PingContext(ctx)
	}()
	time.Sleep(500 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(8 * time.Second) // the stop is in here, and what comes after it
	for _, tx := range held {
		if err := tx.Commit(); err != nil {
			fmt.Println("lost:", err)
		}
	}
	fmt.Println("kept")
	cancel()
	<-waiting
	<-ended
}
