package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	bundleExt = ".zip"
	writeExt  = ".part" // while it is written; a name that no bundle has
	// halfWritten is how old a file under that name is before it is nobody's: a
	// process that is being replaced may still be writing.
	halfWritten = time.Minute
)

// dir is a shelf of files. It is asked anew each time, since another process, or a
// person, may have added or removed some.
//
// A bundle appears under its name by a rename, whole or not at all. Nothing is
// synced: after a power cut the newest may be broken, is noticed and removed. To
// wait for a disk that may be the patient would cost more.
type dir struct {
	path string

	mu    sync.Mutex
	known map[string]Info // by ref: what a name holds never changes
}

func openDir(path string) (*dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("evidence: make %s absolute: %w: give an absolute path", path, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("evidence: make the directory: %w: give one that the service may write to", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("evidence: look at the directory: %w", err)
	}
	// Its mode is not changed: it may be a directory of others.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("evidence: the directory %s has mode %v, and evidence is for its owner only: chmod 700 %[1]s, or give a directory that does not exist yet", path, info.Mode().Perm())
	}
	return &dir{path: path, known: map[string]Info{}}, nil
}

// in opens the directory for one call. No name and no link leads out of it.
func (d *dir) in(f func(*os.Root) error) error {
	root, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(d.path, 0o700) == nil { // deleted while we run
		root, err = os.OpenRoot(d.path)
	}
	if err != nil {
		return fmt.Errorf("evidence: open the directory: %w", err)
	}
	defer root.Close()
	return f(root)
}

// files calls f with every file of ours, in the order of their names.
func (d *dir) files(root *os.Root, f func(ref string, half bool, e fs.DirEntry) error) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("evidence: read the directory %s: %w", d.path, err)
	}
	for _, e := range entries {
		ref, half := strings.CutSuffix(e.Name(), writeExt)
		if !half {
			ref, _ = strings.CutSuffix(e.Name(), bundleExt)
		}
		if _, ours := refAt(ref); !ours || ref == e.Name() || !e.Type().IsRegular() {
			continue
		}
		if err := f(ref, half, e); err != nil {
			return err
		}
	}
	return nil
}

func (d *dir) list() ([]Info, error) {
	var all []Info
	err := d.in(func(root *os.Root) error {
		seen := map[string]bool{}
		err := d.files(root, func(ref string, half bool, e fs.DirEntry) error {
			if half {
				sweep(root, e)
				return nil
			}
			info, err := d.info(root, ref)
			switch {
			case err == nil:
				seen[ref] = true
				all = append(all, info)
			case broken(err):
				_ = root.Remove(e.Name()) // it is not listed either way
			case !errors.Is(err, fs.ErrNotExist):
				// It may be whole: it stays, and its size counts.
				at, _ := refAt(ref)
				why := Note{Part: manifest, Why: "this bundle cannot be read now: " + err.Error()}
				info = Info{Ref: ref, At: at, Notes: []Note{why}}
				if i, err := e.Info(); err == nil {
					info.Bytes = i.Size()
				}
				all = append(all, info)
			}
			return nil
		})
		d.forget(seen)
		return err
	})
	return all, err
}

// info is what a file says of itself, read once.
func (d *dir) info(root *os.Root, ref string) (Info, error) {
	d.mu.Lock()
	info, ok := d.known[ref]
	d.mu.Unlock()
	if ok {
		return info.clone(), nil
	}
	f, err := root.Open(ref + bundleExt)
	if err != nil {
		return info, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return info, err
	}
	if info, err = readInfo(f, stat.Size()); err != nil {
		return info, err
	}
	info.Ref = ref // whatever the file says: this is how it is found
	d.mu.Lock()
	d.known[ref] = info
	d.mu.Unlock()
	return info.clone(), nil
}

func (d *dir) forget(but map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ref := range d.known {
		if !but[ref] {
			delete(d.known, ref)
		}
	}
}

// broken says that a file was read and is no bundle, as opposed to one that could
// not be read.
func broken(err error) bool {
	var of *fs.PathError
	return !errors.As(err, &of)
}

// sweep removes what a process left half written. What cannot be removed counts as
// a leftover.
func sweep(root *os.Root, e fs.DirEntry) {
	if i, err := e.Info(); err == nil && time.Since(i.ModTime()) >= halfWritten {
		_ = root.Remove(e.Name())
	}
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *dir) leftovers() (size int64, err error) {
	err = d.in(func(root *os.Root) error {
		return d.files(root, func(_ string, half bool, e fs.DirEntry) error {
			if i, err := e.Info(); half && err == nil {
				size += blocks(i.Size())
			}
			return nil
		})
	})
	return size, err
}

func (d *dir) save(info Info, zip []byte) error {
	err := d.in(func(root *os.Root) error {
		half := info.Ref + writeExt
		f, err := root.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(zip)
		if err = errors.Join(err, f.Close()); err == nil {
			err = root.Rename(half, info.Ref+bundleExt)
		}
		if err != nil {
			return errors.Join(err, gone(root.Remove(half)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("evidence: write a bundle of %d bytes: %w: see that %s has room and can be written to", len(zip), err, d.path)
	}
	d.mu.Lock()
	d.known[info.Ref] = info.clone()
	d.mu.Unlock()
	return nil
}

func (d *dir) load(ref string) (src source, size int64, err error) {
	err = d.in(func(root *os.Root) error {
		f, err := root.Open(ref + bundleExt)
		if err != nil {
			return err
		}
		stat, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		src, size = f, stat.Size()
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("evidence: open %s: %w", ref, err)
	}
	return src, size, nil
}

func (d *dir) remove(ref string) error {
	return d.in(func(root *os.Root) error { return gone(root.Remove(ref + bundleExt)) })
}
