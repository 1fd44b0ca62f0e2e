package console

import (
	"slices"
	"strings"
)

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	if n := strings.LastIndex(s, sep); n >= 0 {
		return s[:n], s[n+len(sep):], true
	}
	return s, "", false
}

// ring keeps the latest.
type ring[T any] struct {
	most  int
	items []T // at most twice as many, so that what is old is dropped rarely
}

func (r *ring[T]) add(x T) {
	if len(r.items) >= 2*r.most {
		r.items = slices.Clone(r.items[r.most:])
	}
	r.items = append(r.items, x)
}

// all returns a copy, the oldest first.
func (r *ring[T]) all() []T { return slices.Clone(r.items[max(len(r.items)-r.most, 0):]) }
