package evidence

import (
	"bytes"
	"errors"
	"sync"
)

var (
	errFull = errors.New("evidence: the room for this part is spent: write less")
	errOver = errors.New("evidence: the time for this part is spent: return")
)

// A buffer takes what a part writes, up to a bound, until the capture goes on
// without it.
type buffer struct {
	mu   sync.Mutex
	data []byte
	most int
	full bool // something was refused
	over bool
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errOver
	}
	n := min(len(p), b.most-len(b.data))
	b.data = append(b.data, p[:n]...)
	if n < len(p) {
		b.full = true
		return n, errFull
	}
	return n, nil
}

// take returns what was written; nothing is added to it afterwards.
func (b *buffer) take() (data []byte, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.data, b.full
}

// wholeLines cuts a text to at most n bytes, after its last whole line. A line that
// is cut could hold half a secret, which nothing recognises.
func wholeLines(text []byte, n int) []byte {
	return text[:bytes.LastIndexByte(text[:min(n, len(text))], '\n')+1]
}
