package leaktest

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func waits(ended <-chan struct{}) { <-ended }

func TestAGoroutineThatIsLeftIsSeenUntilItEnds(t *testing.T) {
	seen := func() bool { return strings.Contains(strings.Join(leaked(), ""), "leaktest.waits(") }
	ended := make(chan struct{})
	until := func(want bool) {
		for end := time.Now().Add(10 * time.Second); seen() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("seen: %v", !want)
			}
		}
	}
	go waits(ended)
	until(true)
	close(ended)
	until(false)
}
