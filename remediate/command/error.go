package command

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/selfheal-go/selfheal/internal/process"
	"github.com/selfheal-go/selfheal/remediate"
)

// An Error says how a program ended that did not do its work. It unwraps to
// the cause: that of the ended context (context.DeadlineExceeded,
// remediate.ErrStopping), remediate.ErrSkip or remediate.ErrEscalate where the
// exit code means that, or the error of the system.
type Error struct {
	Path     string
	ExitCode int       // -1 when it did not start or was ended by a signal
	Signal   os.Signal // that ended it, or nil
	// Output is what was kept of standard output and standard error, and
	// Missing how many bytes were not.
	Output  string
	Missing int64
	// Abandoned are the ids of processes that the program started, that left
	// its process group and that still ran when the action returned. They were
	// not killed. Known on Linux only.
	Abandoned []int
	// Held says that a process outside of the group held the output open for
	// the whole of WaitDelay, so that Output may be incomplete.
	Held bool
	// Err is the cause, or nil when the program ended by itself.
	Err error

	ran, cut bool // it was started; it was told to end
}

// Error is one line: how the program ended, its last words, and what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	how, advice := process.How(e.ran, e.ExitCode, e.Signal)
	fmt.Fprintf(&b, "command %s: %s", e.Path, how)
	switch {
	case errors.Is(e.Err, remediate.ErrSkip), errors.Is(e.Err, remediate.ErrEscalate):
		advice = ""
	case errors.Is(e.Err, remediate.ErrStopping):
		advice = "raise Options.Grace of the supervisor if it needs longer"
	case e.cut:
		advice = "raise Step.Timeout if it needs longer"
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if last := process.LastLine(e.Output); last != "" {
		fmt.Fprintf(&b, ", last output %q", last)
	}
	if len(e.Abandoned) > 0 {
		fmt.Fprintf(&b, ", left processes running outside of its group: %v", e.Abandoned)
	} else if e.Held {
		b.WriteString(", its output was still held open by a process outside of its group")
	}
	if e.left() && e.ExitCode == 0 && e.Err == nil {
		advice = "make it wait for what it starts, or set LeaveRunning"
	}
	if advice != "" {
		b.WriteString(": " + advice)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) left() bool { return len(e.Abandoned) > 0 || e.Held }
