package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A Part captures one file of a bundle. Those of this package are functions such
// as [Heap]; an application adds its own.
type Part struct {
	// Name is the name of the file, such as "sessions.json".
	Name string
	// Type is its media type. It decides how the file is redacted, and what becomes
	// of it where it is too long or Write did not end in time: text, and lines of
	// JSON, are kept up to the last whole line, everything else is left out, since
	// half a profile opens nowhere.
	Type string
	// Write writes it. ctx ends when the time for it is spent; w returns an error
	// when the room is, and from the moment Write is no longer waited for.
	//
	// What it returns becomes a note in the bundle, and what was written to that
	// point is treated as above. [ErrAbsent] says that this is as it should be. A
	// panic is such an error too. One that does not return is left behind, and not
	// called again until it has.
	Write func(ctx context.Context, in escalate.Incident, w io.Writer) error
}

// ErrAbsent says that there is nothing to capture here, and why: wrap it. It is
// noted in the bundle and is no failure.
var ErrAbsent = errors.New("there is nothing to capture")

func absent(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAbsent, fmt.Sprintf(format, args...))
}

var errGoexit = errors.New("it ended its goroutine (runtime.Goexit)")

// within runs f on a goroutine of its own, because f may hang, panic or end its
// goroutine, and waits for it until ctx ends and grace after that, for those that
// return then. What is late is left behind, and nothing that it writes to may be
// read.
func within(ctx context.Context, grace time.Duration, f func() error) (late bool, err error) {
	done := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if p := recover(); p != nil {
				stack := debug.Stack()
				err = &panicked{fmt.Sprintf("it panicked: %.1000s", fmt.Sprint(p)), string(stack[:min(len(stack), mostStack)])}
			}
			done <- err
		}()
		err = f()
	}()
	select {
	case err := <-done:
		return false, err
	case <-ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case err := <-done:
		return false, err
	case <-t.C:
		return true, context.Cause(ctx)
	}
}

const mostStack = 4 << 10

// panicked is one line in an error; the notes of the bundle have the stack.
type panicked struct{ text, stack string }

func (p *panicked) Error() string { return p.text }
