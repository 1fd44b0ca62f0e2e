package evidence

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// memory is a shelf that ends with the process.
type memory struct {
	mu      sync.Mutex
	bundles []kept // the oldest first
}

type kept struct {
	info Info
	zip  []byte
}

func (m *memory) list() ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Info, len(m.bundles))
	for i, k := range m.bundles {
		all[i] = k.info.clone()
	}
	return all, nil
}

func (*memory) leftovers() (int64, error) { return 0, nil }

func (m *memory) save(info Info, zip []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bundles = append(m.bundles, kept{info.clone(), slices.Clip(zip)})
	return nil
}

func (m *memory) load(ref string) (source, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.bundles {
		if k.info.Ref == ref {
			return inMemory{bytes.NewReader(k.zip)}, int64(len(k.zip)), nil
		}
	}
	return nil, 0, fmt.Errorf("evidence: open %s: %w", ref, ErrNotFound)
}

func (m *memory) remove(ref string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bundles = slices.DeleteFunc(m.bundles, func(k kept) bool { return k.info.Ref == ref })
	return nil
}

// clone keeps what is handed out apart from what is kept.
func (i Info) clone() Info {
	i.Files, i.Notes, i.Elsewhere = slices.Clone(i.Files), slices.Clone(i.Notes), slices.Clone(i.Elsewhere)
	return i
}
