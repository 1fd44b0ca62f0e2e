package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Sequence runs actions in order, on the goroutine of the caller, and stops at
// the first error. A member that returns [ErrSkip] does not apply, and the next
// one runs; when no member applies, neither does the sequence, and it returns
// ErrSkip. Between members it stops when ctx has ended.
//
// As an Undo it stops at the first error too: what lies behind stays in
// force until the undo is tried again. Use [All] where members do not depend
// on each other.
func Sequence(actions ...Action) Action {
	actions = slices.Clone(actions)
	return func(ctx context.Context, req Request) error {
		applied := false
		for i, a := range actions {
			if ctx.Err() != nil {
				return fmt.Errorf("sequence: stopped before action %d of %d: %w", i+1, len(actions), context.Cause(ctx))
			}
			err := errNil
			if a != nil {
				err = a(ctx, req)
			}
			switch {
			case err == nil:
				applied = true
			case !errors.Is(err, ErrSkip):
				return fmt.Errorf("sequence: action %d of %d: %w", i+1, len(actions), err)
			}
		}
		if !applied {
			return fmt.Errorf("sequence: none of %d actions applies: %w", len(actions), ErrSkip)
		}
		return nil
	}
}

var errNil = errors.New("the action is nil: set it where the step is put together")
