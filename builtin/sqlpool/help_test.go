package sqlpool_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
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
		ours := strings.Contains(s, "selfheal-go/selfheal") || strings.Contains(s, "database/sql.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

// request is what an incident of that name asks with.
func request(incident, key string) remediate.Request {
	return remediate.Request{Incident: incident, Step: "step", Attempt: 1, Try: 1, Finding: detect.Finding{Key: key}}
}

// watches are those of the module, as Install names them.
func watches(m selfheal.Module) []selfheal.Watch {
	for i := range m.Watches {
		m.Watches[i].Name = m.Name + "/" + m.Watches[i].Name
		for j := range m.Watches[i].After {
			m.Watches[i].After[j] = m.Name + "/" + m.Watches[i].After[j]
		}
	}
	return m.Watches
}
