package remediate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// maxAtOnce bounds the members of All that run at the same time.
const maxAtOnce = 8

// All runs actions at the same time, at most 8 at once, waits for every one
// of them and returns their errors joined. An error of one does not stop the
// others; once ctx has ended no further one is started.
//
// A member that returns [ErrSkip] does not apply. When no member applies,
// neither does All, and it returns ErrSkip; otherwise skips are not in its
// error, because something was done. A panic of a member is returned as a
// [*PanicError]. All members get the same Request, so they share its Memo: at
// most one of them should call Save.
func All(actions ...Action) Action {
	actions = slices.Clone(actions)
	return func(ctx context.Context, req Request) error {
		errs := make([]error, len(actions))
		slots := make(chan struct{}, maxAtOnce)
		var members sync.WaitGroup
		for i, a := range actions {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				errs[i] = fmt.Errorf("not started: %w", context.Cause(ctx))
				continue
			}
			members.Go(func() {
				defer func() { <-slots }()
				defer contain(&errs[i], fmt.Sprintf("action %d of %d of All", i+1, len(actions)))
				err := errNil
				if a != nil {
					err = a(ctx, req)
				}
				if err == nil {
					err = errDone
				}
				errs[i] = err
			})
		}
		members.Wait()

		skipped := 0
		for i, err := range errs {
			switch {
			case err == errDone:
				errs[i] = nil
			case errors.Is(err, ErrSkip):
				errs[i] = nil
				skipped++
			default:
				errs[i] = fmt.Errorf("all: action %d of %d: %w", i+1, len(actions), err)
			}
		}
		if skipped == len(actions) {
			return fmt.Errorf("all: none of %d actions applies: %w", len(actions), ErrSkip)
		}
		return errors.Join(errs...)
	}
}

// errDone marks a member that returned nil, as opposed to one that never
// returned.
var errDone = errors.New("done")

// contain is deferred around an action on a goroutine of ours, where a panic
// would otherwise end the process. result is where its error is kept: a
// goroutine that is ended by runtime.Goexit returns nothing.
func contain(result *error, where string) {
	switch v := recover(); {
	case v != nil:
		*result = &PanicError{Where: where, Value: v, Stack: debug.Stack()}
	case *result == nil:
		*result = errors.New("the action ended its goroutine: return an error instead of calling runtime.Goexit")
	}
}
