package queue

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// work is the goroutine of one seat: it runs Work again for as long as that
// fails. failed is how often it did so in a row.
func (p *Pool) work(ctx context.Context, s *seat, failed int) {
	ended := false
	defer func() {
		if !ended { // Goexit: this goroutine is lost, its seat is not
			p.fail(errGoexit)
			go p.work(ctx, s, failed+1)
		}
	}()
	for {
		if failed > 0 && !p.rest(ctx, s, p.o.Restart.Pause(failed, rand.Float64())) {
			break
		}
		began := time.Now()
		err := p.call(ctx, s)
		if ctx.Err() != nil || s.leaving() {
			break
		}
		if err == nil {
			p.finish()
			break
		}
		p.fail(err)
		if time.Since(began) > p.o.Restart.Max {
			failed = 0
		}
		failed++
	}
	ended = true
	p.left(s)
}

// call runs Work once; its panic is an error.
func (p *Pool) call(ctx context.Context, s *seat) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &remediate.PanicError{Where: "a worker of a queue.Pool", Value: x, Stack: debug.Stack()}
		}
	}()
	return p.o.Work(ctx, Seat{ID: s.id, Leave: s.leave})
}

func (p *Pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	p.lastErr = err
}

// finish is where a worker found the end of the queue.
func (p *Pool) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
}

// left is where a seat is empty.
func (p *Pool) left(s *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if i := slices.Index(p.seats, s); i >= 0 {
		p.seats = slices.Delete(p.seats, i, i+1)
	}
	p.adjust()
}
