package journal_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain plays the part that the environment asks for, in a child of a test,
// else runs the tests and fails the run when they leave goroutines behind.
func TestMain(m *testing.M) {
	if role := os.Getenv("SELFHEAL_JOURNAL_CHILD"); role != "" {
		os.Exit(child(role))
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
