package goruntime

import "runtime"

// snapshot is how many goroutines of each site there are, with the commonest
// stack of each.
type snapshot struct {
	counts map[*site]int
	stacks map[*site]group
}

// camera takes snapshots, and keeps its film only as long as it is in use.
type camera struct {
	records []runtime.StackRecord
	stacks  map[[32]uintptr]int
}

// take groups all goroutines by site. runtime.GoroutineProfile stops the world for
// microseconds only, which is why it is used: what would tell who created a
// goroutine stops it for as long as every stack takes to print.
func (c *camera) take(about int, names *sites) snapshot {
	n, ok := about, false
	for range 4 {
		if size := n + n/8 + 64; len(c.records) < size {
			c.records = make([]runtime.StackRecord, size)
		}
		if n, ok = runtime.GoroutineProfile(c.records); ok {
			break
		}
	}
	if !ok {
		return snapshot{} // they multiply faster than they can be counted
	}
	if c.stacks == nil {
		c.stacks = map[[32]uintptr]int{}
	}
	clear(c.stacks)
	for i := range c.records[:n] {
		c.stacks[c.records[i].Stack0]++
	}
	shot := snapshot{counts: map[*site]int{}, stacks: map[*site]group{}}
	for stack, count := range c.stacks {
		at := names.cached(stack)
		if at == nil {
			continue
		}
		shot.counts[at] += count
		if count > shot.stacks[at].count {
			shot.stacks[at] = group{count, trimmed(stack)}
		}
	}
	return shot
}

func (c *camera) release() { *c = camera{} }

// maxStacks bounds what is remembered of stacks; programs have far fewer places
// at which goroutines wait.
const maxStacks = 4096

// cached is of for the stacks of a goroutine profile.
func (s *sites) cached(stack [32]uintptr) *site {
	at, known := s.byStack[stack]
	if !known {
		if len(s.byStack) >= maxStacks {
			clear(s.byStack)
		}
		at = s.of(trimmed(stack))
		s.byStack[stack] = at
	}
	return at
}

func trimmed(stack [32]uintptr) []uintptr {
	for i, pc := range stack {
		if pc == 0 {
			return append([]uintptr(nil), stack[:i]...)
		}
	}
	return append([]uintptr(nil), stack[:]...)
}
