package receive

import (
	"maps"
	"sync"

	"github.com/selfheal-go/selfheal/detect"
)

// counts is what became of requests. Reasons are constants, so the maps stay small.
type counts struct {
	mu  sync.Mutex
	sum detect.ReceiverStats
}

func (c *counts) request() {
	c.mu.Lock()
	c.sum.Requests++
	c.mu.Unlock()
}

func (c *counts) took(n int) {
	c.mu.Lock()
	c.sum.Taken += uint64(n)
	c.mu.Unlock()
}

// count counts one answer with a reason and says whether it is the first.
func (c *counts) count(status int, reason string) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := &c.sum.Ignored
	switch {
	case status >= 500:
		by = &c.sum.Failed
	case status >= 400:
		by = &c.sum.Refused
	}
	if *by == nil {
		*by = map[string]uint64{}
	}
	(*by)[reason]++
	return (*by)[reason] == 1
}

func (c *counts) stats() detect.ReceiverStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sum
	s.Ignored, s.Refused, s.Failed = maps.Clone(s.Ignored), maps.Clone(s.Refused), maps.Clone(s.Failed)
	return s
}
