package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/selfheal-go/selfheal/escalate"
)

// Reserve keeps descriptors open for no other purpose than to give them up when no
// others are left and somebody has to be told:
//
//	reserve, err := host.NewReserve(0)
//	…
//	page := escalate.Named("pager", reserve.Notifier(pagerduty))
//
// What is given up can be taken by other goroutines of the process as well: nothing
// can hand a descriptor to one of them. So only a part is given up at a time, more of
// it where that did not suffice, and at once before the call. A nil Reserve has
// nothing to give. It is safe for concurrent use.
type Reserve struct {
	mu   sync.Mutex
	want int
	lent int // calls of Do under way that were lent some: nothing is taken back meanwhile
	held []*os.File
}

// defaultReserve is how many descriptors are kept (LX-3), lendAtOnce how many of
// them are given up at a time: a name to be resolved and a connection to be made
// need about three, twice as many where both protocols are tried.
const (
	defaultReserve = 32
	lendAtOnce     = 8
)

// NewReserve opens n descriptors on the null device. 0 means 32 (S). Where fewer can
// be had the reserve holds those and the error says so; it is filled up later.
func NewReserve(n int) (*Reserve, error) {
	if n < 0 {
		return &Reserve{}, fmt.Errorf("host: a reserve of %d descriptors: use a positive number, or 0 for %d", n, defaultReserve)
	}
	r := &Reserve{want: n}
	fill(&r.want, defaultReserve)
	return r, r.refill()
}

// Held is how many descriptors it keeps now.
func (r *Reserve) Held() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

// Close gives all of them up for good.
func (r *Reserve) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want = 0
	r.release(-1)
	return nil
}

// refill opens what is lacking.
func (r *Reserve) refill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.lent == 0 && len(r.held) < r.want {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return fmt.Errorf("host: the reserve holds %d of %d descriptors: %w", len(r.held), r.want, err)
		}
		r.held = append(r.held, f)
	}
	return nil
}

// lend gives n descriptors up until giveBack, all of them if n is negative.
func (r *Reserve) lend(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent++
	r.release(n)
}

// giveBack ends some loans; after the last the reserve is filled up as far as it can be.
func (r *Reserve) giveBack(loans int) {
	r.mu.Lock()
	r.lent -= loans
	r.mu.Unlock()
	_ = r.refill() // what is lacking is had later, and seen by Held
}

// release closes n descriptors, all of them if n is negative. The lock is held.
func (r *Reserve) release(n int) {
	if n < 0 || n > len(r.held) {
		n = len(r.held)
	}
	keep := len(r.held) - n
	for _, f := range r.held[keep:] {
		_ = f.Close() // nothing was written
	}
	clear(r.held[keep:])
	r.held = r.held[:keep]
}

// Do calls f with descriptors to spare: where fewer than four can be had it gives up
// eight of its own first. If f still fails for want of a descriptor it gives up all,
// and calls f once more. Afterwards it takes back what it can get. It returns the
// error of f.
func (r *Reserve) Do(f func() error) error {
	if r == nil {
		return f()
	}
	loans := 0
	defer func() {
		if loans > 0 {
			r.giveBack(loans)
		}
	}()
	lend := func(n int) { loans++; r.lend(n) }
	if scarce() {
		lend(lendAtOnce)
	}
	err := f()
	if isScarcity(err) {
		lend(-1)
		err = f()
	}
	return err
}

// Notifier is n with the reserve behind it: people are told though no descriptor is
// left. Give it a name outside, by [escalate.Named].
func (r *Reserve) Notifier(n escalate.Notifier) escalate.Notifier {
	return escalate.NotifierFunc(func(ctx context.Context, note escalate.Notification) error {
		return r.Do(func() error { return n.Notify(ctx, note) })
	})
}

// Listener is l with the reserve behind it: connections are accepted though no
// descriptor is left. It is for a listener that must answer then, such as that of
// health checks; one for the load of a service would use the reserve up. A nil Reserve
// returns l.
func (r *Reserve) Listener(l net.Listener) net.Listener {
	if r == nil {
		return l
	}
	return &reservedListener{l, r}
}

type reservedListener struct {
	net.Listener
	r *Reserve
}

func (l *reservedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if !isScarcity(err) {
		return c, err
	}
	// The connection waits in the queue of the kernel, so that this returns soon.
	err = l.r.Do(func() (err error) { c, err = l.Listener.Accept(); return err })
	return c, err
}

// scarce says whether fewer than four descriptors can be had.
func scarce() bool {
	var got [4]*os.File
	for i := range got {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return isScarcity(err)
		}
		got[i] = f
		defer f.Close()
	}
	return false
}

func isScarcity(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
