package detect

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
)

// ConfirmOptions is for [Confirm]. With neither N nor Of it is 3 of 5.
type ConfirmOptions struct {
	// Detector is asked. Required.
	Detector Detector
	// N is how many of the last Of looks must have found a key.
	N int
	// Of is how many looks are remembered, at most 64. 0 means N: so many in a
	// row.
	Of int
}

// Confirm returns a detector that finds a key when Detector finds it now and did
// so in at least N of its last Of looks, this one included. Use it for readings
// that jump; where the trouble only has to last, the For of a watch is enough.
//
// A key that is not found now is not reported, however often it was before:
// otherwise a fix would seem to have failed until the old looks were forgotten.
// Looks that were blind for a key do not count for it, neither way, and their
// error passes through. A key is forgotten after Of looks without it, and after
// 1,000 that were blind for it, so memory is bounded by what Detector finds in
// that time. Wakes and Validate of Detector pass through. Safe for concurrent
// use if Detector is.
func Confirm(o ConfirmOptions) Detector {
	if o.N == 0 && o.Of == 0 {
		o.N, o.Of = 3, 5
	}
	if o.Of == 0 {
		o.Of = o.N
	}
	c := &confirm{o: o, keys: map[string]*past{}}
	c.problem = c.check()
	return c
}

type confirm struct {
	o       ConfirmOptions
	problem error

	mu    sync.Mutex
	looks uint64
	keys  map[string]*past
}

// past is what the last looks saw of one key: a bit a look, the newest lowest.
type past struct {
	seen uint64
	look uint64 // the last look that found it
}

func (c *confirm) check() error {
	var errs []error
	if c.o.Detector == nil {
		errs = append(errs, errors.New("detect: Confirm has no detector: give it the one to be confirmed"))
	}
	if c.o.N < 1 || c.o.Of < c.o.N || c.o.Of > 64 {
		errs = append(errs, fmt.Errorf("detect: Confirm wants %d of %d looks: use at least 1, at most all, of up to 64", c.o.N, c.o.Of))
	}
	return errors.Join(errs...)
}

func (c *confirm) Validate() error {
	var inner error
	if v, ok := c.o.Detector.(Validator); ok {
		if inner = v.Validate(); inner != nil {
			inner = fmt.Errorf("detect: the detector of Confirm: %w", inner)
		}
	}
	return errors.Join(c.problem, inner)
}

func (c *confirm) OnWake(wake func()) {
	if w, ok := c.o.Detector.(Waker); ok {
		w.OnWake(wake)
	}
}

func (c *confirm) Detect(ctx context.Context) ([]Finding, error) {
	if c.problem != nil {
		return nil, c.problem
	}
	found, err := c.o.Detector.Detect(ctx)
	return c.confirmed(found, err == nil), err
}

// confirmed counts one look and returns what it confirms of found. Unless the
// look was complete, it says nothing of the keys that it did not name.
func (c *confirm) confirmed(found []Finding, complete bool) []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	for i := range found {
		p := c.keys[found[i].Key]
		if p == nil {
			p = &past{}
			c.keys[found[i].Key] = p
		}
		if p.look != c.looks {
			p.seen, p.look = c.shift(p.seen)|1, c.looks
		}
	}
	for key, p := range c.keys {
		if p.look == c.looks {
			continue
		}
		if complete {
			p.seen = c.shift(p.seen)
		}
		if p.seen == 0 || c.looks-p.look > longAgo {
			delete(c.keys, key)
		}
	}
	return c.pick(found)
}

// longAgo is after how many looks a key is forgotten although all of them were
// blind for it: ever new keys beside a lasting error must not pile up.
const longAgo = 1000

func (c *confirm) shift(seen uint64) uint64 {
	return seen << 1 & (1<<c.o.Of - 1)
}

// pick returns found itself where everything is confirmed, which is what a
// lasting trouble looks like.
func (c *confirm) pick(found []Finding) []Finding {
	first := 0
	for ; first < len(found); first++ {
		if !c.sure(found[first].Key) {
			break
		}
	}
	if first == len(found) {
		return found
	}
	out := append([]Finding(nil), found[:first]...)
	for _, f := range found[first:] {
		if c.sure(f.Key) {
			out = append(out, f)
		}
	}
	return out
}

func (c *confirm) sure(key string) bool { return bits.OnesCount64(c.keys[key].seen) >= c.o.N }
