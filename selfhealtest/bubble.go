package selfhealtest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// outsideBubble says why the caller is in no bubble; "" when it is in one.
func outsideBubble() (why string) {
	defer func() {
		if x := recover(); x != nil {
			why = fmt.Sprint(x)
		}
	}()
	synctest.Wait()
	return ""
}

// ofBubble says whether t is the one that synctest.Test gave to its function. The
// outer t would stop the supervisor when the bubble is gone. Where it cannot tell
// it says yes.
func ofBubble(t testing.TB) (yes bool) {
	tt, ok := t.(*testing.T)
	if !ok {
		return true
	}
	defer func() { yes = recover() != nil }()
	tt.Deadline() // panics on a t of a bubble
	return false
}

// leftOver are the goroutines of the caller's bubble that no supervisor runs.
func leftOver() []string {
	buf := make([]byte, 1<<18)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	header, _, _ := strings.Cut(stacks[0], "\n") // of the caller
	_, bubble, ok := strings.Cut(strings.TrimSuffix(header, "]:"), "synctest bubble ")
	if !ok {
		return nil
	}
	ours := []string{
		"selfheal-go/selfheal.(*", "selfheal-go/selfheal/internal/", "selfhealtest.StartWith",
		"synctest.testingSynctestTest(", "synctest.Run(", // of the bubble itself
	}
	var left []string
	for _, s := range stacks[1:] {
		header, _, _ := strings.Cut(s, "\n")
		if strings.HasSuffix(header, "synctest bubble "+bubble+"]:") &&
			!slices.ContainsFunc(ours, func(frame string) bool { return strings.Contains(s, frame) }) {
			left = append(left, s)
		}
	}
	return left
}
