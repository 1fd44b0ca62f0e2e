package host

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestTheReserve(t *testing.T) {
	r, err := NewReserve(0)
	require.NoError(t, err)
	require.Equal(t, 32, r.Held())
	var n int
	require.NoError(t, r.Do(func() error { n++; return nil }))
	require.Equal(t, 1, n)
	require.ErrorContains(t, r.Do(func() error { return errors.New("no") }), "no")

	tried := 0
	err = r.Do(func() error {
		if tried++; tried == 1 {
			require.Equal(t, 32, r.Held(), "nothing is given up without need")
			return &net.OpError{Op: "dial", Err: syscall.EMFILE}
		}
		require.Zero(t, r.Held(), "for want of descriptors it is all given up")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, tried)
	require.Equal(t, 32, r.Held(), "and taken back")

	pager := &selfhealtest.Pager{}
	require.NoError(t, r.Notifier(pager).Notify(context.Background(), escalate.Notification{ID: "1"}))
	require.Len(t, pager.Pages(), 1)
	require.NoError(t, r.Close())
	require.Zero(t, r.Held())
	require.NoError(t, r.Do(func() error { return nil }))

	var none *Reserve
	require.NoError(t, none.Do(func() error { return nil }))
	require.NoError(t, none.Close())
	_, err = NewReserve(-1)
	require.Error(t, err)
}

// What is lent is not taken back by who looks meanwhile, and comes back after a panic.
func TestWhatIsLentStaysLent(t *testing.T) {
	r, err := NewReserve(4)
	require.NoError(t, err)
	defer r.Close()
	tries := 0
	require.Panics(t, func() {
		_ = r.Do(func() error {
			if tries++; tries == 1 {
				return syscall.EMFILE
			}
			require.NoError(t, r.refill(), "as each healthy look does")
			require.Zero(t, r.Held())
			require.NoError(t, r.Do(func() error { return nil }))
			require.Zero(t, r.Held(), "another call that needed none gives none back")
			panic("in a notifier")
		})
	})
	require.Equal(t, 4, r.Held())
}

// short is a listener whose first Accept finds no descriptor.
type shortListener struct {
	net.Listener
	n int
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.n++; l.n == 1 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	a, b := net.Pipe()
	return a, b.Close()
}

func TestAReservedListenerAccepts(t *testing.T) {
	r, err := NewReserve(4)
	require.NoError(t, err)
	defer r.Close()
	l := &shortListener{}
	c, err := r.Listener(l).Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Equal(t, 2, l.n)
	require.Equal(t, l, (*Reserve)(nil).Listener(l))
}

func TestTheCloseIdleStepConforms(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		var closed atomic.Bool
		var fails atomic.Bool
		return selfhealtest.StepFixture{
			Step: CloseIdle(func(context.Context) error {
				if fails.Load() {
					return errors.New("no")
				}
				closed.Store(true)
				return nil
			}),
			State: func() string { return strconv.FormatBool(closed.Load()) },
			Break: func() func() { fails.Store(true); return func() { fails.Store(false) } },
		}
	})
}

func TestAcceptsBoundsConnections(t *testing.T) {
	a := NewAccepts()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bound := a.Listener(l)
	conns := make(chan net.Conn, 100)
	done := make(chan error, 1)
	go func() {
		for {
			c, err := bound.Accept()
			if err != nil {
				done <- err
				return
			}
			conns <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var open []net.Conn
	for range 8 {
		dial()
		open = append(open, <-conns)
	}
	require.Equal(t, 8, a.Open())
	step := a.Step()
	require.NoError(t, step.Run(context.Background(), remediate.Request{Incident: "1", Log: quiet()}))
	require.Equal(t, 6, a.Most())
	dial()
	open = append(open, <-conns) // the Accept that was under way
	dial()
	select {
	case <-conns:
		t.Fatal("one more than the bound")
	case <-time.After(50 * time.Millisecond):
	}
	for _, c := range open[:4] { // 9 open, 5 after this: below 6
		require.NoError(t, c.Close())
		_ = c.Close()
	}
	c := <-conns
	require.Equal(t, 6, a.Open())
	require.NotNil(t, c.(*boundConn).NetConn())
	n, err := c.(io.ReaderFrom).ReadFrom(io.LimitReader(zeros{}, 10))
	require.NoError(t, err)
	require.EqualValues(t, 10, n)
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite(), "what net/http does before it closes")
	require.NoError(t, step.Undo(context.Background(), remediate.Request{}))
	for range 3 {
		dial()
		<-conns
	}
	require.NoError(t, step.Run(context.Background(), remediate.Request{Incident: "2"}))
	require.NoError(t, bound.Close(), "a listener that is closed waits for no room")
	select {
	case err := <-done:
		require.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(5 * time.Second):
		t.Fatal("Accept still waits")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTheAcceptStepConforms(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		a := NewAccepts()
		a.open = 100
		return selfhealtest.StepFixture{
			Step: a.Step(), Finding: detect.Finding{Severity: detect.Critical},
			State:        func() string { return time.Duration(a.Most()).String() },
			Inapplicable: func() { a.open = 0 },
		}
	})
}
