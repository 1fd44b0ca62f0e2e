package schedule

import "time"

const (
	firstLooks   = 1000                          // that may be made at once
	firstSpread  = int64(100 * time.Millisecond) // between each further thousand
	tooLate      = int64(10 * time.Millisecond)  // a backlog this old gets a second worker
	spreadBlocks = 16                            // of the far wheel in one go: about 500 tasks
	spares       = 16
)

// Everything in this file runs under the scheduler's mutex.

// place gives a new task its moments. The first looks are made as if the check
// were slow: nobody knows yet.
func (s *Scheduler) place(t *Task, now int64) {
	if t.state.Load()&removed != 0 {
		return
	}
	t.plan(now, s.stats.Tasks)
	if now-s.freshAt >= int64(time.Second) {
		s.fresh, s.freshAt = 0, now
	}
	i := s.fresh
	s.fresh++
	if i < firstLooks {
		t.slow = true
		t.state.Or(woken)
		s.enqueue(t, now)
		return
	}
	first := max(now, s.freshAt+int64(i/firstLooks)*firstSpread)
	s.wheel.insert(min(first, t.at()), t)
}

func (s *Scheduler) enqueue(t *Task, at int64) {
	if t.slow {
		s.wheel.slow.add(&s.wheel.blocks, at, t)
	} else {
		s.wheel.wakes.add(&s.wheel.blocks, at, t)
	}
}

// summon brings a task forward that waits. One that a worker holds and has not
// begun is about to be.
func (s *Scheduler) summon(t *Task, at int64) {
	if b := t.block; b != nil && (b.home >= 0 || b.home == inReady) {
		s.wheel.remove(t)
		s.enqueue(t, at)
	}
}

// settle files a task whose run ended.
func (s *Scheduler) settle(t *Task, now int64) {
	old := t.state.And(^(begun | again))
	t.block = nil
	if old&removed != 0 {
		return
	}
	t.skip(now)
	if old&again != 0 {
		t.state.Or(woken)
		s.enqueue(t, now)
		return
	}
	s.wheel.insert(t.at(), t)
}

// dispatch hands out what is due, first to self, a worker without work whose
// goroutine is the caller's; it reports whether self got some. Last it sets the
// timer for what comes next.
func (s *Scheduler) dispatch(now int64, self *worker) (got bool) {
	if s.life != running {
		return false
	}
	if s.wheel.advance(now, spreadBlocks) {
		s.watch = min(s.watch, now+tick)
	}
	for s.looks.next() <= now {
		if e := s.looks.pop(); e.t.ask() {
			s.summon(e.t, e.at)
		}
	}
	// Quick ones first, but where one goroutine must do, slow ones must not starve.
	slowFirst := s.turn%4 == 0
	if slowFirst {
		got = s.handSlow(now, self, got)
	}
	got = s.handQuick(now, self, got)
	if !slowFirst {
		got = s.handSlow(now, self, got)
	}
	s.ramp = 0
	s.arm(now)
	return got
}

func (s *Scheduler) handQuick(now int64, self *worker, got bool) bool {
	q := &s.wheel
	for q.wakes.n+q.ready.n > 0 && s.wanted(now) {
		from := &q.ready
		if q.wakes.n > 0 && (q.ready.n == 0 || s.turn%4 != 1) {
			from = &q.wakes
		}
		got = s.hand(from.pop(&q.blocks), false, now, self, got)
	}
	return got
}

// handSlow leaves one of the goroutines to quick checks: they must not wait for
// as many slow ones as there are goroutines.
func (s *Scheduler) handSlow(now int64, self *worker, got bool) bool {
	q := &s.wheel
	for q.slow.n > 0 && s.room() {
		got = s.hand(q.slow.popOne(&q.blocks), true, now, self, got)
	}
	return got
}

func (s *Scheduler) room() bool {
	return len(s.live) < s.o.MaxChecks && len(s.live)-s.attached < max(s.o.MaxChecks-1, 1)
}

// wanted tells whether quick checks need one more worker.
func (s *Scheduler) wanted(now int64) bool {
	q := &s.wheel
	switch {
	case len(s.live) >= s.o.MaxChecks:
		return false
	case s.attached == 0:
		return true
	case s.ramp > 0:
		s.ramp--
		return true
	case q.wakes.n > 0 && s.attached <= s.procs:
		return true
	case q.ready.n > 0 && s.attached < s.procs:
		b := q.ready.head
		return b.n > 0 && now-b.e[0].at > tooLate
	}
	return false
}

func (s *Scheduler) hand(b *block, alone bool, now int64, self *worker, got bool) bool {
	w := self
	if got || w == nil {
		w = s.worker()
	}
	s.turn++
	b.home = held
	w.block, w.from, w.to, w.alone = b, 0, b.n, alone
	w.i, w.n, w.warm, w.base = 0, b.n, alone, s.base
	w.mine = uint64(now)<<wordStart | noEntry
	w.word.Store(w.mine)
	w.at = len(s.live)
	s.live = append(s.live, w)
	if alone {
		s.limits = min(s.limits, now+int64(b.e[0].t.Timeout))
		s.watch = min(s.watch, s.limits)
	} else {
		s.attached++
		s.watch = min(s.watch, now+s.budget)
	}
	if w == self {
		return true
	}
	go w.loop()
	return got
}

// more takes back what w did and reports whether there is more for it.
func (s *Scheduler) more(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.since()
	s.release(w, now)
	if s.dispatch(now, w) {
		return true
	}
	w.ctx.Load().deadline.Store(over)
	s.park(w)
	s.drain()
	return false
}

func (s *Scheduler) release(w *worker, now int64) {
	for _, e := range w.block.e[w.from:w.to] {
		s.settle(e.t, now)
	}
	s.wheel.put(w.block)
	w.block = nil
	s.detach(w)
	if s.attached == 0 {
		s.watch = s.limits
	}
	if len(s.live) == 0 {
		s.watch, s.limits = never, never
	}
	if w.abandoned {
		s.stats.Abandoned--
	}
	s.stats.Runs += w.runs
	s.stats.Panics += w.panics
	s.stats.Goexits += w.goexits
	s.stats.StartLateMax = max(s.stats.StartLateMax, time.Duration(w.late))
	w.runs, w.panics, w.goexits, w.late = 0, 0, 0, 0
	w.hung, w.abandoned = false, false
}

// detach takes w off its list.
func (s *Scheduler) detach(w *worker) {
	list := &s.live
	if w.hung {
		list = &s.hung
	} else if !w.alone {
		s.attached--
	}
	last := len(*list) - 1
	(*list)[w.at] = (*list)[last]
	(*list)[w.at].at = w.at
	(*list)[last] = nil
	*list = (*list)[:last]
}

func (s *Scheduler) worker() *worker {
	if n := len(s.spare); n > 0 {
		w := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return w
	}
	w := &worker{s: s}
	w.loop = w.run
	ctx := &runContext{s: s}
	ctx.deadline.Store(over)
	w.ctx.Store(ctx)
	return w
}

func (s *Scheduler) park(w *worker) {
	if len(s.spare) < spares {
		s.spare = append(s.spare, w)
	}
}

// arm sets the timer for the next thing to do.
func (s *Scheduler) arm(now int64) {
	at := min(s.wheel.next(), s.looks.next(), s.watch)
	// While a worker is at it, a timer that is set too early stays: the worker
	// will be back before it fires.
	if at == s.armed || at > s.armed && s.attached > 0 {
		return
	}
	s.armed = at
	if at == never {
		if s.timer.Stop() {
			s.pending--
		}
		return
	}
	if !s.timer.Reset(time.Duration(max(at-now, 0))) {
		s.pending++
	}
}
