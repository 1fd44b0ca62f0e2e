package shop

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/selfheal-go/selfheal/detect"
)

// A worker serves one order after the other.
type worker struct {
	name   string
	pool   *Pool
	serve  Serve
	home   chan struct{} // closed: finish what you have and go
	called chan struct{} // are you there?
	beat   *detect.Beat
	served atomic.Int64

	mu    sync.Mutex
	order Order
	busy  bool
	left  bool // replaced: whatever it still does is nobody's business
}

func (w *worker) work() {
	defer func() {
		if !w.replaced() {
			w.pool.running.Done()
		}
	}()
	w.beat.Beat()
	for {
		select {
		case <-w.home:
			return
		default: // going home comes before another order
		}
		select {
		case <-w.home:
			return
		case <-w.called: // nothing to do is no reason to look dead
			w.beat.Beat()
		case o := <-w.pool.orders:
			// One beat before an order and none while it is served: the budget of the
			// heartbeat says how long an order may take.
			w.beat.Beat()
			w.take(o)
			err := w.serve(context.Background(), o)
			if o, mine := w.letGo(false); mine {
				w.served.Add(1)
				w.pool.finished(o, err)
			}
			w.beat.Beat()
		}
	}
}

func (w *worker) take(o Order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order, w.busy = o, true
}

// letGo takes the order out of the worker's hands, for whoever comes first: the
// worker when it is done, or its successor. So each order is finished once.
func (w *worker) letGo(leave bool) (o Order, mine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, mine = w.order, w.busy
	w.order, w.busy = Order{}, false
	w.left = w.left || leave
	return o, mine
}

func (w *worker) replaced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}
