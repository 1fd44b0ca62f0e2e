package sqlpool_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

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
	require.Contains(t, found[0].Key, "sqlpool_test.lose (sqlpool/leak_test.go:")
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

// touched is a context that is used while a step decides about its holder.
type touched struct {
	context.Context
	use func()
}

func (c touched) Value(key any) any {
	c.use()
	return c.Context.Value(key)
}

func TestAHolderThatUsesItsConnectionAgainKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 1, sqlpool.TrackerOptions{})
		var x *sql.Tx
		using := false
		ctx := touched{context.Background(), func() {
			if x != nil && !using {
				using = true
				_, err := x.Exec("x")
				require.NoError(t, err)
			}
		}}
		got, err := s.db.BeginTx(ctx, nil)
		require.NoError(t, err)
		s.tracker.Holders()
		time.Sleep(2 * time.Minute)
		x = got
		err = sqlpool.CancelHolders(s.options()).Run(t.Context(), request("i", ""))
		require.ErrorContains(t, err, "no holder is past its time")
		require.True(t, using)
		require.NoError(t, x.Commit())
	})
}

// A site that leaks again is told, and goes on being reclaimed.
func TestALeakThatIsRepeatedIsTold(t *testing.T) {
	s := newStand(t, 4, sqlpool.TrackerOptions{})
	pager := &selfhealtest.Pager{}
	var mu sync.Mutex
	healed, closed := 0, 0
	heal := selfheal.New(selfheal.Options{
		Escalate: escalate.To(pager), Logger: slog.New(slog.DiscardHandler),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasSuffix(fmt.Sprint(e), "reclaim: healed") {
				healed++
			}
			if strings.HasPrefix(fmt.Sprint(e), "close") {
				closed++
			}
		}),
	})
	w := sqlpool.Leak(s.options())
	w.Every, w.KeepFor, w.Playbook.Steps[0].Settle, w.Playbook.Limits.Cooldown = 10*ms, 10*ms, 20*ms, -1
	heal.Watch(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- heal.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-ended) }()
	for n := 1; n <= 2; n++ {
		lose(t, s.db)
		require.Eventually(t, func() bool {
			runtime.GC()
			mu.Lock()
			defer mu.Unlock()
			return healed == n
		}, 30*time.Second, 5*ms)
		if n == 1 {
			require.Empty(t, pager.Pages())
			require.Eventually(t, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return closed == 1
			}, 30*time.Second, 5*ms)
		}
	}
	require.Eventually(t, func() bool { return len(pager.Pages()) > 0 }, 30*time.Second, 5*ms)
	require.Equal(t, escalate.Masking, pager.Pages()[0].Incident.Reason)
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
