package schedule

import (
	"context"
	"time"
)

const (
	lateAfter = time.Second
	stepAfter = 2 * time.Second
	maxBudget = 5 * time.Millisecond
	minBudget = time.Millisecond
)

// A lasting run goes on for longer than it should.
type lasting struct {
	t       *Task
	started time.Time
}

// fire is the timer's goroutine. It looks after the workers, moves the wheel, and
// becomes a worker itself if one is needed. So whatever a check does to its
// goroutine, the next firing brings a new one.
func (s *Scheduler) fire() {
	s.mu.Lock()
	now, late, step := s.tell()
	sick := late > lateAfter
	if sick || step.Abs() >= stepAfter {
		s.mu.Unlock()
		if sick && s.o.Late != nil {
			s.o.Late(late)
		}
		if step.Abs() >= stepAfter && s.o.Stepped != nil {
			s.o.Stepped(step)
		}
		s.mu.Lock()
		now = s.since()
	}
	hung := s.inspect(now, sick)
	if len(hung) == 0 {
		self := s.worker()
		got := s.dispatch(now, self)
		if !got {
			s.park(self)
		}
		s.pending--
		s.drain()
		s.mu.Unlock()
		if got {
			self.run()
		}
		return
	}
	s.dispatch(now, nil)
	s.mu.Unlock()
	for _, run := range hung {
		if run.t.Hung != nil {
			run.t.Hung(run.t, run.started)
		}
	}
	s.mu.Lock()
	s.pending--
	s.drain()
	s.mu.Unlock()
}

// tell reads both clocks: the present moment, how late this wake-up is, and by
// how much the wall clock was stepped since the one before.
func (s *Scheduler) tell() (now int64, late, step time.Duration) {
	wall := time.Now()
	since := wall.Sub(s.anchor)
	now = int64(since)
	// A firing from before the timer was set anew is no lateness.
	if now >= s.armed {
		late = time.Duration(now - s.armed)
		s.armed = never
		s.stats.LateMax = max(s.stats.LateMax, late)
		if late > lateAfter {
			s.stats.Late++
		}
	}
	s.stats.Wakeups++
	base := wall.Add(-since)
	step = base.Round(0).Sub(s.base.Round(0))
	s.base = base
	return now, late, step
}

// inspect finds the workers that are stuck in a check. One that holds others up
// is relieved: what it has not begun goes to others. One whose check outlived its
// timeout is hung: it no longer counts, its context is cancelled, and the run is
// returned to be reported. A sick scheduler reports nothing: a check that was
// starved together with us first gets the chance to end.
func (s *Scheduler) inspect(now int64, sick bool) (hung []lasting) {
	if now < s.watch || s.life != running {
		return nil
	}
	s.watch, s.limits = never, never
	blocked := 0
	for i := len(s.live) - 1; i >= 0; i-- { // backwards, because hung ones leave the list
		w := s.live[i]
		word := w.word.Load()
		if word&wordEntry == noEntry || word&wordEnded != 0 {
			s.watch = min(s.watch, now+s.budget)
			continue
		}
		t := w.block.e[word&wordEntry].t
		lasted := age(word, now)
		overdue := lasted >= int64(t.Timeout)
		if !overdue && (w.alone || lasted < s.budget) {
			s.expect(w, now-lasted, t)
			continue
		}
		// If the swap fails the run has just ended. If it succeeds the worker
		// starts nothing else before it had the mutex that we hold.
		if !w.word.CompareAndSwap(word, word|wordTaken) {
			s.watch = min(s.watch, now+s.budget)
			continue
		}
		if !w.alone {
			s.relieve(w, uint8(word&wordEntry), now)
			blocked++
		}
		if !overdue {
			s.expect(w, now-lasted, t)
			continue
		}
		w.ctx.Load().cancel(context.DeadlineExceeded)
		if sick {
			s.watch = min(s.watch, now+s.budget)
			continue
		}
		s.detach(w)
		w.hung = true
		w.at = len(s.hung)
		s.hung = append(s.hung, w)
		hung = append(hung, lasting{t, w.base.Add(time.Duration(now - lasted))})
	}
	// If this many were blocked, their successors may be too: a fault shared by a
	// thousand checks must not stop the others one by one.
	s.ramp = 2 * blocked
	return hung
}

// expect sees to it that w is looked at in time.
func (s *Scheduler) expect(w *worker, started int64, t *Task) {
	at := started + int64(t.Timeout)
	if w.alone {
		s.limits = min(s.limits, at)
	} else {
		at = min(at, started+s.budget)
	}
	s.watch = min(s.watch, at)
}

// relieve leaves w nothing but entry i, at which it is stuck. What comes after it
// gets goroutines of its own, for it may be of the same kind.
func (s *Scheduler) relieve(w *worker, i uint8, now int64) {
	for _, e := range w.block.e[w.from:i] {
		s.settle(e.t, now)
	}
	q := &s.wheel.wakes
	if s.room() {
		q = &s.wheel.slow
	}
	for _, e := range w.block.e[i+1 : w.to] {
		q.add(&s.wheel.blocks, e.at, e.t)
	}
	w.from, w.to, w.alone = i, i+1, true
	s.attached--
}

// current is the run that w is at.
func (w *worker) current(now int64) (run lasting, ok bool) {
	word := w.word.Load()
	if word&wordEntry == noEntry || word&wordEnded != 0 {
		return run, false
	}
	t := w.block.e[word&wordEntry].t
	return lasting{t, w.base.Add(time.Duration(now - age(word, now)))}, true
}
