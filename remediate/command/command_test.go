//go:build unix

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/process"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/stretchr/testify/require"
)

// failure runs an action that must fail with an *Error.
func failure(t *testing.T, ctx context.Context, o Options) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, New(o)(ctx, remediate.Request{}), &e)
	require.NotContains(t, e.Error(), "\n")
	return e
}

// told runs the program "tell" and returns what it got.
func told(t *testing.T, o Options, req remediate.Request) seen {
	t.Helper()
	o.MaxOutput = 16 << 20
	var out bytes.Buffer
	req.Log = slog.New(slog.NewJSONHandler(&out, nil))
	require.NoError(t, New(o)(t.Context(), req))
	var line struct{ Msg, Output string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "command ended", line.Msg)
	var s seen
	require.NoError(t, json.Unmarshal([]byte(line.Output), &s))
	return s
}

func TestProgramGetsDataAndNothingElse(t *testing.T) {
	t.Setenv("SERVICE_SECRET", "do not tell")
	t.Setenv("LISTED", "yes")
	o := program(t, "tell", "-n", "$HOME; `id`")
	o.Env = []string{"LISTED", "NOT_THERE"}
	o.Set["FIXED"] = "value"
	o.Dir = "/"
	req := remediate.Request{
		Incident: "orders-7", Step: "shed", Phase: remediate.Undo, Attempt: 2, Try: 3, Fence: 9,
		Finding: detect.Finding{Key: "q1", Severity: detect.Critical, Summary: "9000 is above 5000", Value: 9000, Limit: 5000, Unit: "jobs"},
	}
	s := told(t, o, req)
	require.Equal(t, []string{"-n", "$HOME; `id`"}, s.Args, "no shell")
	require.Equal(t, "/", s.Dir)

	token := ""
	s.Env = slices.DeleteFunc(s.Env, func(v string) bool {
		id, ok := strings.CutPrefix(v, "SELFHEAL_RUN_ID=")
		if ok {
			token = id
		}
		return ok
	})
	require.GreaterOrEqual(t, len(token), 20)
	require.ElementsMatch(t, []string{
		"SELFHEAL_INCIDENT=orders-7", "SELFHEAL_STEP=shed", "SELFHEAL_PHASE=undo", "SELFHEAL_ATTEMPT=2", "SELFHEAL_TRY=3",
		"SELFHEAL_IDEMPOTENCY_KEY=orders-7/shed/2/undo", "SELFHEAL_FENCE=9", "SELFHEAL_KEY=q1", "SELFHEAL_SEVERITY=critical",
		"SELFHEAL_SUMMARY=9000 is above 5000", "SELFHEAL_VALUE=9000", "SELFHEAL_LIMIT=5000", "SELFHEAL_UNIT=jobs",
		"LISTED=yes", "FIXED=value", helperVar + "=tell", "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + o.Set["GOCOVERDIR"],
	}, s.Env)
	want, err := json.Marshal(req)
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", s.Stdin)
}

func TestHostileFinding(t *testing.T) {
	evil := "$(touch /tmp/x); `id` \x00LD_PRELOAD=/evil.so\n\"' -rf / \xff\xfe() { :;}; " + strings.Repeat("ß", 100_000)
	s := told(t, program(t, "tell", "fixed"), remediate.Request{
		Incident: evil, Step: evil, Finding: detect.Finding{Key: evil, Summary: evil, Unit: evil, Value: math.NaN(), Limit: math.Inf(-1), Labels: map[string]string{evil: evil}},
	})
	require.Equal(t, []string{"fixed"}, s.Args)
	require.Len(t, s.Env, 17)
	for _, v := range s.Env {
		name, value, _ := strings.Cut(v, "=")
		require.Regexp(t, "^(SELFHEAL_[A-Z_]+|GORACE|GOCOVERDIR|"+helperVar+")$", name)
		require.LessOrEqual(t, len(value), process.MaxValue)
	}
	require.Contains(t, s.Env, "SELFHEAL_VALUE=NaN")
	var back struct{ Finding struct{ Summary string } }
	require.NoError(t, json.Unmarshal([]byte(s.Stdin), &back))
	require.Equal(t, strings.ToValidUTF8(evil, "\uFFFD\uFFFD"), back.Finding.Summary, "the JSON is complete")
}

func FuzzEnvironment(f *testing.F) {
	f.Add("orders-7", "shed", "q1", "9000 is above 5000", 1.5)
	f.Add("\x00", "a\x00=b", "\xff", "\nPATH=/evil", math.NaN())
	f.Add("=", "SELFHEAL_RUN_ID=x", strings.Repeat("é", 5000), "() { :;}; id", math.Inf(1))
	o := Options{Path: "/bin/true", Set: map[string]string{"A": "1"}}.effective()
	names := func(env []string) (names []string) {
		for _, v := range env {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		return names
	}
	want := names(environment(o, remediate.Request{}, "token"))
	f.Fuzz(func(t *testing.T, incident, step, key, summary string, value float64) {
		env := environment(o, remediate.Request{Incident: incident, Step: step, Finding: detect.Finding{Key: key, Summary: summary, Unit: key, Value: value}}, "token")
		require.Equal(t, want, names(env), "the names do not depend on the request")
		require.Equal(t, "SELFHEAL_RUN_ID=token", env[0])
		for _, v := range env {
			require.NotContains(t, v, "\x00")
			require.Equal(t, strings.ToValidUTF8(v, "?"), v)
			require.LessOrEqual(t, len(v), process.MaxValue+40)
		}
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	run := func(code string) error {
		o := program(t, "exit", code)
		o.SkipExit, o.EscalateExit = 75, 76
		return New(o)(t.Context(), remediate.Request{})
	}
	require.NoError(t, run("0"))
	require.ErrorIs(t, run("75"), remediate.ErrSkip)
	require.ErrorIs(t, run("76"), remediate.ErrEscalate)
	err := run("3")
	require.NotErrorIs(t, err, remediate.ErrSkip)
	require.NotErrorIs(t, err, remediate.ErrEscalate)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 3, e.ExitCode)
	require.Equal(t, "first line\nlast words\n", e.Output)
	require.Equal(t, `command `+e.Path+`: exit status 3, last output "last words": see its output`, e.Error())

	plain := program(t, "exit", "75")
	require.NotErrorIs(t, New(plain)(t.Context(), remediate.Request{}), remediate.ErrSkip, "no code means skip by default")

	e = failure(t, t.Context(), program(t, "die"))
	require.Equal(t, -1, e.ExitCode)
	require.Equal(t, syscall.SIGKILL, e.Signal)
	require.ErrorContains(t, e, "ended by signal killed")
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	e := failure(t, t.Context(), Options{Path: "/no/such/program"})
	require.ErrorIs(t, e, os.ErrNotExist)
	require.EqualError(t, e, "command /no/such/program: not started: no such file or directory: check that the file exists, may be executed and fits this machine")
	require.ErrorContains(t, failure(t, t.Context(), Options{Path: "/"}), "not started: is a directory")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(remediate.ErrStopping)
	require.ErrorIs(t, failure(t, ctx, program(t, "nap")), remediate.ErrStopping)

	err := New(Options{Path: "relative"})(t.Context(), remediate.Request{})
	require.EqualError(t, err, `command: not run, its options are wrong: command: Path "relative" is not absolute: write the full path of the program`)
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	o := program(t, "flood", "100000")
	o.MaxOutput = 130 // ten lines of 13 bytes
	var out bytes.Buffer
	require.NoError(t, New(o)(t.Context(), remediate.Request{Log: slog.New(slog.NewJSONHandler(&out, nil))}))
	var line struct{ Output string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "line 0000000\nline 0000001\nline 0000002\nline 0000003\nline 0000004\n"+
		"\n[… 1299870 bytes left out …]\n"+
		"line 0099995\nline 0099996\nline 0099997\nline 0099998\nline 0099999\n", line.Output)
}

func TestEndlessOutputEndsWithTheContext(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/flooded"
	ctx, _ := ending(t, file)
	e := failure(t, ctx, program(t, "flood", "-1", file))
	require.ErrorIs(t, e, context.DeadlineExceeded)
	require.LessOrEqual(t, len(e.Output), 64<<10+64)
	require.Positive(t, e.Missing)
	require.True(t, strings.HasPrefix(e.Output, "line 0000000\n"))
}

// A program that does not read its input is not waited for.
func TestInputThatNobodyReads(t *testing.T) {
	t.Parallel()
	req := remediate.Request{Finding: detect.Finding{Summary: strings.Repeat("x", 1<<20)}}
	require.NoError(t, New(program(t, "exit", "0"))(t.Context(), req))
}

// One action may be called at the same time: each call has a process, an output
// and an identity of its own.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	a := New(program(t, "exit", "4"))
	var calls sync.WaitGroup
	for range 6 {
		calls.Go(func() {
			var e *Error
			if err := a(t.Context(), remediate.Request{}); errors.As(err, &e) {
				if e.Output != "first line\nlast words\n" || e.left() {
					t.Errorf("%+v", e)
				}
				return
			}
			t.Error("no *Error")
		})
	}
	calls.Wait()
}

func TestOptionsAreCopied(t *testing.T) {
	o := program(t, "exit", "0")
	a := New(o)
	o.Args[0], o.Set[helperVar] = "9", "nap"
	require.NoError(t, a(t.Context(), remediate.Request{}))
}
