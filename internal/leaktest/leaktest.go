// Package leaktest fails the tests of a package that leave goroutines behind.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main is for TestMain. It runs the tests and ends the process: with 1 where they
// passed and goroutines are left that are still there 5 s later. Those of the test
// framework and of the runtime do not count.
func Main(m *testing.M) {
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

// works is what stands in the stack of a goroutine of ours, or of one that works
// for us.
var works = []string{"selfheal-go/selfheal/", "net/http.", "net/smtp.", "crypto/tls.", "os/exec."}

func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(s, "leaktest.leaked(") || strings.Contains(s, "leaktest.Main(") {
			continue // those that ask
		}
		for _, w := range works {
			if strings.Contains(s, w) {
				stacks = append(stacks, s)
				break
			}
		}
	}
	return stacks
}
