package remediate

import "fmt"

// A PanicError is a panic of user code that was recovered. It does not unwrap
// to the value of the panic: a panic with [ErrSkip] is a panic, not a skip.
type PanicError struct {
	Where string // the call that panicked
	Value any    // what it panicked with
	Stack []byte // of the goroutine that panicked
}

// Error says where and with what; the stack is in Stack only.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic in %s: %v: see the stack", e.Where, e.Value)
}
