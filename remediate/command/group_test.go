//go:build unix

package command

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/stretchr/testify/require"
)

func TestTimeoutEndsTheProgram(t *testing.T) {
	const grace = 300 * time.Millisecond
	for _, c := range []struct {
		name, program string
		grace         time.Duration
		signal        os.Signal
		output        string
		least         time.Duration
	}{
		{"nap", "nap", grace, syscall.SIGTERM, "asleep\n", 0},
		{"stubborn", "stubborn", grace, syscall.SIGKILL, "asleep\n", grace},
		// It could put its things in order, and is a failure all the same.
		{"polite", "polite", 5 * time.Second, nil, "asleep\nbye\n", 0},
		{"without grace", "polite", -1, syscall.SIGKILL, "asleep\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := t.TempDir() + "/ready"
			o := program(t, c.program, file)
			o.Grace, o.WaitDelay = c.grace, 10*time.Second
			ctx, ended := ending(t, file)
			e := failure(t, ctx, o)
			took := time.Since(ended())
			require.ErrorIs(t, e, context.DeadlineExceeded)
			require.ErrorContains(t, e, "raise Step.Timeout")
			require.Equal(t, c.signal, e.Signal)
			require.Equal(t, c.output, e.Output)
			require.Equal(t, c.signal == nil, e.ExitCode == 0)
			require.False(t, e.left())
			require.GreaterOrEqual(t, took, c.least)
			require.Less(t, took, c.least+3*time.Second)
		})
	}
}

func TestCancelWithACause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, remediate.ErrStopping)
	defer cancel()
	e := failure(t, ctx, program(t, "nap"))
	require.ErrorIs(t, e, remediate.ErrStopping)
	require.ErrorContains(t, e, "raise Options.Grace of the supervisor")
}

// untilReady is a context that ends when the program is ready that childOf
// then runs, or has its child where it floods, or not at all where the program
// ends by itself.
func untilReady(t *testing.T, o Options, then []string) context.Context {
	file := t.TempDir() + "/ready"
	for i, arg := range o.Args {
		if arg == "READY" {
			o.Args[i] = file
		}
	}
	if then[0] == "flood" {
		file = o.Args[2]
	}
	ctx, _ := ending(t, file)
	return ctx
}

// However the program ends, what it left in its group ends with it, holds the
// output or not.
func TestTheGroupEndsWithTheProgram(t *testing.T) {
	for name, then := range map[string][]string{
		"success":  {"exit", "0"},
		"failure":  {"exit", "3"},
		"crash":    {"die"},
		"timeout":  {"nap", "READY"},
		"polite":   {"polite", "READY"},
		"stubborn": {"stubborn", "READY"},
		"flood":    {"flood", "-1"},
	} {
		for _, holds := range []string{"pipe", "nothing"} {
			t.Run(name+"/"+holds, func(t *testing.T) {
				t.Parallel()
				o, child := childOf(t, "group", holds, then...)
				o.Grace = 200 * time.Millisecond
				o.WaitDelay = 10 * time.Second
				ctx := untilReady(t, o, then)
				began := time.Now()
				err := New(o)(ctx, remediate.Request{})
				require.Less(t, time.Since(began), 6*time.Second, "nobody holds the output")
				requireGone(t, child())
				if name == "success" {
					require.NoError(t, err)
					return
				}
				var e *Error
				require.ErrorAs(t, err, &e)
				require.False(t, e.left(), "%v", err)
			})
		}
	}
}

// What leaves the group is not killed, but is not hidden either.
func TestAProcessThatLeftTheGroupIsShown(t *testing.T) {
	for _, how := range []string{"session", "job"} {
		for _, holds := range []string{"pipe", "nothing"} {
			for _, then := range [][]string{{"exit", "0"}, {"exit", "75"}, {"nap", "READY"}} {
				t.Run(how+"/"+holds+"/"+strings.Join(then, "-"), func(t *testing.T) {
					t.Parallel()
					if runtime.GOOS != "linux" && holds == "nothing" {
						t.Skip("not known on this system")
					}
					o, child := childOf(t, how, holds, then...)
					o.WaitDelay = 300 * time.Millisecond
					o.SkipExit = 75
					ctx := untilReady(t, o, then)
					began := time.Now()
					var log bytes.Buffer
					err := New(o)(ctx, remediate.Request{Log: slog.New(slog.NewTextHandler(&log, nil))})
					require.Less(t, time.Since(began), 6*time.Second)
					requireAlive(t, child())
					var e *Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, holds == "pipe", e.Held)
					require.NotErrorIs(t, err, remediate.ErrSkip, "something was done")
					if runtime.GOOS == "linux" {
						require.Equal(t, []int{child()}, e.Abandoned)
						require.ErrorContains(t, err, "left processes running outside of its group")
						require.Contains(t, log.String(), "abandoned=")
					}
				})
			}
		}
	}
}

func TestLeaveRunning(t *testing.T) {
	t.Parallel()
	o, child := childOf(t, "session", "nothing", "exit", "0")
	o.LeaveRunning = true
	var log bytes.Buffer
	require.NoError(t, New(o)(t.Context(), remediate.Request{Log: slog.New(slog.NewTextHandler(&log, nil))}))
	requireAlive(t, child())
	if runtime.GOOS == "linux" {
		require.Contains(t, log.String(), "level=INFO msg=\"command ended and left processes running\"")
	}
}
