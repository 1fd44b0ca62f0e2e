package command

import (
	"fmt"
	"os"
	"strings"
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
	fmt.Fprintf(&b, "command %s: ", e.Path)
	advice := "see its output"
	switch {
	case e.Signal != nil:
		fmt.Fprintf(&b, "ended by signal %v", e.Signal)
	case e.ExitCode == exTemp:
		b.WriteString("exit status 75: it may pass")
		advice = ""
	case e.ExitCode >= 0:
		fmt.Fprintf(&b, "exit status %d", e.ExitCode)
	case e.ran:
		b.WriteString("nobody knows how it ended")
		advice = "look for code in this process that reaps children that are not its own"
	default:
		b.WriteString("not started")
		advice = "check that the file exists, may be executed and fits this machine"
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
		if !e.missing {
			advice = ""
		}
	}
	if last := e.lastLine(); last != "" {
		fmt.Fprintf(&b, ", last output %q", last)
	}
	if advice != "" {
		b.WriteString(": " + advice)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) lastLine() string {
	s := strings.TrimSpace(e.Output)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
