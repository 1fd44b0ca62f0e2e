package dependency

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

var errDown = errors.New("connection refused")

func works(context.Context) error { return nil }
func fails(context.Context) error { return errDown }

// takes is a call that works and takes its time.
func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tripped returns a client whose breaker is open.
func tripped(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	c := NewClient(o)
	trip(t, c)
	return c
}

func trip(t testing.TB, c *Client) {
	t.Helper()
	for range 10_000 {
		if c.Status().State == Open {
			return
		}
		_ = c.Do(t.Context(), fails)
	}
	t.Fatalf("the breaker did not trip: %v", c.Status())
}

// untilHalfOpen sleeps over the pause of an open breaker.
func untilHalfOpen(t testing.TB, c *Client) {
	t.Helper()
	for range 100 {
		s := c.Status()
		if s.State == HalfOpen {
			return
		}
		time.Sleep(s.TryIn)
	}
	t.Fatalf("the breaker does not become half-open: %v", c.Status())
}

func request(step string) remediate.Request {
	return remediate.Request{Incident: "i1", Step: step, Attempt: 1, Try: 1, Finding: detect.Finding{Key: "payments"}}
}

// TestMain fails the package when goroutines of its own are left.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		deadline := time.Now().Add(5 * time.Second)
		for stacks := left(); len(stacks) > 0; stacks = left() {
			if time.Now().After(deadline) {
				_, _ = os.Stderr.WriteString("goroutines are left:\n" + strings.Join(stacks, "\n\n") + "\n")
				code = 1
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	os.Exit(code)
}

func left() (stacks []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "builtin/dependency") && !strings.Contains(stack, "TestMain") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
