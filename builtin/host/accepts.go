package host

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/selfheal-go/selfheal/remediate"
)

// Accepts bounds how many connections a service takes while descriptors are short.
// Wrap each listener once, and give it to [DescriptorOptions]:
//
//	accepts := host.NewAccepts()
//	go server.Serve(accepts.Listener(l))
//
// Connections wait in the kernel's queue meanwhile, and none is cut. It is safe for
// concurrent use.
type Accepts struct {
	mu   sync.Mutex
	most int // 0: no bound
	open int
	room chan struct{} // closed when there may be room again
}

// NewAccepts returns an Accepts without a bound.
func NewAccepts() *Accepts { return &Accepts{room: make(chan struct{})} }

// Open is how many connections are open.
func (a *Accepts) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Most is the bound in force; 0 without one.
func (a *Accepts) Most() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most
}

// Step lowers the bound to three quarters of what is open, and lifts it in Undo. An
// Accept that is under way takes one connection more, for each listener. It skips
// where nothing is open.
func (a *Accepts) Step() remediate.Step {
	return remediate.Step{
		Name: "limit-accepts", Run: remediate.Once(a.limit), Undo: a.lift, Measure: "host/accepts",
		Settle: settleFor, Risk: remediate.Disruptive,
	}
}

func (a *Accepts) limit(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == 0 {
		return skip("no connection is open")
	}
	a.most = max(1, 3*a.open/4)
	if req.Log != nil {
		req.Log.Info("selfheal: fewer connections are taken", "most", strconv.Itoa(a.most), "open", a.open)
	}
	return nil
}

func (a *Accepts) lift(context.Context, remediate.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = 0
	a.wake()
	return nil
}

// wake lets those look again who wait for room. The lock is held.
func (a *Accepts) wake() {
	close(a.room)
	a.room = make(chan struct{})
}

// Listener returns l with the bound.
func (a *Accepts) Listener(l net.Listener) net.Listener {
	return &boundListener{Listener: l, a: a, closed: make(chan struct{})}
}

type boundListener struct {
	net.Listener
	a      *Accepts
	once   sync.Once
	closed chan struct{}
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		l.a.mu.Lock()
		full, room := l.a.most > 0 && l.a.open >= l.a.most, l.a.room
		l.a.mu.Unlock()
		if !full {
			break
		}
		select {
		case <-room:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.a.mu.Lock()
	l.a.open++
	l.a.mu.Unlock()
	return &boundConn{Conn: c, a: l.a}, nil
}

func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundConn struct {
	net.Conn
	a    *Accepts
	once sync.Once
}

func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.a.mu.Lock()
		defer c.a.mu.Unlock()
		c.a.open--
		c.a.wake()
	})
	return err
}

// CloseWrite lets a server end what it sends and still read, as net/http does before it
// closes a connection with an unread request.
func (c *boundConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn is the connection inside, as tls.Conn has it.
func (c *boundConn) NetConn() net.Conn { return c.Conn }

// ReadFrom keeps what the kernel can do by itself (sendfile, splice) where the
// connection inside can.
func (c *boundConn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}
