package goruntime

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// childEnv makes the test binary play a patient instead of running tests.
const childEnv = "SELFHEAL_GORUNTIME_CHILD"

// TestMain fails the run when tests leave goroutines behind.
func TestMain(m *testing.M) {
	if play := os.Getenv(childEnv); play != "" {
		child(play)
		os.Exit(0)
	}
	code := m.Run()
	if dir, err := childDir(); err == nil {
		_ = os.RemoveAll(dir)
	}
	left := leftOver()
	for until := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(until); left = leftOver() {
		time.Sleep(5 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leftOver are the stacks of goroutines of ours; the one that waits in select {}
// is a fixture.
func leftOver() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal/") || strings.Contains(s, "os/exec.")
		if ours && !strings.Contains(s, ".TestMain(") && !strings.Contains(s, "select (no cases)") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}
