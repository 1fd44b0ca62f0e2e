package evidence

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// turns let captures into one store go one after the other, whichever gatherers
// they are of: what they read is the same process. They live in the store because
// it is what the gatherers share.
type turns struct {
	slot chan struct{}

	mu      sync.Mutex
	running map[caller]time.Time // calls of the application's code, and since when
}

type caller struct {
	g    *gatherer
	name string
}

func newTurns() *turns { return &turns{slot: make(chan struct{}, 1), running: map[caller]time.Time{}} }

// take waits for a turn until ctx ends. The turn is over when release is called.
func (t *turns) take(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case t.slot <- struct{}{}:
		return func() { <-t.slot }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: its bundle shows this process at the same moment", ErrBusy)
	}
}

// enter notes that a call begins. One that was left behind and still runs is not
// called a second time.
func (t *turns) enter(c caller) (leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since, ok := t.running[c]; ok {
		return nil, fmt.Errorf("it was left behind %v ago and still runs: let it honour its context", time.Since(since).Round(time.Millisecond))
	}
	t.running[c] = time.Now()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.running, c)
	}, nil
}
