package host

import "time"

// slots is how finely a window is kept.
const slots = 10

// window keeps up to two counters over the last while, so that shares are taken of
// what the kernel counted and not of averages that it has smoothed already. It has
// a fixed size and allocates nothing.
type window struct {
	length time.Duration
	ring   [slots + 2]point
	n      int
}

type point struct {
	at   time.Duration
	a, b uint64
}

// add takes the counters at now and returns by how much they grew within the
// window. over is the time which that growth is to be compared with: what came
// before the first reading counts as quiet, so that nobody is accused on two
// readings. A counter that shrank, or a gap of two windows, starts anew.
func (w *window) add(now time.Duration, a, b uint64) (da, db uint64, over time.Duration) {
	if w.n > 0 {
		if last := w.ring[w.n-1]; a < last.a || b < last.b || now < last.at || now-last.at > 2*w.length {
			w.n = 0
		}
	}
	for w.n > 1 && w.ring[1].at <= now-w.length {
		copy(w.ring[:], w.ring[1:w.n])
		w.n--
	}
	p := point{now, a, b}
	switch {
	case w.n == 0 || now-w.ring[w.n-1].at >= w.length/slots:
		if w.n == len(w.ring) {
			copy(w.ring[:], w.ring[1:])
			w.n--
		}
		w.ring[w.n] = p
		w.n++
	}
	first := w.ring[0]
	return a - first.a, b - first.b, max(now-first.at, w.length)
}
