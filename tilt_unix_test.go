//go:build unix

package selfheal_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A process that was stopped for longer than the supervisor may be late doubts
// its own readings: what it finds then is shown, and nothing is done about it.
func TestAProcessThatWasStoppedDoubtsItself(t *testing.T) {
	if os.Getenv("SELFHEAL_TEST_CHILD") == "tilt" {
		tiltChild()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAProcessThatWasStoppedDoubtsItself$")
	cmd.Env = append(os.Environ(), "SELFHEAL_TEST_CHILD=tilt")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	wait := func(prefix string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			select {
			case l, ok := <-lines:
				require.True(t, ok, "the child ended before it said %q", prefix)
				require.NotContains(t, l, "acted", "it acted on readings taken while it was late")
				if strings.HasPrefix(l, prefix) {
					return
				}
			case <-deadline:
				t.Fatalf("the child never said %q", prefix)
			}
		}
	}
	wait("ready")
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(3 * time.Second) // longer than it may be late
	_, err = in.Write([]byte("break\n"))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	wait("tilt: the supervisor was")
	wait("hold q fix: tilt")
}

func tiltChild() {
	var broken, acted atomic.Bool
	s := selfheal.New(selfheal.Options{
		Logger: quiet, Escalate: nobody,
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) { fmt.Println(e) }),
	})
	s.Watch(selfheal.Watch{
		Name: "q", Every: 50 * time.Millisecond,
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			if broken.Load() {
				return []detect.Finding{{Summary: "broken"}}, nil
			}
			return nil, nil
		}),
		Playbook: remediate.Ladder(remediate.Step{Name: "fix", Risk: remediate.Safe, Run: do(func() { acted.Store(true); fmt.Println("acted") })}),
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	go func() {
		time.Sleep(500 * time.Millisecond)
		fmt.Println("ready")
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			broken.Store(true)
		}
		cancel() // the parent is gone
	}()
	_ = s.Run(ctx)
}
