package queue_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
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

func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for s := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal") || strings.Contains(s, "net/http.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

// request is what an incident of that name asks with.
func request(incident string) remediate.Request {
	return remediate.Request{Incident: incident, Step: "step", Attempt: 1, Try: 1}
}

// do calls an action that has to succeed.
func do(t testing.TB, a remediate.Action, incident string) {
	t.Helper()
	if err := a(context.Background(), request(incident)); err != nil {
		t.Fatalf("%s: %v", incident, err)
	}
}
