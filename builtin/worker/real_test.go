//go:build linux || darwin

package worker_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/worker"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// Faults that are real, on the real clock: virtual time does not pass while a
// goroutine waits for a mutex or in the operating system.

func underSupervision(t *testing.T, g *worker.Group, budget time.Duration) *selfhealtest.Pager {
	t.Helper()
	pager := &selfhealtest.Pager{}
	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(pager), Logger: silent(worker.GroupOptions{}).Logger})
	heal.Install(worker.Module(worker.Options{Groups: []*worker.Group{g}, Every: budget}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- heal.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return pager
}

// Two workers take two mutexes in opposite order.
func TestARealDeadlockIsReplaced(t *testing.T) {
	const budget = 50 * time.Millisecond
	var a, b sync.Mutex
	var first sync.Once
	both := make(chan struct{})
	locked, up := false, make(chan struct{})
	g := worker.NewGroup(silent(worker.GroupOptions{StopTimeout: 200 * time.Millisecond}))
	release := make(chan struct{})
	require.NoError(t, g.Add(worker.Spec{Name: "deadlocked", Budget: budget, Run: func(ctx context.Context, beat func()) error {
		dead := false
		first.Do(func() { dead = true })
		if dead {
			go func() { // the other side, which holds b and waits for a
				b.Lock()
				close(both)
				<-release
				b.Unlock()
			}()
			a.Lock()
			defer a.Unlock()
			<-both
			b.Lock()
			defer b.Unlock()
			return nil
		}
		if !locked {
			locked = true
			close(up)
		}
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-tick.C:
				beat()
			case <-ctx.Done():
				tick.Stop()
				return nil
			}
		}
	}}))
	stop := started(t, g)
	pager := underSupervision(t, g, budget)
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatal("it was not replaced")
	}
	s := g.Status()
	require.Len(t, s.Abandoned, 1)
	require.Contains(t, s.Abandoned[0].Stack, "sync.(*Mutex).Lock")
	require.Contains(t, s.Abandoned[0].Stack, "TestARealDeadlockIsReplaced")
	require.Empty(t, pager.Pages())
	close(release)
	until(t, func() bool { return len(g.Status().Abandoned) == 0 })
	require.NoError(t, stop())
	noneLeft(t)
}

// A worker that hangs in a system call is not replaced: a person is called.
func TestARealHangInTheOperatingSystemCallsAPerson(t *testing.T) {
	const budget = 50 * time.Millisecond
	var fds [2]int
	require.NoError(t, syscall.Pipe(fds[:]))
	g := worker.NewGroup(silent(worker.GroupOptions{StopTimeout: 500 * time.Millisecond}))
	require.NoError(t, g.Add(worker.Spec{Name: "reader", Budget: budget, Run: func(context.Context, func()) error {
		var b [1]byte
		_, err := syscall.Read(fds[0], b[:]) // blocks a thread, unlike os.File
		return err
	}}))
	stop := started(t, g)
	pager := underSupervision(t, g, budget)
	for began := time.Now(); len(pager.Pages()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("nobody was called")
		}
	}
	in := pager.Pages()[0].Incident
	require.Equal(t, escalate.Escalated, in.Reason)
	require.Contains(t, in.Detail, "hangs in the operating system")
	require.Contains(t, in.Finding.Summary, "TestARealHangInTheOperatingSystemCallsAPerson")
	require.Zero(t, g.Status().Given)
	require.NoError(t, syscall.Close(fds[1])) // the end of the file, for the next run too
	require.NoError(t, stop())
	_ = syscall.Close(fds[0])
	noneLeft(t)
}
