//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a shell cannot do everywhere, the test binary plays: a child in a session
// of its own, whose pid is written to the file that the variable names.
const (
	roleVar = "PROCESS_TEST_PID_FILE"
	codeVar = "PROCESS_TEST_EXIT_CODE" // of the program itself
)

func TestMain(m *testing.M) {
	if file := os.Getenv(roleVar); file != "" {
		child := exec.Command("/bin/sleep", "20")
		child.Stdout, child.SysProcAttr = os.Stdout, &syscall.SysProcAttr{Setsid: true}
		err := child.Start()
		if err == nil {
			err = os.WriteFile(file, []byte(strconv.Itoa(child.Process.Pid)), 0o600)
		}
		if err != nil {
			panic(err)
		}
		code, _ := strconv.Atoi(os.Getenv(codeVar))
		os.Exit(code)
	}
	code := m.Run()
	left := leaked()
	for until := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(until); left = leaked() {
		time.Sleep(5 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leaked are the stacks of goroutines of ours, or that work for us.
func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal/") || strings.Contains(s, "os/exec.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

// patient bounds let the machine be slow: what ends at once does not wait for them.
func patient(grace time.Duration) Bounds {
	return Bounds{MaxOutput: 1 << 10, Grace: grace, WaitDelay: 30 * time.Second}.Effective()
}

// script is a shell script that knows a file as $1.
func script(text, file string) Program {
	return Program{Path: "/bin/sh", Args: []string{"-c", text, "sh", file}, Env: []string{"PATH=/usr/bin:/bin"}, Bounds: patient(20 * time.Second)}
}

// ending is a context that ends once a file is there.
func ending(t *testing.T, file string) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		for ctx.Err() == nil {
			if _, err := os.Stat(file); err == nil {
				cancel(context.DeadlineExceeded)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(nil); <-watcher })
	return ctx
}

// pidIn reads the pid that a program wrote.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}

// alive says whether a process runs. One that waits to be reaped, by whatever
// adopts it here, does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, 2*time.Millisecond, "process %d is still there", pid)
}

func TestRunToItsEnd(t *testing.T) {
	t.Parallel()
	p := script(`cat; pwd; env | grep GIVEN; echo words >&2; exit 3`, "")
	p.Dir, p.Input, p.Env = "/", []byte("input\n"), append(p.Env, "GIVEN=yes")
	e, err := Run(t.Context(), p)
	require.NoError(t, err)
	require.Positive(t, e.Group)
	e.Group = 0
	require.Equal(t, Exit{Code: 3, Output: "input\n/\nGIVEN=yes\nwords\n"}, e)

	p = script(`echo 0123456789; kill -9 $$`, "")
	p.Bounds.MaxOutput = 4
	e, err = Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, -1, e.Code)
	require.Equal(t, syscall.SIGKILL, e.Signal)
	require.Equal(t, "01\n[… 7 bytes left out …]\n9\n", e.Output)
	require.EqualValues(t, 7, e.Missing)

	p = script(`exit 0`, "")
	p.Input = make([]byte, 1<<20) // that nobody reads
	e, err = Run(t.Context(), p)
	require.NoError(t, err)
	require.Zero(t, e.Code)
	require.NoError(t, e.Err)
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Program{Path: "/no/such/program", Bounds: patient(0)})
	require.Equal(t, syscall.ENOENT, err, "without the path")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the supervisor stops")
	cancel(why)
	_, err = Run(ctx, Program{Path: "/bin/sh", Bounds: patient(0)})
	require.Equal(t, why, err)
}

func TestTheEndOfTheContextEndsTheProgram(t *testing.T) {
	const politely = `trap 'echo bye; exit 0' TERM; : > "$1"; while :; do sleep 0.01 2> /dev/null; done 2> /dev/null`
	for name, c := range map[string]struct {
		text   string
		grace  time.Duration
		signal os.Signal
		output string
	}{
		"asleep":        {`: > "$1"; sleep 20`, 20 * time.Second, syscall.SIGTERM, ""},
		"stubborn":      {`trap '' TERM; : > "$1"; sleep 20`, 200 * time.Millisecond, syscall.SIGKILL, ""},
		"polite":        {politely, 20 * time.Second, nil, "bye\n"},
		"without grace": {politely, -1, syscall.SIGKILL, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ready")
			p := script(c.text, file)
			p.Bounds = patient(c.grace)
			e, err := Run(ending(t, file), p)
			require.NoError(t, err)
			require.True(t, e.Interrupted)
			require.False(t, e.Held)
			require.Equal(t, c.signal, e.Signal)
			require.Equal(t, c.signal == nil, e.Code == 0, "exit code %d", e.Code)
			require.Equal(t, c.output, e.Output)
		})
	}
}

// However the program ends, what it left in its group ends with it, and does not
// hold the output.
func TestTheGroupEndsWithTheProgram(t *testing.T) {
	for name, then := range map[string]string{"success": "exit 0", "failure": "exit 3", "crash": "kill -9 $$", "timeout": "sleep 20"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			ctx := t.Context()
			if name == "timeout" {
				ctx = ending(t, file)
			}
			p := script(`trap '' TERM; sleep 60 & echo $! > "$1.new"; mv "$1.new" "$1"; `+then, file)
			p.Bounds = patient(100 * time.Millisecond)
			e, err := Run(ctx, p)
			require.NoError(t, err)
			require.Equal(t, name == "timeout", e.Interrupted)
			require.False(t, e.Held)
			requireGone(t, pidIn(t, file))
		})
	}
}

// What left the group is not killed; the output that it holds is given up.
func TestAHeldOutputIsGivenUp(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, code := range []int{0, 3} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			e, err := Run(t.Context(), Program{
				Path:   self,
				Env:    []string{roleVar + "=" + file, codeVar + "=" + strconv.Itoa(code), "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + t.TempDir()},
				Bounds: Bounds{WaitDelay: 100 * time.Millisecond}.Effective(),
			})
			require.NoError(t, err)
			pid := pidIn(t, file)
			require.True(t, alive(pid))
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			requireGone(t, pid)
			require.True(t, e.Held)
			require.False(t, e.Interrupted)
			require.Equal(t, code, e.Code)
			require.NoError(t, e.Err)
		})
	}
}

// What one run costs beside the plain start of a program.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	p := Program{Path: "/bin/true", Bounds: Bounds{}.Effective()}
	for b.Loop() {
		if _, err := Run(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}
