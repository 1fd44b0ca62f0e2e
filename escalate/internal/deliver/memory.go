package deliver

import (
	"slices"
	"sync"
)

// A Memory remembers up to 1,000 ids, the latest. The zero value is empty. It is
// safe for concurrent use.
type Memory struct {
	mu  sync.Mutex
	ids []string
}

// Add remembers an id; the oldest is forgotten when there are too many.
func (m *Memory) Add(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	const most = 1000
	if slices.Contains(m.ids, id) {
		return
	}
	if len(m.ids) == most {
		m.ids = slices.Delete(m.ids, 0, 1)
	}
	m.ids = append(m.ids, id)
}

// Has says whether an id is remembered.
func (m *Memory) Has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.ids, id)
}

// Remove forgets an id.
func (m *Memory) Remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = slices.DeleteFunc(m.ids, func(s string) bool { return s == id })
}
