//go:build !linux

package journal

import (
	"os"
	"runtime"
)

// Allocate leaves it to the zeros that are written next.
func (f *dirFile) Allocate(int64) error { return nil }

// syncDir is for systems on which a journal can be opened for writing; Windows
// has no such call, and none is written there.
func syncDir(dir *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return dir.Sync()
}
