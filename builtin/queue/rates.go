package queue

import "time"

// samples is how finely the window of the rates is kept.
const samples = 16

// rates holds what came in and left over a window in which the queue was never
// seen empty: only then the drain rate is what the consumers can do.
type rates struct {
	ring [samples]sample
	head int
	n    int
}

type sample struct {
	at      time.Duration
	in, out uint64
}

func (r *rates) point(i int) *sample { return &r.ring[(r.head+i)%samples] }

func (r *rates) reset() { r.n = 0 }

// add notes the counts at now. Counts that went back have restarted, and nothing
// before compares with them; nor does what was seen after a later moment.
func (r *rates) add(now sample, window time.Duration) {
	if r.n > 0 {
		last := r.point(r.n - 1)
		switch {
		case now.at <= last.at:
			return
		case now.in < last.in || now.out < last.out:
			r.reset()
		}
	}
	for r.n > 0 && r.point(0).at < now.at-window {
		r.head = (r.head + 1) % samples
		r.n--
	}
	// The newest but one decides: the newest is provisional.
	if r.n >= 2 && r.point(r.n-1).at-r.point(r.n-2).at < window/(samples-2) {
		r.n--
	}
	if r.n == samples {
		r.head = (r.head + 1) % samples
		r.n--
	}
	*r.point(r.n) = now
	r.n++
}

// read returns items a second, false where the window is not known well enough.
func (r *rates) read(window time.Duration) (in, out float64, ok bool) {
	if r.n < 2 {
		return 0, 0, false
	}
	first, last := r.point(0), r.point(r.n-1)
	span := last.at - first.at
	if span < window/4 {
		return 0, 0, false
	}
	s := span.Seconds()
	return float64(last.in-first.in) / s, float64(last.out-first.out) / s, true
}
