package command

import (
	"errors"
	"fmt"
	"os"
	"strings"

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
	fmt.Fprintf(&b, "command %s: ", e.Path)
	advice := "see its output"
	switch {
	case e.Signal != nil:
		fmt.Fprintf(&b, "ended by signal %v", e.Signal)
	case e.ExitCode >= 0:
		fmt.Fprintf(&b, "exit status %d", e.ExitCode)
	case e.ran:
		b.WriteString("nobody knows how it ended")
		advice = "look for code in this process that reaps children that are not its own"
	default:
		b.WriteString("not started")
		advice = "check that the file exists, may be executed and fits this machine"
	}
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
	if last := e.lastLine(); last != "" {
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

func (e *Error) lastLine() string {
	s := strings.TrimSpace(e.Output)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
