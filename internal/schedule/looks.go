package schedule

// looks is a binary heap of single moments. They are rare: a few for each open
// incident, so they need not be cheap, but they must be exact.
type looks []entry

func (h looks) next() int64 {
	if len(h) == 0 {
		return never
	}
	return h[0].at
}

func (h *looks) push(at int64, t *Task) {
	*h = append(*h, entry{at, t})
	h.up(len(*h) - 1)
}

func (h *looks) pop() entry {
	old := *h
	top, last := old[0], len(old)-1
	old[0], old[last] = old[last], entry{}
	*h = old[:last]
	h.down(0)
	return top
}

// drop forgets all moments of t.
func (h *looks) drop(t *Task) {
	old := *h
	kept := old[:0]
	for _, e := range old {
		if e.t != t {
			kept = append(kept, e)
		}
	}
	clear(old[len(kept):])
	*h = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h looks) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= h[i].at {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

func (h looks) down(i int) {
	for {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].at < h[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
