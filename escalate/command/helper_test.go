//go:build unix

package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

// The test binary plays the programs that the tests run: the one that the
// variable names. None outlives its nap, even if a test fails.
const (
	helperVar = "NOTIFIER_TEST_PROGRAM"
	nap       = 20 * time.Second
)

// TestMain plays a program when it is told to, and else fails the run when tests
// leave goroutines behind.
func TestMain(m *testing.M) {
	if program, ok := programs()[os.Getenv(helperVar)]; ok {
		program(os.Args[1:])
		os.Exit(0)
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

// leaked are the stacks of goroutines of ours, or that work for us; those of
// the test framework do not count.
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
			b, _ := json.Marshal(seen{Args: args[1:], Env: os.Environ(), Stdin: string(in), Dir: dir})
			_ = os.WriteFile(args[0], b, 0o600)
		},
		"exit": func(args []string) {
			fmt.Println("first line")
			fmt.Fprintln(os.Stderr, strings.Join(args[1:], " "))
			code, _ := strconv.Atoi(args[0])
			os.Exit(code)
		},
		"die": func([]string) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(nap)
		},
		// These say that they are ready by creating the file that their first
		// argument names.
		"nap": func(args []string) { ready(args); time.Sleep(nap) },
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
		"flood": func([]string) {
			out := bufio.NewWriter(os.Stdout)
			for i := range 100_000 {
				fmt.Fprintf(out, "line %07d\n", i)
			}
			_ = out.Flush()
			os.Exit(1)
		},
		// mail counts ids like a provider: one line of the file is one message.
		"mail": func(args []string) {
			if _, err := os.Stat(args[0] + ".fail"); err == nil {
				fmt.Println("the provider refused", os.Getenv("TOKEN"))
				os.Exit(exTemp)
			}
			if _, err := os.Stat(args[0] + ".hang"); err == nil {
				time.Sleep(nap)
			}
			var n struct{ ID string }
			if err := json.NewDecoder(os.Stdin).Decode(&n); err != nil || n.ID == "" || os.Getenv("SELFHEAL_TITLE") == "" {
				os.Exit(exData)
			}
			_ = os.MkdirAll(args[0], 0o700)
			_ = os.WriteFile(args[0]+"/"+fmt.Sprintf("%x", n.ID), nil, 0o600)
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

// parent starts a child that ignores SIGTERM, and then becomes another program.
// Its arguments: how the child stands ("group" or "session"), where its pid is
// written, and the other program.
func parent(args []string) {
	child := exec.Command(os.Args[0], args[1]+".ready")
	child.Env = append(os.Environ(), helperVar+"=stubborn")
	if args[0] == "session" {
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(args[1] + ".ready"); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := os.WriteFile(args[1], []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
		panic(err)
	}
	programs()[args[2]](args[3:])
}

// program is the configuration to run one of the programs.
func program(t testing.TB, name string, args ...string) Config {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return Config{Path: self, Args: args, Timeout: -1, Set: map[string]escalate.Secret{
		helperVar: escalate.Secret(name),
		// Under the race detector a program would take a second to end, and
		// under coverage it would complain.
		"GORACE": "atexit_sleep_ms=0", "GOCOVERDIR": escalate.Secret(t.TempDir()),
	}}
}

func notifier(t testing.TB, c Config) *Notifier {
	t.Helper()
	n, err := New(c)
	require.NoError(t, err)
	return n
}

// failure runs a notifier that must fail with an *Error.
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var f *escalate.Failure
	require.ErrorAs(t, err, &f)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, e.Error(), "\n")
	return e
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
