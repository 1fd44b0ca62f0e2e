package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// dirFS is a directory of the operating system.
type dirFS struct {
	dir string
	// self is open all the time: names can be synced when no descriptor is free.
	self *os.File
	lock *os.File // nil for a reader
}

// openDir opens a directory that exists.
func openDir(dir string) (*dirFS, error) {
	self, err := os.Open(dir)
	if err == nil {
		var info fs.FileInfo
		if info, err = self.Stat(); err == nil && !info.IsDir() {
			self.Close()
			err = &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("journal: %s is a file, or lies below one: give the path of a directory: %w", dir, err)
	case err != nil:
		return nil, advised("open the directory", err)
	}
	return &dirFS{dir: dir, self: self}, nil
}

// makeDir makes a directory and what is missing above it, durably.
func makeDir(dir string) error {
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // openDir says what it is
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := makeDir(parent); err != nil {
		return err
	}
	return makeLeaf(dir)
}

func makeLeaf(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	above, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer above.Close()
	return syncDir(above)
}

func (d *dirFS) path(name string) string { return filepath.Join(d.dir, name) }

func (d *dirFS) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d *dirFS) Open(name string, write bool) (File, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	return d.open(name, flags)
}

func (d *dirFS) Create(name string) (File, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d *dirFS) open(name string, flags int) (File, error) {
	f, err := os.OpenFile(d.path(name), flags, 0o600)
	if err != nil {
		return nil, err
	}
	return &dirFile{f}, nil
}

func (d *dirFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d *dirFS) Remove(name string) error { return os.Remove(d.path(name)) }

func (d *dirFS) SyncDir() error { return syncDir(d.self) }

func (d *dirFS) Check(name string, f File) error {
	if d.lock != nil && !isLock(d.dir, d.lock) {
		return fmt.Errorf("%s: %w", d.path(lockName), errGone)
	}
	is, err := f.(*dirFile).Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(d.path(name))
	if err != nil {
		return err
	}
	if !os.SameFile(is, there) {
		return fmt.Errorf("%s: %w", d.path(name), errGone)
	}
	return nil
}

func (d *dirFS) close() {
	d.self.Close()
	if d.lock != nil {
		d.lock.Close()
	}
}

// dirFile is one file in it. Its Sync and Allocate are the system's.
type dirFile struct{ *os.File }

func (f *dirFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
