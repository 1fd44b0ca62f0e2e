package worker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"
)

// An Event is something that happened to a worker. It says more than the watches
// do, normal life included.
type Event struct {
	Kind   Kind
	Group  string
	Worker string
	Err    error         // Died, GaveUp: of what, a *PanicError for a panic; Ended, Returned: what it returned; Mistake: which
	Deaths uint64        // Died, GaveUp: of this worker since Run began
	Pause  time.Duration // Died: until it is restarted; GaveUp: until it is tried again, 0: never
	Stack  string        // Given: where it hangs, as far as is known
	At     time.Time
}

// Kind says what an [Event] is about. The set grows.
type Kind uint8

// The kinds.
const (
	Started  Kind = iota // it runs
	Ended                // it ended, and did not fail: done, or asked to
	Died                 // it failed or panicked, and is restarted after Pause
	GaveUp               // it failed too often
	Given                // its run was given up and still goes on: it ignores its context
	Returned             // a run that was given up has ended after all
	Mistake              // a worker, or an option, cannot be as it was given
)

var kindNames = []string{"started", "ended", "died", "gave up", "abandoned", "returned late", "mistake"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

func (k Kind) level() slog.Level {
	switch k {
	case Started, Ended:
		return slog.LevelDebug
	case Died, Returned:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// waiting is how many events may wait for a slow hook.
const waiting = 1024

// events hands events to the log and the hook, on a goroutine that exists only
// while there are any. Whoever pushes never waits.
type events struct {
	hook func(context.Context, Event)
	log  *slog.Logger

	mu      sync.Mutex
	queue   []Event
	busy    bool
	since   time.Time     // of the call under way
	done    chan struct{} // closed when the queue is empty; made for who waits
	dropped uint64
}

func newEvents(o GroupOptions) events { return events{hook: o.OnEvent, log: o.Logger} }

func (e *events) logger() *slog.Logger {
	if e.log != nil {
		return e.log
	}
	return slog.Default()
}

// wants says whether anybody is told of a kind: normal life costs nothing where
// nobody listens.
func (e *events) wants(k Kind) bool {
	return e.hook != nil || e.logger().Enabled(context.Background(), k.level())
}

func (e *events) push(ev Event) {
	if !e.wants(ev.Kind) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) >= waiting {
		e.dropped++
		return
	}
	e.queue = append(e.queue, ev)
	if !e.busy {
		e.busy = true
		go e.run()
	}
}

func (e *events) run() {
	pprof.SetGoroutineLabels(context.Background()) // not those of the worker that died
	for {
		e.mu.Lock()
		batch := e.queue
		e.queue = nil
		if len(batch) == 0 {
			e.busy = false
			if e.done != nil {
				close(e.done)
				e.done = nil
			}
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		for i := range batch {
			e.tell(batch[i])
		}
	}
}

// tell tells both. A panic of either must not end the process: the hook is not
// what is supervised.
func (e *events) tell(ev Event) {
	e.mu.Lock()
	e.since = time.Now()
	e.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			e.logger().Error("worker: OnEvent panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		e.mu.Lock()
		e.since = time.Time{}
		e.mu.Unlock()
	}()
	e.write(ev)
	if e.hook != nil {
		ctx, cancel := context.WithTimeout(context.Background(), hookTimeout)
		defer cancel()
		e.hook(ctx, ev)
	}
}

// hookTimeout is the deadline of the context that OnEvent gets.
const hookTimeout = 10 * time.Second

func (e *events) write(ev Event) {
	l := e.logger()
	if !l.Enabled(context.Background(), ev.Kind.level()) {
		return
	}
	attrs := []slog.Attr{slog.String("worker", ev.Worker)}
	if ev.Group != "" {
		attrs = append(attrs, slog.String("group", ev.Group))
	}
	if ev.Err != nil {
		attrs = append(attrs, slog.String("error", oneLine(ev.Err.Error())))
		if stack := stackOf(ev.Err); stack != "" {
			attrs = append(attrs, slog.String("stack", stack))
		}
	}
	if ev.Kind == Died || ev.Kind == GaveUp {
		attrs = append(attrs, slog.Uint64("deaths", ev.Deaths), slog.Duration("pause", ev.Pause))
	}
	if ev.Stack != "" {
		attrs = append(attrs, slog.String("stack", ev.Stack))
	}
	l.LogAttrs(context.Background(), ev.Kind.level(), "worker "+ev.Kind.String(), attrs...)
}

// drain waits until everything was told, and not longer than that.
func (e *events) drain(most time.Duration) {
	e.mu.Lock()
	if !e.busy {
		e.mu.Unlock()
		return
	}
	if e.done == nil {
		e.done = make(chan struct{})
	}
	done := e.done
	e.mu.Unlock()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// stuck is how long the call under way has lasted; 0 when there is none.
func (e *events) stuck() (lasts time.Duration, dropped uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.since.IsZero() {
		lasts = time.Since(e.since)
	}
	return lasts, e.dropped
}
