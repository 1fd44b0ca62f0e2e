package selfheal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// durableWait bounds how long a method of the supervisor waits for the disk.
const durableWait = 5 * time.Second

// A write is records on their way to the disk.
type write struct {
	mu    sync.Mutex
	done  bool
	err   error
	after []func(error)
}

func written(err error) *write { return &write{done: true, err: err} }

// settle says that the records are durable, or cannot be.
func (w *write) settle(err error) {
	w.mu.Lock()
	if w.done {
		w.mu.Unlock()
		return
	}
	w.done, w.err = true, err
	after := w.after
	w.after = nil
	w.mu.Unlock()
	for _, f := range after {
		f(err)
	}
}

// then calls f once it is settled: at once if it is. f must not block.
func (w *write) then(f func(error)) {
	if w == nil {
		f(nil)
		return
	}
	w.mu.Lock()
	if !w.done {
		w.after = append(w.after, f)
		w.mu.Unlock()
		return
	}
	err := w.err
	w.mu.Unlock()
	f(err)
}

// wait waits until it is settled, not longer than the disk may take.
func (w *write) wait() error {
	if w == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), durableWait)
	defer cancel()
	settled := make(chan error, 1)
	w.then(func(err error) { settled <- err })
	select {
	case err := <-settled:
		if err != nil && !errors.Is(err, ErrNotDurable) {
			err = fmt.Errorf("%w: %w", ErrNotDurable, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w within %v", ErrNotDurable, durableWait)
	}
}
