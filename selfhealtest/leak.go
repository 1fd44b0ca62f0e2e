package selfhealtest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// markKey is the profiler label by which goroutines are known that calls of a
// suite started: goroutines inherit it, so those of other tests do not count.
const markKey = "selfhealtest"

// marked are the stacks of the goroutines that bear r's mark, and how many they are.
func (r *report) marked() (n int, stacks []string) {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return 0, nil
	}
	mark := fmt.Sprintf("%q:%q", markKey, r.id)
	for block := range strings.SplitSeq(b.String(), "\n\n") {
		if !strings.Contains(block, mark) {
			continue
		}
		if i := strings.Index(block, "goroutine profile:"); i >= 0 {
			block = block[i+strings.Index(block[i:], "\n")+1:]
		}
		var many int
		if _, err := fmt.Sscanf(block, "%d @", &many); err == nil {
			n += many
			stacks = append(stacks, block)
		}
	}
	return n, stacks
}

// leaks makes calls and reports goroutines that grow with them. What the first
// calls leave running is a fixture of the thing under test: a connection that is
// kept, a worker that was started.
func (r *report) leaks(what string, call func(i int) bool) {
	const first, more = 4, 16
	for i := range first {
		if !call(i) {
			return
		}
	}
	base := r.settled()
	for i := range more {
		if !call(first + i) {
			return
		}
	}
	for until := time.Now().Add(r.patience); ; time.Sleep(5 * time.Millisecond) {
		n, stacks := r.marked()
		if n <= base {
			return
		}
		if time.Now().After(until) {
			r.breach("after %d %s %d more goroutines run than after %d:\n%s", first+more, what, n-base, first, strings.Join(stacks, "\n\n"))
			return
		}
	}
}

// settled is how many marked goroutines there are once no more of them end.
func (r *report) settled() int {
	n, _ := r.marked()
	for calm := 0; n > 0 && calm < 10; {
		time.Sleep(5 * time.Millisecond)
		now, _ := r.marked()
		if calm++; now < n {
			calm = 0
		}
		n = now
	}
	return n
}
