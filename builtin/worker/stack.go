package worker

import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// labelKey is the profiler label of a worker's goroutines.
const labelKey = "selfheal_worker"

// A stack is read from the goroutine profile in its text form: that stops the
// world twice for tens of microseconds at 10,000 goroutines, where runtime.Stack of
// all of them stops it for as long as it runs, tens of milliseconds. It costs some
// 100 ms of processor time all the same (BenchmarkStacks), so that looks keep a
// distance of a hundred times what the last one took, and leave out very many
// goroutines.
const (
	stackRest      = 100
	mostGoroutines = 100_000
	// entryFrame is the function below all code of a worker.
	entryFrame = "builtin/worker.(*run).serve"
)

// stackBudget is when a look at stacks is due again. Group.mu guards it.
type stackBudget struct {
	next time.Duration
}

// trace is where a goroutine is.
type trace struct {
	text string // function and file:line, a call in a line
	pcs  string // equal for equal stacks
}

// look returns where the workers of those labels are. Unless it is asked for by a
// step or a person it keeps its budget, and returns nil while that is spent.
func (g *Group) look(labels []string, asked bool) map[string]trace {
	if len(labels) == 0 {
		return nil
	}
	g.mu.Lock()
	began := g.now()
	if !asked && began < g.stacks.next {
		g.mu.Unlock()
		return nil
	}
	g.stacks.next = began + time.Hour // nobody else at the same time
	g.mu.Unlock()
	var found map[string]trace
	if runtime.NumGoroutine() <= mostGoroutines {
		p := newStackParser(labels)
		_ = pprof.Lookup("goroutine").WriteTo(p, 1) // the parser returns no error
		p.flush()
		found = p.found
	}
	g.mu.Lock()
	now := g.now()
	g.stacks.next = now + stackRest*max(now-began, time.Millisecond)
	g.mu.Unlock()
	return found
}

// stackParser picks the goroutines of some workers out of the text of a goroutine
// profile while it is written: ten thousand stacks are megabytes.
type stackParser struct {
	wanted map[string]bool
	found  map[string]trace
	block  bytes.Buffer // one goroutine
	line   bytes.Buffer // the last one, as far as it was written
}

func newStackParser(labels []string) *stackParser {
	p := &stackParser{wanted: make(map[string]bool, len(labels)), found: map[string]trace{}}
	for _, l := range labels {
		p.wanted[l] = true
	}
	return p
}

// Write takes in the next part of the text.
func (p *stackParser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.line.Write(b)
			break
		}
		p.line.Write(b[:i])
		b = b[i+1:]
		if p.line.Len() == 0 {
			p.flush()
			continue
		}
		p.block.Write(p.line.Bytes())
		p.block.WriteByte('\n')
		p.line.Reset()
	}
	return n, nil
}

// flush judges the goroutine that has been read. The first stack of a worker
// stays: a second is that of its successor, or of a group of the same name.
func (p *stackParser) flush() {
	text := p.block.String() + p.line.String()
	p.block.Reset()
	p.line.Reset()
	key, ok := labelOf(text)
	if !ok || !p.wanted[key] || !strings.Contains(text, entryFrame) {
		return
	}
	if _, seen := p.found[key]; !seen {
		p.found[key] = traceOf(text)
	}
}

// labelOf is the worker whose goroutine a block of the profile is.
func labelOf(block string) (string, bool) {
	_, rest, ok := strings.Cut(block, "\n# labels: {")
	if !ok {
		return "", false
	}
	line, _, _ := strings.Cut(rest, "\n")
	_, value, ok := strings.Cut(line, strconv.Quote(labelKey)+":")
	if !ok {
		return "", false
	}
	quoted, err := strconv.QuotedPrefix(value)
	if err != nil {
		return "", false
	}
	key, err := strconv.Unquote(quoted)
	return key, err == nil
}

// traceOf reads the calls of a block, down to where the worker's own code begins.
func traceOf(block string) trace {
	var t trace
	var b strings.Builder
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		if _, pcs, ok := strings.Cut(line, " @ "); ok && t.pcs == "" && !strings.HasPrefix(line, "#") {
			t.pcs = pcs
			continue
		}
		frame, ok := strings.CutPrefix(line, "#\t")
		if !ok {
			continue
		}
		fields := strings.Split(frame, "\t")
		if len(fields) < 2 {
			continue
		}
		function, place := strings.TrimSpace(fields[1]), fields[len(fields)-1]
		function, _, _ = strings.Cut(function, "+0x")
		if strings.Contains(function, entryFrame) {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(function + " " + strings.TrimSpace(place))
	}
	t.text = b.String()
	return t
}

// site is the innermost call of a trace that is not the runtime's or the standard
// library's way of waiting, in words for a summary.
func (t trace) site() string {
	for line := range strings.SplitSeq(t.text, "\n") {
		function, place, _ := strings.Cut(line, " ")
		if function == "" || plumbing(function) {
			continue
		}
		place = place[strings.LastIndexByte(place, '/')+1:]
		function = function[strings.LastIndexByte(function, '/')+1:]
		return function + " (" + place + ")"
	}
	return ""
}

func plumbing(function string) bool {
	for _, p := range []string{"runtime.", "sync.", "internal/", "time.", "syscall.", "os.", "net.", "io.", "bufio."} {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}

// inSyscall says whether it hangs in the operating system or in C, where nothing
// in the process can reach it.
func (t trace) inSyscall() bool {
	first, _, _ := strings.Cut(t.text, "\n")
	for _, p := range []string{"syscall.Syscall", "syscall.RawSyscall", "syscall.syscall", "internal/runtime/syscall", "runtime.cgocall", "golang.org/x/sys/unix.Syscall"} {
		if strings.HasPrefix(first, p) {
			return true
		}
	}
	return false
}
