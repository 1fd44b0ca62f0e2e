package sqlpool

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// depth is how many calls of a checkout are kept: those of database/sql, of an ORM,
// and some of the program's own.
const depth = 24

// conn is a connection of the pool and who holds it.
//
// The driver's connection belongs to one goroutine at a time. While somebody holds
// it that is whoever makes a call, and between calls nobody: then, under mu, off can
// be set, after which no call gets through and it may be closed from elsewhere. A
// call under way is never interfered with but by its context.
type conn struct {
	t     *Tracker
	inner driver.Conn
	era   uint64

	mu     sync.Mutex // never held while the driver is called
	out    bool       // checked out
	busy   bool       // in a call of the driver
	seq    uint64     // of the checkout
	since  time.Duration
	ctx    context.Context // of the checkout
	pcs    [depth]uintptr
	frames int
	uses   uint64 // calls of the checkout that ended
	// When a look last saw it used. Looks cost less than a clock in every call.
	seenUses uint64
	seenAt   time.Duration
	raw      bool
	lost     bool // its rows cannot be closed any more
	current  *op
	kept     []*op

	taken   *TakenError   // what its holder is told
	changed chan struct{} // closed when the call under way ends, where somebody waits
	off     bool          // the driver's connection is given up
	closed  bool          // by database/sql, the only way a slot of the pool comes free
	owed    bool          // a slot was given in its place
}

// op is a call that can be cancelled, or what it left open: rows, a transaction.
type op struct{ cancel context.CancelCauseFunc }

// checkout notes who holds the connection. false: it may not be used any more.
func (c *conn) checkout(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checkoutLocked(ctx)
}

func (c *conn) checkoutLocked(ctx context.Context) bool {
	if c.off || c.taken != nil || c.era != c.t.era.Load() {
		return false
	}
	c.seq++
	c.out, c.ctx, c.since = true, ctx, c.t.now()
	c.uses, c.seenUses, c.seenAt = 0, 0, c.since
	c.raw, c.lost = false, false
	c.frames = runtime.Callers(3, c.pcs[:])
	return true
}

// called says whether the checkout was made by the program, and not by the
// goroutine in which database/sql opens connections ahead of their use.
func (c *conn) called() bool {
	c.mu.Lock()
	pcs := slices.Clone(c.pcs[:c.frames])
	c.mu.Unlock()
	return c.t.trace(pcs).site != ""
}

// release notes that the connection was returned. false: it may not be used again.
func (c *conn) release() bool {
	c.mu.Lock()
	left := c.releaseLocked()
	good := !c.off && c.taken == nil && c.era == c.t.era.Load()
	c.mu.Unlock()
	cancelAll(left, nil)
	return good
}

func (c *conn) releaseLocked() (left []*op) {
	left, c.kept = c.kept, nil
	if c.current != nil { // the driver panicked
		left = append(left, c.current)
	}
	c.out, c.busy, c.ctx, c.current = false, false, nil, nil
	c.signal()
	return left
}

func (c *conn) signal() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func cancelAll(ops []*op, why error) {
	for _, o := range ops {
		o.cancel(why)
	}
}

// enter begins a call of the driver, with a context by which it can be cancelled.
// It fails where the connection was given up, before the driver is asked for
// anything.
func (c *conn) enter(ctx context.Context) (context.Context, *op, error) {
	inner, cancel := context.WithCancelCause(ctx)
	o := &op{cancel}
	c.mu.Lock()
	err := c.refusalLocked()
	if err == nil && !c.out && !c.checkoutLocked(ctx) { // database/sql opened it ahead
		err = driver.ErrBadConn
	}
	if err == nil {
		c.busy, c.current = true, o
	}
	c.mu.Unlock()
	if err != nil {
		cancel(nil)
	}
	return inner, o, err
}

// enterPlain is enter for a call without a context.
func (c *conn) enterPlain() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refusalLocked(); err != nil {
		return err
	}
	c.busy = true
	return nil
}

func (c *conn) refusalLocked() error {
	switch {
	case c.taken != nil:
		return c.taken
	case c.off:
		return driver.ErrBadConn
	}
	return nil
}

// leave ends the call that enter began, and o with it unless that is nil. What the
// driver says about a call that was cancelled here gets the reason.
func (c *conn) leave(o *op, err error) error {
	c.mu.Lock()
	c.ended()
	taken := c.taken
	c.mu.Unlock()
	if o != nil {
		o.cancel(nil)
	}
	if taken == nil || err == nil || err == io.EOF || err == driver.ErrSkip {
		return err
	}
	told := *taken
	told.Err = err
	return &told
}

// keep ends a call whose context lives on, and returns the number of the checkout.
func (c *conn) keep(o *op) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended()
	c.kept = append(c.kept, o)
	return c.seq
}

func (c *conn) ended() {
	c.busy, c.current = false, nil
	c.uses++
	c.signal()
}

// drop ends what keep kept.
func (c *conn) drop(o *op) {
	c.mu.Lock()
	c.kept = slices.DeleteFunc(c.kept, func(k *op) bool { return k == o })
	c.mu.Unlock()
	o.cancel(nil)
}

// rowsLost notes that the rows of a checkout became garbage before they were closed.
func (c *conn) rowsLost(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out && c.seq == seq {
		c.lost = true
	}
}

// end is the last that happens to the connection. It says whether a slot that was
// given in its place is to be taken back, and whether the driver's is still open.
func (c *conn) end() (owed, open bool) {
	c.mu.Lock()
	left := c.releaseLocked()
	owed, open = c.owed, !c.off
	c.owed, c.off, c.closed = false, true, true
	c.mu.Unlock()
	cancelAll(left, nil)
	return owed, open
}

// retire gives the connection up if nobody holds it; the caller then hangs up.
func (c *conn) retire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out || c.busy || c.off {
		return false
	}
	c.off = true
	return true
}

// hangUp closes the driver's connection after off was set by the caller.
func (c *conn) hangUp() error { return c.inner.Close() }

// owe notes that a slot is given in place of this connection, unless that has come
// back meanwhile.
func (c *conn) owe() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed = !c.closed
	return c.owed
}

// A hold is one checkout as a look saw it.
type hold struct {
	c     *conn
	seq   uint64
	uses  uint64
	ctx   context.Context
	held  time.Duration
	idle  time.Duration // 0 in a call
	busy  bool
	raw   bool
	lost  bool
	taken bool
	off   bool
}

// look sees what the connection is used for. ok is false where nobody holds it.
func (c *conn) look(now time.Duration) (h hold, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.out {
		return h, false
	}
	if c.busy || c.uses != c.seenUses {
		c.seenUses, c.seenAt = c.uses, now
	}
	h = hold{
		c: c, seq: c.seq, uses: c.uses, ctx: c.ctx, held: now - c.since,
		busy: c.busy, raw: c.raw, lost: c.lost, taken: c.taken != nil, off: c.off,
	}
	if !c.busy {
		h.idle = now - c.seenAt
	}
	return h, true
}

// take takes the connection from its holder if that is still the one that h saw, in
// the state that h saw. A call under way is cancelled, and ended is closed when it
// has ended; else the connection is given up and the caller hangs up.
func (c *conn) take(h *hold, told *TakenError) (ended <-chan struct{}, ok bool) {
	c.mu.Lock()
	same := c.out && c.seq == h.seq && c.uses == h.uses && c.busy == h.busy
	if !same || c.raw || c.taken != nil || c.off {
		c.mu.Unlock()
		return nil, false
	}
	c.taken = told
	cancelled := slices.Clone(c.kept)
	if c.busy {
		c.changed = make(chan struct{})
		ended = c.changed
		if c.current != nil {
			cancelled = append(cancelled, c.current)
		}
	} else {
		c.off = true
	}
	c.mu.Unlock()
	cancelAll(cancelled, told)
	return ended, true
}

// abandon gives the connection up after a cancelled call has ended and its holder
// kept it all the same. stuck: the call goes on.
func (c *conn) abandon(seq uint64) (mine, stuck bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.out || c.seq != seq || c.taken == nil || c.off {
		return false, false
	}
	if c.busy {
		return false, true
	}
	c.off = true
	return true, false
}

// A TakenError is what a holder gets from a connection that was taken back from it.
type TakenError struct {
	Site   string        // where the connection was checked out
	Held   time.Duration // until it was taken
	Reason string        // such as "it was not used for 1m0s"
	// Err is what the driver said about the call that was cancelled: what the server
	// did of that is not known. nil: nothing was asked of the server.
	Err error
}

// Error says what happened and what to do about it.
func (e *TakenError) Error() string {
	text := fmt.Sprintf("sqlpool: the connection was taken back after %v, because %s: close what %s opened, or give it a context of sqlpool.AllowHold", e.Held, e.Reason, e.Site)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err, or driver.ErrBadConn where nothing was asked of the server:
// by that database/sql knows that the connection is of no more use.
func (e *TakenError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	return driver.ErrBadConn
}
