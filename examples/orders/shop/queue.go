package shop

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Why an order is not taken. Both are HTTP 503: come back later.
var (
	ErrFull     = errors.New("the queue is full")
	ErrShedding = errors.New("shedding load")
)

// A Queue holds the orders that wait for a worker.
type Queue struct {
	orders   chan Order
	shedding atomic.Bool
}

// NewQueue returns a queue for at most size orders.
func NewQueue(size int) *Queue { return &Queue{orders: make(chan Order, size)} }

// Put takes an order or says why not. It never waits.
func (q *Queue) Put(o Order) error {
	if q.shedding.Load() {
		return ErrShedding
	}
	select {
	case q.orders <- o:
		return nil
	default:
		return ErrFull
	}
}

// Depth is how many orders wait.
func (q *Queue) Depth(context.Context) (int, error) { return len(q.orders), nil }

// Shed refuses new orders.
func (q *Queue) Shed(context.Context, remediate.Request) error {
	q.shedding.Store(true)
	return nil
}

// Restore accepts them again.
func (q *Queue) Restore(context.Context, remediate.Request) error {
	q.shedding.Store(false)
	return nil
}

// Shedding says whether new orders are refused.
func (q *Queue) Shedding() bool { return q.shedding.Load() }

// Healing watches the depth. More workers are harmless and often enough, so they
// come first. Refusing orders costs money, so it comes last; it is undone when
// the queue has been short for five minutes.
func (q *Queue) Healing(p *Pool) selfheal.Watch {
	size := cap(q.orders)
	return selfheal.Watch{
		Name:     "orders/queue",
		Detector: detect.Above(q.Depth, size/2).ClearBelow(size / 10).Unit("orders"),
		For:      2 * time.Minute, // a rush of two minutes is business, not an incident
		KeepFor:  5 * time.Minute,
		Playbook: remediate.Ladder(
			remediate.Step{
				Name: "scale-workers", Run: p.ScaleUp, Undo: p.ScaleDown,
				Settle: 3 * time.Minute, Risk: remediate.Safe,
			},
			remediate.Step{
				Name: "shed-load", Run: q.Shed, Undo: q.Restore,
				// What waits already must drain first. That may take longer than ten
				// minutes; to shed again does no harm, and to look again is the point.
				Settle: 10 * time.Minute,
				Retry:  remediate.Backoff{Tries: 3, Initial: time.Minute},
			},
		),
	}
}
