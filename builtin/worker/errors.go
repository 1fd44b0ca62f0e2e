package worker

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// What a [Func] may return, wrapped or not.
var (
	// ErrDone says that the work is done for good, also where Always is set.
	ErrDone = errors.New("worker: done")
	// ErrEndGroup ends the whole group: Run stops all workers and returns the
	// error that wraps it.
	ErrEndGroup = errors.New("worker: end the group")
)

// Causes with which the context of a worker ends; see [context.Cause].
var (
	// ErrRestarting is that of a worker that is to be restarted on demand.
	ErrRestarting = errors.New("worker: restarting on demand")
	// ErrSibling is that of a worker that is restarted because another failed.
	ErrSibling = errors.New("worker: restarting with another worker of its group")
	// ErrReplaced is that of a worker that ignored its context and was replaced.
	ErrReplaced = errors.New("worker: replaced")
	// ErrRemoved is that of a worker that was removed or put into quarantine.
	ErrRemoved = errors.New("worker: taken out of service")
)

// What the methods of a [Group] return.
var (

	// ErrUnknown is returned for a name that no worker has.
	ErrUnknown = errors.New("worker: there is no such worker: Status lists them")
	// ErrNotRunning is returned where Run is not under way.
	ErrNotRunning = errors.New("worker: the group is not running: call Run first")
	// ErrRunning is returned by a Run beside another.
	ErrRunning = errors.New("worker: the group is running already")
	// ErrIgnored says that a worker has not returned within the stop time-out
	// after its context ended. It is started again once it does return.
	ErrIgnored = errors.New("worker: it ignores its context")
	// ErrCap says that as many abandoned runs are still going as may, so that no
	// worker is replaced any more.
	ErrCap = errors.New("worker: the cap of abandoned runs is reached: no more are replaced")
	// ErrHeld is returned where a worker cannot be started, because one that it
	// depends on was given up.
	ErrHeld = errors.New("worker: it waits for a worker that was given up: restart that one")
	// errGoexit is how a run failed that ended its goroutine.
	errGoexit = errors.New("worker: it ended its goroutine with runtime.Goexit")
	// errNil is how one that is restarted always failed by returning nil.
	errNil = errors.New("worker: returned nil, and is to run always")
)

// A GiveUpError is what Run returns when an essential worker was given up.
type GiveUpError struct {
	Worker string
	Err    error // of its last run
}

// Error names the worker and what it died of.
func (e *GiveUpError) Error() string {
	return fmt.Sprintf("worker: the essential worker %q was given up: %v", e.Worker, e.Err)
}

// Unwrap returns the error of its last run.
func (e *GiveUpError) Unwrap() error { return e.Err }

// A LeftError is what Run returns when workers had not returned when the stop
// time-out was over. They are counted as abandoned.
type LeftError struct {
	Workers []string
	Err     error // what Run would have returned without them
}

// Error names them.
func (e *LeftError) Error() string {
	s := fmt.Sprintf("worker: %d workers ignored their context and still run: %s", len(e.Workers), strings.Join(e.Workers, ", "))
	if e.Err != nil {
		s += "; " + e.Err.Error()
	}
	return s
}

// Unwrap returns what Run would have returned without them.
func (e *LeftError) Unwrap() error { return e.Err }

// A PanicError is a panic of a worker. It does not unwrap to its value: a panic
// with [ErrDone] is a panic.
type PanicError struct {
	Value any
	pcs   []uintptr
}

// Error says with what it panicked.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Stack is the stack of the panic, the innermost call first, one call in two
// lines as Go prints it. It is put into words when it is asked for: most panics
// of a crash loop are never read.
func (e *PanicError) Stack() string {
	var b strings.Builder
	frames := runtime.CallersFrames(e.pcs)
	for more := len(e.pcs) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.Function == "runtime.gopanic" {
			b.Reset() // what comes before is our own looking
			continue
		}
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// deepest is how many calls of a stack are kept.
const deepest = 64

// caught makes the error of a panic, below the deferred call that recovered it. Its
// frame is large, and only a run that panicked pays for it.
//
//go:noinline
func caught(value any) *PanicError {
	var pcs [deepest]uintptr
	n := runtime.Callers(3, pcs[:])
	return &PanicError{Value: value, pcs: append([]uintptr(nil), pcs[:n]...)}
}
