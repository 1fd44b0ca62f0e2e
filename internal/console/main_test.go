package console

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the run when tests leave goroutines behind.
func TestMain(m *testing.M) {
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
		ours := strings.Contains(s, "selfheal-go/selfheal/") || strings.Contains(s, "net/http.") || strings.Contains(s, "os/exec.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}
