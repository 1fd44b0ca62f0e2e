package schedule

import (
	"math"
	"math/bits"
)

const (
	tick     = 10_000_000 // width of a near slot, in nanoseconds
	nearLen  = 1024       // 10.24 s
	farTicks = 500        // width of a far slot, in ticks: less than half of the near wheel
	farTick  = farTicks * tick
	farLen   = 256 // 21 min; what lies beyond goes round again
	blockLen = 31  // a block is 512 bytes, and what one worker takes at once
	never    = math.MaxInt64
)

// Where a block lies when it is not in a slot of the wheel.
const (
	inReady int32 = -1 - iota // due
	inWakes                   // asked for
	inSlow                    // due or asked for, each on its own goroutine
	held                      // a worker's
)

// The two lanes of a slot: tasks whose latest run was quick, and the others.
const (
	quickLane = iota
	slowLane
)

// An entry is one task and the moment at which it is due, in nanoseconds since
// the scheduler's start.
type entry struct {
	at int64
	t  *Task
}

// A block holds entries that are due together. Blocks move from the wheel to the
// queues and to workers as a whole, without a look at the tasks in them.
type block struct {
	next *block
	home int32 // a slot, or one of the places above
	n    uint8
	lane uint8
	shut bool // nothing may be added: else what came first could wait for ever
	e    [blockLen]entry
}

func (b *block) push(at int64, t *Task) {
	b.e[b.n] = entry{at, t}
	t.block, t.index = b, b.n
	b.n++
}

// blocks keeps empty blocks for their next use, in proportion to those in use.
type blocks struct {
	free         *block
	frees, inUse int
}

func (p *blocks) get(home int32, lane uint8) *block {
	b := p.free
	if b == nil {
		b = new(block)
	} else {
		p.free, b.next = b.next, nil
		p.frees--
	}
	p.inUse++
	b.home, b.lane = home, lane
	return b
}

func (p *blocks) put(b *block) {
	p.inUse--
	if p.frees > 64+p.inUse/2 {
		// Many tasks were removed: their memory goes back, this and one more.
		p.free = p.free.next
		p.frees--
		return
	}
	clear(b.e[:])
	b.n, b.shut = 0, false
	b.next, p.free = p.free, b
	p.frees++
}

// A slot holds what is due within one tick (near) or farTick (far). Only the
// first block of a lane may have room. min is never later than the earliest
// moment in the slot, max never earlier than the latest.
type slot struct {
	head     [2]*block
	min, max int64
}

// A queue holds blocks in the order in which they are to be run.
type queue struct {
	head, tail *block
	home       int32
	n          int // entries
}

func (q *queue) add(p *blocks, at int64, t *Task) {
	if q.tail == nil || q.tail.n == blockLen || q.tail.shut {
		q.link(p.get(q.home, quickLane))
	}
	q.tail.push(at, t)
	q.n++
}

func (q *queue) link(b *block) {
	b.home, b.next = q.home, nil
	if q.tail == nil {
		q.head = b
	} else {
		q.tail.next = b
	}
	q.tail = b
	q.n += int(b.n)
}

// pop takes the first block that is not empty: removed tasks leave holes.
func (q *queue) pop(p *blocks) *block {
	for q.head != nil {
		b := q.head
		if q.head = b.next; q.head == nil {
			q.tail = nil
		}
		b.next = nil
		if b.n > 0 {
			q.n -= int(b.n)
			return b
		}
		p.put(b)
	}
	return nil
}

// popOne takes one entry, in a block of its own.
func (q *queue) popOne(p *blocks) *block {
	for q.head.n == 0 {
		b := q.head
		q.head = b.next
		p.put(b)
	}
	b := q.head
	if b.n == 1 {
		return q.pop(p)
	}
	b.shut = true
	b.n--
	e := b.e[b.n]
	b.e[b.n] = entry{}
	q.n--
	one := p.get(held, slowLane)
	one.push(e.at, e.t)
	return one
}

// A wheel keeps the tasks that wait. Each is in exactly one place: in a slot, in
// one of the three queues, or with a worker.
type wheel struct {
	blocks
	near    [nearLen]slot
	nearSet [nearLen / 64]uint64 // the slots that are not empty
	far     [farLen]slot
	farMin  int64 // never later than the earliest moment in far
	cur     int64 // the near slot of the latest advance
	farCur  int64 // far slots before this one were spread over the near wheel

	ready, wakes, slow queue
}

func (w *wheel) init() {
	w.farMin = never
	w.farCur = 2 // the near wheel reaches over the first two
	w.ready.home, w.wakes.home, w.slow.home = inReady, inWakes, inSlow
}

// insert files t under the moment at, which may have passed.
func (w *wheel) insert(at int64, t *Task) {
	lane := uint8(quickLane)
	if t.slow {
		lane = slowLane
	}
	n := max(at/tick, w.cur)
	if n-w.cur < nearLen {
		n %= nearLen
		w.nearSet[n/64] |= 1 << (n % 64)
		w.file(&w.near[n], int32(n), lane, at, t)
		return
	}
	n = min(max(at/farTick, w.farCur), w.farCur+farLen-1) % farLen
	w.farMin = min(w.farMin, at)
	w.file(&w.far[n], int32(n)+nearLen, lane, at, t)
}

func (w *wheel) file(s *slot, home int32, lane uint8, at int64, t *Task) {
	if s.head[0] == nil && s.head[1] == nil {
		s.min, s.max = at, at
	} else {
		s.min, s.max = min(s.min, at), max(s.max, at)
	}
	b := s.head[lane]
	if b == nil || b.n == blockLen {
		b = w.get(home, lane)
		b.next, s.head[lane] = s.head[lane], b
	}
	b.push(at, t)
}

// remove takes t out, unless a worker holds it. The hole is filled with the last
// entry of the first block, so that the others stay full.
func (w *wheel) remove(t *Task) {
	b := t.block
	if b == nil || b.home == held {
		return
	}
	from := b
	var s *slot
	switch {
	case b.home >= nearLen:
		s = &w.far[b.home-nearLen]
	case b.home >= 0:
		s = &w.near[b.home]
	default:
		w.queue(b.home).n--
	}
	if s != nil {
		from = s.head[b.lane]
	}
	from.n--
	last := from.e[from.n]
	from.e[from.n] = entry{}
	if last.t != t {
		b.e[t.index] = last
		last.t.block, last.t.index = b, t.index
	}
	t.block = nil
	if s != nil && from.n == 0 {
		s.head[b.lane] = from.next
		home := from.home
		w.put(from)
		if home < nearLen && s.head[0] == nil && s.head[1] == nil {
			w.nearSet[home/64] &^= 1 << (home % 64)
		}
	}
}

func (w *wheel) queue(home int32) *queue {
	switch home {
	case inReady:
		return &w.ready
	case inWakes:
		return &w.wakes
	}
	return &w.slow
}

// next is the moment at which advance will have something to do; it may be early.
func (w *wheel) next() int64 {
	first := w.cur % nearLen
	word, mask := first/64, ^uint64(0)<<(first%64)
	for range len(w.nearSet) + 1 {
		if set := w.nearSet[word] & mask; set != 0 {
			return min(w.farMin, w.near[word*64+int64(bits.TrailingZeros64(set))].min)
		}
		word, mask = (word+1)%int64(len(w.nearSet)), ^uint64(0)
	}
	return w.farMin
}

// advance moves what is due to the queues. It spreads about limit blocks of the
// far wheel over the near one, and reports whether some are left for soon: so
// nobody waits long for the mutex under which all this happens.
func (w *wheel) advance(now int64, limit int) (more bool) {
	to := now / tick
	last := min(to, w.cur+nearLen-1)
	for n := w.cur; n <= last; {
		i := n % nearLen
		set := w.nearSet[i/64] >> (i % 64)
		if set == 0 {
			n += 64 - i%64
			continue
		}
		n += int64(bits.TrailingZeros64(set))
		if n <= last {
			w.collect(n%nearLen, now)
		}
		n++
	}
	w.cur = to
	return w.spread(now, limit)
}

// collect empties a near slot, as a whole if all of it is due.
func (w *wheel) collect(i, now int64) {
	s := &w.near[i]
	if s.min > now {
		return
	}
	whole := s.max <= now
	lanes := s.head
	s.head = [2]*block{}
	w.nearSet[i/64] &^= 1 << (i % 64)
	for lane, b := range lanes {
		for b != nil {
			next := b.next
			switch {
			case !whole:
				w.sort(b, now)
			case lane == slowLane:
				w.slow.link(b)
			default:
				w.ready.link(b)
			}
			b = next
		}
	}
}

// sort files each entry of b anew: due ones in their queue.
func (w *wheel) sort(b *block, now int64) {
	for _, e := range b.e[:b.n] {
		switch {
		case e.at > now:
			w.insert(e.at, e.t)
		case b.lane == slowLane:
			w.slow.add(&w.blocks, e.at, e.t)
		default:
			w.ready.add(&w.blocks, e.at, e.t)
		}
	}
	w.put(b)
}

func (w *wheel) spread(now int64, limit int) (more bool) {
	from := w.farCur
	for ; w.farCur*farTick <= now+farTick; w.farCur++ {
		s := &w.far[w.farCur%farLen]
		for lane := range s.head {
			for s.head[lane] != nil {
				if limit--; limit < 0 && w.farCur*farTick > now {
					return true
				}
				b := s.head[lane]
				s.head[lane] = b.next
				w.sort(b, now)
			}
		}
	}
	if w.farCur != from {
		w.farMin = never
		for i := range w.far {
			if s := &w.far[i]; s.head[0] != nil || s.head[1] != nil {
				w.farMin = min(w.farMin, s.min)
			}
		}
	}
	return false
}
