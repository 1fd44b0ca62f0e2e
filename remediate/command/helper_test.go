//go:build unix

package command

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary plays the programs that the tests run: the one that the
// variable names. None outlives its nap, even if a test fails.
const (
	helperVar = "COMMAND_TEST_PROGRAM"
	nap       = 20 * time.Second
)

// seen is what the program "tell" got.
type seen struct {
	Args  []string
	Env   []string
	Stdin string
	Dir   string
}

func programs() map[string]func(args []string) {
	return map[string]func(args []string){
		"tell": func(args []string) {
			in, _ := io.ReadAll(os.Stdin)
			dir, _ := os.Getwd()
			_ = json.NewEncoder(os.Stdout).Encode(seen{Args: args, Env: os.Environ(), Stdin: string(in), Dir: dir})
		},
		"exit": func(args []string) {
			fmt.Println("first line")
			fmt.Fprintln(os.Stderr, "last words")
			code, _ := strconv.Atoi(args[0])
			os.Exit(code)
		},
		"die": func([]string) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(nap)
		},
		// These three say that they are ready by creating the file that their
		// first argument names.
		"nap": func(args []string) {
			ready(args)
			time.Sleep(nap)
		},
		"stubborn": func(args []string) {
			signal.Ignore(syscall.SIGTERM)
			ready(args)
			time.Sleep(nap)
		},
		"polite": func(args []string) {
			told := make(chan os.Signal, 1)
			signal.Notify(told, syscall.SIGTERM)
			ready(args)
			select {
			case <-told:
				fmt.Println("bye")
			case <-time.After(nap):
			}
		},
		"flood": func(args []string) {
			lines, _ := strconv.Atoi(args[0])
			out := bufio.NewWriter(os.Stdout)
			defer out.Flush()
			for i := 0; lines < 0 || i < lines; i++ {
				fmt.Fprintf(out, "line %07d\n", i)
				if i == 10_000 && len(args) > 1 { // more than is kept by default
					_ = os.WriteFile(args[1], nil, 0o600)
				}
			}
		},
		"parent": parent,
	}
}

func ready(args []string) {
	fmt.Println("asleep")
	if len(args) == 0 {
		return
	}
	if err := os.WriteFile(args[0], nil, 0o600); err != nil {
		panic(err)
	}
}

// parent starts a child that ignores SIGTERM and then becomes another program.
// Its arguments: how the child stands ("group", "job", "session"), what it
// holds ("pipe", "nothing"), where its pid is written, and the other program.
func parent(args []string) {
	how, holds, file, then := args[0], args[1], args[2], args[3:]
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), helperVar+"=stubborn")
	switch how {
	case "job":
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	case "session":
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	// The first word of the child says that it ignores SIGTERM by now.
	word, err := child.StdoutPipe()
	if holds == "pipe" {
		child.Stderr = os.Stderr
	}
	if err == nil {
		err = child.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(word).ReadString('\n')
	}
	// At once as a whole, for whoever waits for the file.
	if err == nil {
		err = os.WriteFile(file+".new", []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		panic(err)
	}
	programs()[then[0]](then[1:])
}

// program is the options to run one of the programs.
func program(t *testing.T, name string, args ...string) Options {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return Options{Path: self, Args: args, Set: map[string]string{
		helperVar: name,
		// Under the race detector a program would take a second to end, and
		// under coverage it would complain.
		"GORACE": "atexit_sleep_ms=0", "GOCOVERDIR": t.TempDir(),
	}}
}

// ending is a context that ends with the cause of a time-out once a file is
// there, and a function that says when that was.
func ending(t *testing.T, file string) (context.Context, func() time.Time) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var at time.Time
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		for ctx.Err() == nil {
			if _, err := os.Stat(file); err == nil {
				at = time.Now()
				cancel(context.DeadlineExceeded)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(nil) })
	return ctx, func() time.Time { <-watcher; return at }
}

// childOf is the options to run a program with a child, and how to get its pid.
func childOf(t *testing.T, how, holds string, then ...string) (o Options, child func() int) {
	t.Helper()
	file := t.TempDir() + "/pid"
	o = program(t, "parent", append([]string{how, holds, file}, then...)...)
	return o, func() int {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pid, err := strconv.Atoi(string(text))
		require.NoError(t, err)
		return pid
	}
}

// requireGone fails unless a process ends within a moment.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, 3*time.Second, 2*time.Millisecond, "process %d is still there", pid)
}

// requireAlive fails unless a process lives, and ends it when the test does.
func requireAlive(t *testing.T, pid int) {
	t.Helper()
	require.True(t, alive(pid))
	t.Cleanup(func() {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		requireGone(t, pid)
	})
}
