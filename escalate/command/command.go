package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/process"
)

// A Notifier runs a program. It is safe for concurrent use: each notification is
// a process of its own.
type Notifier struct {
	// By pointer: fmt asks no method of what is in an unexported field, so it
	// would print the secrets in it.
	config *Config
}

// New makes a notifier. The configuration is copied. New returns all mistakes in
// it, joined; it looks at no file.
func New(c Config) (*Notifier, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.effective()
	return &Notifier{&c}, nil
}

// String is the program.
func (n *Notifier) String() string {
	if n == nil || n.config == nil {
		return "command"
	}
	return "command " + n.config.Path
}

// Format makes every verb say what String does.
func (n *Notifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(n.String())) }

// LogValue makes a log say what String does.
func (n *Notifier) LogValue() slog.Value { return slog.StringValue(n.String()) }

// Notify runs the program for the notification. It returns nil when the program
// exits with 0, and else an [*escalate.Failure] around an [*Error]: permanent by
// its exit code, or when it could not be started. An ended ctx is passing.
//
// It returns when the program has ended and, after its time is over, at most
// WaitDelay and a little later, unless the kernel cannot kill the program or we
// may not: then it waits, because what still runs must not be taken for ended.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.config == nil {
		return escalate.Permanent(errors.New("command: this notifier was not made by New: make it so"))
	}
	c := *n.config
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout,
			fmt.Errorf("it took more than %v: raise Timeout if it needs longer: %w", c.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	if ctx.Err() != nil {
		return &escalate.Failure{Err: &Error{Path: c.Path, ExitCode: -1, Err: context.Cause(ctx)}}
	}
	e := run(ctx, c, m)
	if e == nil {
		return nil
	}
	return &escalate.Failure{Err: e, Permanent: e.permanent()}
}

func run(ctx context.Context, c Config, m escalate.Notification) *Error {
	exit, err := process.Run(ctx, process.Program{
		Path: c.Path, Args: c.Args, Dir: c.Dir, Bounds: c.bounds(),
		Env:   environment(c, m),
		Input: append(document(m), '\n'),
	})
	if err != nil {
		return &Error{Path: c.Path, ExitCode: -1, Err: err, missing: ctx.Err() == nil && absent(err)}
	}
	e := &Error{Path: c.Path, ExitCode: exit.Code, Signal: exit.Signal, Missing: exit.Missing, Err: exit.Err, ran: true}
	switch {
	case exit.Interrupted:
		// Also with exit code 0: a program that ends well after a SIGTERM has
		// not said that people were told.
		e.Err = context.Cause(ctx)
	case e.ExitCode == 0:
		return nil // whatever became of its output
	}
	e.Output = hide(exit.Output, c.Set)
	return e
}

// document is the notification in JSON, which has no times outside of the years 0
// to 9999: they become zero, rather than that nobody is told.
func document(m escalate.Notification) []byte {
	b, err := json.Marshal(m)
	if err == nil {
		return b
	}
	tame := func(t *time.Time) {
		if y := t.Year(); y < 0 || y > 9999 {
			*t = time.Time{}
		}
	}
	tame(&m.At)
	tame(&m.Incident.Opened)
	tame(&m.Incident.Closed)
	m.Incident.Attempts = slices.Clone(m.Incident.Attempts)
	for i := range m.Incident.Attempts {
		tame(&m.Incident.Attempts[i].Started)
		tame(&m.Incident.Attempts[i].Ended)
	}
	m.Incident.Evidence = slices.Clone(m.Incident.Evidence)
	for i := range m.Incident.Evidence {
		tame(&m.Incident.Evidence[i].At)
	}
	if b, err = json.Marshal(m); err != nil {
		return []byte("{}") // the environment still tells it
	}
	return b
}

// absent says whether a program cannot be run as it is, and not just now.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENOEXEC)
}
