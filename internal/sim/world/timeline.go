package world

import "time"

// event is something that happens at a time of the world. What happens inside a
// process is void when that process is dead, and waits while it is stopped.
type event struct {
	at  time.Duration
	seq uint64
	in  *process
	do  func()
}

// timeline is a heap of events, in the order of their times and then of their
// making: so a seed has one history.
type timeline struct {
	now  time.Duration
	seq  uint64
	heap []event
}

func (t *timeline) before(a, b int) bool {
	x, y := &t.heap[a], &t.heap[b]
	return x.at < y.at || x.at == y.at && x.seq < y.seq
}

// after lets something happen in the world after a while.
func (t *timeline) after(d time.Duration, do func()) { t.push(t.now+max(d, 0), nil, do) }

func (t *timeline) push(at time.Duration, in *process, do func()) {
	t.seq++
	t.heap = append(t.heap, event{max(at, t.now), t.seq, in, do})
	for i := len(t.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.before(i, up) {
			break
		}
		t.heap[i], t.heap[up] = t.heap[up], t.heap[i]
		i = up
	}
}

func (t *timeline) pop() event {
	e := t.heap[0]
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = event{}
	t.heap = t.heap[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && t.before(down+1, down) {
			down++
		}
		if !t.before(down, i) {
			break
		}
		t.heap[i], t.heap[down] = t.heap[down], t.heap[i]
		i = down
	}
	return e
}

// until runs the world to a time, or to the end of something.
func (t *timeline) until(end time.Duration, over func() bool) {
	for len(t.heap) > 0 && t.heap[0].at <= end && !over() {
		e := t.pop()
		t.now = e.at
		if e.in != nil {
			switch p := e.in; {
			case p.over:
				continue
			case p.stoppedTill > t.now:
				t.push(p.stoppedTill, p, e.do)
				continue
			}
		}
		e.do()
	}
	if !over() {
		t.now = max(t.now, end)
	}
}
