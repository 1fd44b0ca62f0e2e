package incident

import (
	"container/heap"
)

// A timed is something that wants to be called at a time.
type timed interface {
	timerAt() At
	timerOrder() (watch, key string, rank int)
	index() *int
}

type timers []timed

func (t timers) Len() int { return len(t) }

func (t timers) Less(a, b int) bool {
	x, y := t[a].timerAt(), t[b].timerAt()
	if x != y {
		return x < y
	}
	w, k, r := t[a].timerOrder()
	v, l, s := t[b].timerOrder()
	if w != v {
		return w < v
	}
	if k != l {
		return k < l
	}
	return r < s // never a tie: what the heap does with one depends on its past
}

func (t timers) Swap(a, b int) {
	t[a], t[b] = t[b], t[a]
	*t[a].index(), *t[b].index() = a, b
}

func (t *timers) Push(x any) {
	v := x.(timed)
	*v.index() = len(*t)
	*t = append(*t, v)
}

func (t *timers) Pop() any {
	old := *t
	v := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	*v.index() = -1
	return v
}

// rearm puts i where its next moment is. It is called after everything that
// may have changed it, and costs a comparison when nothing did.
func (e *Engine) rearm(i *inc) {
	at := never
	if e.byID[i.id] == i {
		at = i.nextMoment(e)
	}
	if at == i.at {
		return
	}
	i.at = at
	e.place(i, at)
}

func (e *Engine) rearmWatch(w *watch) {
	at := never
	if w.blindSince >= 0 && !w.blindTold && e.watches[w.Name] == w {
		at = w.blindSince + max(blindFor, blindChecks*w.Every)
	}
	if at != w.at {
		w.at = at
		e.place(w, at)
	}
}

func (e *Engine) unarm(w *watch) {
	w.at = never
	e.place(w, never)
}

func (e *Engine) place(t timed, at At) {
	switch n := *t.index(); {
	case n < 0 && at != never:
		heap.Push(&e.timers, t)
	case n >= 0 && at == never:
		heap.Remove(&e.timers, n)
	case n >= 0:
		heap.Fix(&e.timers, n)
	}
}

// fire handles every moment that has come.
func (e *Engine) fire() {
	if e.tilt.until > 0 && e.now >= e.tilt.until {
		e.calm()
	}
	if e.storm.on && !e.storm.sticky && e.now >= e.storm.lastNew+stormCalm {
		e.stormOver()
	}
	if e.now >= e.healthyAt {
		e.lasted()
	}
	if len(e.orphans) > 0 {
		e.tellOrphans()
	}
	e.trimSilences()
	for len(e.timers) > 0 && e.timers[0].timerAt() <= e.now {
		switch t := e.timers[0].(type) {
		case *inc:
			e.moment(t)
			if t.at <= e.now && t.timerIndex >= 0 {
				// Its moment is past and it did not ask for a later one.
				t.at = never
				e.place(t, never)
			}
		case *watch:
			e.blindForLong(t)
			if t.at <= e.now {
				e.unarm(t)
			}
		}
	}
}

// Next returns when the engine wants an InTick at the latest.
func (e *Engine) Next() (at At, ok bool) {
	next := never
	if len(e.timers) > 0 {
		next = e.timers[0].timerAt()
	}
	if e.tilt.until > 0 {
		next = min(next, e.tilt.until)
	}
	if e.storm.on && !e.storm.sticky {
		next = min(next, e.storm.lastNew+stormCalm)
	}
	if e.o.Durable {
		for _, s := range e.silences {
			next = min(next, s.Until)
		}
	}
	next = min(next, e.orphansDue(), e.healthyAt)
	return next, next != never
}
