package schedule

import (
	"context"
	"sync/atomic"
	"time"
)

// A worker's word says what it does right now, in one atomic value that the
// watchdog reads and the worker swaps once for each check: when the current run
// started (nanoseconds, the upper 56 bits, which wrap around), flags, and the
// entry of the block.
const (
	wordEntry = 0x1f // noEntry before the first
	noEntry   = 31
	wordTaken = 1 << 5 // the watchdog took away all entries but this one
	wordEnded = 1 << 6 // the worker is done with all that is left to it
	wordStart = 8
	wordLow   = 1<<wordStart - 1
)

// slowAfter is what makes a check slow: from the next run on it gets its own
// goroutine instead of a place in a block. Shorter than this is too short for
// anything that waits for another process; longer would be felt by the others.
const slowAfter = int64(time.Millisecond)

// A worker is the goroutine that runs checks: those of a block one after the
// other, or one slow check. It lives for as long as there is work, and then goes.
type worker struct {
	s    *Scheduler
	loop func() // w.run, bound once: starting the goroutine allocates nothing
	word atomic.Uint64
	ctx  atomic.Pointer[runContext]

	// Guarded by the scheduler's mutex.
	block           *block
	from, to        uint8 // the entries of block that are this worker's
	alone           bool  // it runs one check that is slow or was found blocked: others do its duties
	hung, abandoned bool
	at              int // its place among s.live or s.hung

	// The goroutine's own, also across the one that follows a Goexit.
	base    time.Time // the scheduler's start, by today's wall clock
	i, n    uint8
	mine    uint64 // word as stored last
	runs    uint64
	panics  uint64
	goexits uint64
	late    int64
	warm    bool
	fetched uint32
}

// run is the worker's goroutine. It holds a block when it starts.
func (w *worker) run() {
	for {
		for !w.pass() {
		}
		if !w.s.more(w) {
			return
		}
	}
}

// pass runs the checks of the block. It returns false, to be called again, after
// a check that panicked. One deferred call serves a whole block this way.
func (w *worker) pass() (done bool) {
	defer func() {
		if done {
			return
		}
		if recover() != nil {
			w.panics++
			w.over()
			return
		}
		// Goexit: the goroutine is lost, its work is not.
		w.goexits++
		w.over()
		go w.loop()
	}()
	s, b := w.s, w.block
	if !w.warm {
		w.warm = true
		w.fetch(b)
	}
	for w.i < w.n {
		now := s.since()
		e := &b.e[w.i]
		w.mark(now)
		next := uint64(now)<<wordStart | uint64(w.i)
		if !w.word.CompareAndSwap(w.mine, next) {
			break
		}
		w.mine = next
		w.i++
		t := e.t
		if !t.begin() {
			continue
		}
		w.late = max(w.late, now-e.at)
		ctx := w.ctx.Load()
		if !ctx.lend(now + int64(t.Timeout)) {
			ctx = w.renew(ctx, now+int64(t.Timeout))
		}
		t.Run(ctx, t, w.base.Add(time.Duration(now)))
		w.runs++
		if ctx.used.Load() {
			ctx.cancel(context.Canceled)
		}
	}
	w.mark(s.since())
	w.word.Or(wordEnded)
	return true
}

// fetch loads what the checks of a block are about to need. Loops that only load
// let the processor wait for all of it at once; else each check would begin with
// cache misses of its own, one after the other, which at a million tasks is most
// of what a check costs.
func (w *worker) fetch(b *block) {
	sum := uint32(0)
	for _, e := range b.e[:w.n] {
		sum += e.t.state.Load()
		if e.t.Run == nil { // it may lie on another line than state
			sum++
		}
	}
	w.fetched = sum // or the compiler would drop the loop
	for _, warm := range w.s.o.Warm {
		for _, e := range b.e[:w.n] {
			warm(e.t)
		}
	}
}

// over ends a run that did not return.
func (w *worker) over() {
	w.runs++
	if ctx := w.ctx.Load(); ctx.used.Load() {
		ctx.cancel(context.Canceled)
	}
}

// mark notes whether the run that ended at now was slow.
func (w *worker) mark(now int64) {
	if w.i > 0 {
		w.block.e[w.i-1].t.slow = age(w.mine, now) >= slowAfter
	}
}

func (w *worker) renew(old *runContext, deadline int64) *runContext {
	old.cancel(context.Canceled)
	ctx := &runContext{s: w.s}
	ctx.lend(deadline)
	w.ctx.Store(ctx)
	return ctx
}

// age is how long ago the run in word started. It may be negative: the worker
// may have started it after now was read.
func age(word uint64, now int64) int64 {
	return int64(uint64(now)<<wordStart-word&^wordLow) >> wordStart
}
