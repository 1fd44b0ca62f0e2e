package remediate

import (
	"context"
	"fmt"
	"sync"
)

// onceKeys bounds the memory of one Once.
const onceKeys = 1024

// Once runs an action until it succeeded once for a [Request.Key], and then
// answers nil for that key without running it: for work that must not happen
// again when its rung is tried again. Run and Undo have different keys, and so
// has each attempt of an incident. Errors, ErrSkip among them, are not
// remembered.
//
// Two calls under one key never overlap: the second waits for the first, or for
// the end of its own ctx.
//
// The memory is that of the process and of this value, and holds the 1,024
// latest keys. After a crash the action may run again, under the same key: what
// must not happen twice even then needs a receiver that knows the key.
func Once(action Action) Action {
	o := &once{done: map[string]bool{}, busy: map[string]chan struct{}{}}
	return func(ctx context.Context, req Request) error {
		if action == nil {
			return fmt.Errorf("once: %w", errNil)
		}
		return o.run(ctx, action, req)
	}
}

type once struct {
	mu     sync.Mutex
	done   map[string]bool
	oldest []string // of done, a ring once it is full
	next   int
	busy   map[string]chan struct{} // closed when the call ends
}

func (o *once) run(ctx context.Context, action Action, req Request) error {
	key := req.Key()
	for {
		o.mu.Lock()
		if o.done[key] {
			o.mu.Unlock()
			return nil
		}
		other, taken := o.busy[key]
		if !taken {
			o.busy[key] = make(chan struct{})
			o.mu.Unlock()
			break
		}
		o.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return fmt.Errorf("once: another call under key %q still runs: %w", key, context.Cause(ctx))
		}
	}
	succeeded := false
	defer func() { o.leave(key, succeeded) }() // also when the action panics
	err := action(ctx, req)
	succeeded = err == nil
	return err
}

func (o *once) leave(key string, succeeded bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.busy[key])
	delete(o.busy, key)
	if !succeeded {
		return
	}
	o.done[key] = true
	if len(o.oldest) < onceKeys {
		o.oldest = append(o.oldest, key)
		return
	}
	delete(o.done, o.oldest[o.next])
	o.oldest[o.next] = key
	o.next = (o.next + 1) % onceKeys
}
