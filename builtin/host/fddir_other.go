//go:build !linux

package host

import (
	"os"
)

// fdDir reads the descriptors of recorded trees; other systems have none.
type fdDir struct{ path string }

func newFDDir(path string) *fdDir { return &fdDir{path: path} }

func (d *fdDir) size() (int, bool, error) { return 0, false, nil }

func (d *fdDir) list() (int, error) {
	names, err := d.names()
	return len(names), err
}

func (d *fdDir) names() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, unreadable(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}
