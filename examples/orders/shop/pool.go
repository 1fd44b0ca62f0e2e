package shop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Serve does all that there is to do for one order.
type Serve func(context.Context, Order) error

// A Pool is a number of workers that take orders from a queue.
type Pool struct {
	orders   <-chan Order
	hire     func() Serve       // makes what belongs to one worker
	finished func(Order, error) // is told of each order, once
	min, max int
	stuck    time.Duration

	mu      sync.Mutex
	workers []*worker
	lost    int // workers that hang and were replaced
	next    *time.Timer
	running sync.WaitGroup
}

// NewPool returns a pool without workers.
func NewPool(c Config, q *Queue, hire func() Serve, finished func(Order, error)) *Pool {
	return &Pool{
		orders: q.orders, hire: hire, finished: finished,
		min: c.Workers, max: c.MaxWorkers, stuck: c.Stuck,
	}
}

// Start hires the first workers.
func (p *Pool) Start() {
	p.resize(p.min)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = time.AfterFunc(p.stuck/4, p.rollCall)
}

// Stop sends all workers home and waits for those that do not hang.
func (p *Pool) Stop() {
	p.resize(0)
	p.next.Stop()
	p.running.Wait()
}

// rollCall asks all workers for a sign of life. One that serves an order does not
// answer, and need not, for as long as an order may take.
func (p *Pool) rollCall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		select {
		case w.called <- struct{}{}:
		default:
		}
	}
	if len(p.workers) > 0 {
		p.next.Reset(p.stuck / 4)
	}
}

// ScaleUp hires as many workers as there may be.
func (p *Pool) ScaleUp(context.Context, remediate.Request) error {
	p.resize(p.max)
	return nil
}

// ScaleDown goes back to as many as there are in quiet times.
func (p *Pool) ScaleDown(context.Context, remediate.Request) error {
	p.resize(p.min)
	return nil
}

func (p *Pool) resize(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.workers) < n {
		p.workers = append(p.workers, p.start(fmt.Sprintf("worker-%d", len(p.workers)+1)))
	}
	for _, w := range p.workers[n:] {
		close(w.home) // it finishes the order in its hands first
	}
	p.workers = slices.Delete(p.workers, n, len(p.workers))
}

// start is called with p.mu held.
func (p *Pool) start(name string) *worker {
	w := &worker{
		name: name, pool: p, serve: p.hire(), beat: detect.Heartbeat(p.stuck),
		home: make(chan struct{}), called: make(chan struct{}),
	}
	p.running.Add(1)
	go w.work()
	return w
}

// Healing watches the heartbeat of each worker; its name is the key. A goroutine
// cannot be ended from outside, so a worker that hangs is left to itself and a new
// one takes its place, with state of its own. Its order is not tried again, since
// it may hang the next worker too: it is kept for a person to look at.
func (p *Pool) Healing() selfheal.Watch {
	return selfheal.Watch{
		Name:     "orders/workers",
		Detector: detect.Func(p.hanging),
		KeepFor:  3 * time.Minute,
		Playbook: remediate.Ladder(
			remediate.Step{Name: "replace-worker", Run: p.replace, Lasting: true, Settle: time.Minute},
		),
	}
}

// hanging returns a finding for each worker that stopped beating.
func (p *Pool) hanging(ctx context.Context) ([]detect.Finding, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []detect.Finding
	for _, w := range p.workers {
		fs, err := w.beat.Detect(ctx)
		if err != nil {
			return found, err
		}
		for _, f := range fs {
			f.Key = w.name
			found = append(found, f)
		}
	}
	return found, nil
}

// replace puts a new worker in the place of the one that the finding names.
func (p *Pool) replace(_ context.Context, req remediate.Request) error {
	p.mu.Lock()
	n := slices.IndexFunc(p.workers, func(w *worker) bool { return w.name == req.Finding.Key })
	if n < 0 {
		p.mu.Unlock()
		return fmt.Errorf("%w: %s is gone already", remediate.ErrSkip, req.Finding.Key)
	}
	old := p.workers[n]
	p.workers[n] = p.start(old.name)
	p.lost++
	p.mu.Unlock()

	o, mine := old.letGo(true)
	close(old.home)
	p.running.Done() // nobody waits for it any longer
	if mine {
		p.finished(o, fmt.Errorf("%s hung on it", old.name))
	}
	return nil
}

// Size is how many workers there are, without those that were replaced.
func (p *Pool) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.workers)
}

// Lost is how many were replaced.
func (p *Pool) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Served is how many orders each of the present workers has finished, by name.
func (p *Pool) Served() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	served := map[string]int{}
	for _, w := range p.workers {
		served[w.name] = int(w.served.Load())
	}
	return served
}
