package sqlpool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A Holder is who holds a connection.
type Holder struct {
	Site string // where it was checked out: "shop.(*Store).Orders (store/orders.go:42)"
	// Kind is what holds it: "rows" and "statement" for a *sql.Rows, "tx",
	// "connection" for a *sql.Conn, "call" for anything shorter.
	Kind  string
	For   string        // on whose behalf, by TrackerOptions.Describe
	Held  time.Duration // since it was checked out
	Idle  time.Duration // without a call on it, to the next look; 0 in a call
	InUse bool          // in a call of the driver now
	// Proven says that it can never be returned: its rows are garbage.
	Proven bool
	// Taken says that it was taken back, and the holder does not know yet.
	Taken bool
	Stack []string // of the checkout, innermost call first, at most 8
}

// Holders returns who holds a connection now, the longest first.
func (t *Tracker) Holders() []Holder {
	list := t.holds()
	out := make([]Holder, len(list))
	for i := range list {
		out[i] = t.holder(&list[i])
	}
	slices.SortStableFunc(out, func(a, b Holder) int { return cmp.Compare(b.Held, a.Held) })
	return out
}

func (t *Tracker) holder(h *hold) Holder {
	at := t.locate(h)
	return Holder{
		Site: at.site, Kind: at.kind, For: t.describe(h.ctx), Held: h.held, Idle: h.idle, InUse: h.busy,
		Proven: h.lost && at.kind == kindRows, Taken: h.taken, Stack: at.stack,
	}
}

func (t *Tracker) describe(ctx context.Context) (behalf string) {
	if t.o.Describe == nil || ctx == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			behalf = printable(fmt.Sprintf("(TrackerOptions.Describe panicked: %v)", v))
		}
	}()
	return printable(t.o.Describe(ctx))
}

func (t *Tracker) locate(h *hold) origin {
	h.c.mu.Lock()
	if h.c.seq != h.seq {
		h.c.mu.Unlock()
		return origin{kind: kindCall, site: "a call that has ended"}
	}
	pcs := slices.Clone(h.c.pcs[:h.c.frames])
	h.c.mu.Unlock()
	at := t.trace(pcs)
	if at.site == "" {
		at.site = "unknown"
	}
	return at
}

// holds returns all checkouts.
func (t *Tracker) holds() (list []hold) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		if h, ok := c.look(now); ok {
			list = append(list, h)
		}
	}
	return list
}

// survey is what a look needs of all checkouts, for nothing but some nanoseconds each.
type survey struct {
	conns int // that the tracker has
	held  int
	busy  int // of them in a call
	idle  int // of them without a call for idleFor
	taken int // of them given up, and only counted by database/sql
	lost  bool
	quiet time.Duration // the longest time without a call

	dialing int
	refused int
	refusal error
	closed  bool
}

// idleFor is what counts as not using a connection. Work between two queries of a
// transaction is shorter.
const idleFor = time.Second

func (t *Tracker) survey() (s survey) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.conns, s.refused, s.refusal, s.closed = len(t.conns), t.refused, t.refusal, t.closed
	s.dialing = int(t.dialing.Load())
	for c := range t.conns {
		h, ok := c.look(now)
		switch {
		case !ok:
			continue
		case h.off:
			s.taken++
			continue
		case h.busy:
			s.busy++
		case h.idle >= idleFor:
			s.idle++
		}
		s.held++
		s.lost = s.lost || h.lost
		s.quiet = max(s.quiet, h.idle)
	}
	return s
}
