package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

var errFault = errors.New("fault")

func silent(o worker.GroupOptions) worker.GroupOptions {
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}

// started runs g until the test ends or stop is called, which returns what Run did.
func started(t testing.TB, g *worker.Group) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	for !g.Status().Running { // without a moment of virtual time
		runtime.Gosched()
	}
	return stop
}

// until waits for a condition, in virtual time too.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it has not come true within 10 s")
		}
	}
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// journal is what workers write down, with the time since its beginning.
type journal struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func newJournal() *journal { return &journal{began: time.Now()} }

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%v ", time.Since(j.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	ls := j.lines
	j.lines = nil
	return slices.Clone(ls)
}

// puppet is a worker that does what it is told.
type puppet struct {
	name string
	j    *journal
	say  chan func() error // what to return, or to do before panicking
}

func newPuppet(name string, j *journal) *puppet {
	return &puppet{name: name, j: j, say: make(chan func() error)}
}

func (p *puppet) run(ctx context.Context, beat func()) error {
	p.note("up")
	select {
	case f := <-p.say:
		return f()
	case <-ctx.Done():
		p.note("down")
		return nil
	}
}

func (p *puppet) note(what string) {
	if p.j != nil {
		p.j.add("%s %s", p.name, what)
	}
}

func (p *puppet) fail()  { p.say <- func() error { return errFault } }
func (p *puppet) crash() { p.say <- func() error { panic("boom") } }

func (p *puppet) spec() worker.Spec { return worker.Spec{Name: p.name, Run: p.run} }

// of is how a worker stands.
func of(t testing.TB, g *worker.Group, name string) worker.WorkerStatus {
	t.Helper()
	for _, w := range g.Status().Workers {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("there is no worker %q", name)
	return worker.WorkerStatus{}
}

// goroutines of workers that are left, by their label.
func left(t testing.TB) int {
	t.Helper()
	var b strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&b, 1))
	return strings.Count(b.String(), "builtin/worker.(*")
}

func noneLeft(t *testing.T) {
	t.Helper()
	until(t, func() bool { return left(t) == 0 })
}
