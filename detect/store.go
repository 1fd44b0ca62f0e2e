package detect

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

// A Store keeps what a receiver of alerts must not forget when the process ends:
// small values under keys. Implementations are safe for concurrent use and give
// up when ctx ends; a receiver gives them a few seconds. What the values mean is
// the receiver's business; give each receiver a store, or a part of one, of its
// own.
type Store interface {
	// Load returns all entries, in any order.
	Load(ctx context.Context) ([]Entry, error)
	// Put adds or replaces entries. When it returns nil they are as durable as
	// this store makes anything; an error may have kept some of them.
	Put(ctx context.Context, entries ...Entry) error
	// Delete removes entries. A key that is not there is no error.
	Delete(ctx context.Context, keys ...string) error
}

// An Entry of a [Store].
type Entry struct {
	Key   string
	Value []byte
}

// MemoryStore is a [Store] that lasts as long as the process. The zero value is
// empty. It outlives the receivers that use it, so a receiver that is made anew,
// because a configuration was loaded again, knows what the last one knew.
type MemoryStore struct {
	mu      sync.Mutex
	entries map[string][]byte
}

// Load returns copies of all entries, sorted by key.
func (m *MemoryStore) Load(context.Context) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Entry, 0, len(m.entries))
	for key, value := range m.entries {
		all = append(all, Entry{key, bytes.Clone(value)})
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// Put keeps copies.
func (m *MemoryStore) Put(_ context.Context, entries ...Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[string][]byte{}
	}
	for _, e := range entries {
		m.entries[e.Key] = bytes.Clone(e.Value)
	}
	return nil
}

// Delete removes entries.
func (m *MemoryStore) Delete(_ context.Context, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.entries, key)
	}
	return nil
}
