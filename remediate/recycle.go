package remediate

import (
	"context"
	"errors"
	"fmt"
)

// Recycle asks for the process to be replaced: for faults that only a fresh
// start mends, where something starts the process again. The action itself ends
// nothing. The supervisor drains, and its Run returns a *selfheal.RecycleError
// with the code; main ends its own work and exits with it.
//
// A code outside 1 to 255 means 1. Zero is never used, because most init
// systems do not restart a process that ended well, and a larger code would
// be cut to its lowest byte.
//
// The step that carries it is Lasting: nothing of it is left to put back.
func Recycle(code int) Action {
	if code < 1 || code > 255 {
		code = 1
	}
	return func(context.Context, Request) error { return &RecycleRequest{Code: code} }
}

// A RecycleRequest is the error by which an action asks for the process to be
// replaced. See [Recycle].
type RecycleRequest struct {
	Code int // the exit code of the process, 1 to 255
}

// Error says what is asked for.
func (r *RecycleRequest) Error() string {
	return fmt.Sprintf("remediate: the process is to be replaced: exit with code %d", r.Code)
}

// Recycling says whether err, or an error that it wraps, asks for the process to
// be replaced, and the exit code that it asks for.
func Recycling(err error) (code int, ok bool) {
	var r *RecycleRequest
	if errors.As(err, &r) {
		return r.Code, true
	}
	return 0, false
}
