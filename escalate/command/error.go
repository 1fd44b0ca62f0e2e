package command

import (
	"fmt"
	"os"
	"strings"

	"github.com/selfheal-go/selfheal/internal/process"
)

// An Error says how a program ended that did not tell anybody. It unwraps to the
// cause: that of the ended context, or the error of the system.
type Error struct {
	Path     string
	ExitCode int       // -1 when it did not start or was ended by a signal
	Signal   os.Signal // that ended it, or nil
	// Output is what was kept of standard output and standard error, and
	// Missing how many bytes were not. The values of Config.Set are taken out.
	Output  string
	Missing int64
	// Err is the cause, or nil when the program ended by itself.
	Err error

	ran, missing bool // it was started; it cannot be
}

// The exit codes of sysexits.h that no other try can change.
const (
	exUsage  = 64
	exData   = 65
	exNoUser = 67
	exNoHost = 68
	exTemp   = 75
	exNoPerm = 77
	exConfig = 78
)

func (e *Error) permanent() bool {
	if e.Err != nil {
		return e.missing
	}
	switch e.ExitCode {
	case exUsage, exData, exNoUser, exNoHost, exNoPerm, exConfig:
		return true
	}
	return false
}

// Error is one line: how the program ended, its last words, and what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	how, advice := process.How(e.ran, e.ExitCode, e.Signal)
	if e.ExitCode == exTemp {
		how, advice = how+": it may pass", ""
	}
	fmt.Fprintf(&b, "command %s: %s", e.Path, how)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
		if !e.missing {
			advice = ""
		}
	}
	if last := process.LastLine(e.Output); last != "" {
		fmt.Fprintf(&b, ", last output %q", last)
	}
	if advice != "" {
		b.WriteString(": " + advice)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
