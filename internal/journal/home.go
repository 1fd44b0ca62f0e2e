package journal

import "os"

// home is the directory of an open journal together with its lock.
type home struct {
	dir string
	fs  *dirFS
}

func openHome(dir string) (*home, error) {
	if err := makeDir(dir); err != nil {
		return nil, advised("make the directory "+dir, err)
	}
	fsys, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	if fsys.lock, err = lock(dir); err != nil {
		fsys.close()
		return nil, err
	}
	return &home{dir: dir, fs: fsys}, nil
}

// revive makes the directory fit for writing again when it, or its lock, was
// taken away. Only the directory itself is made anew: where its parent is gone
// too, a file system is probably not mounted.
func (h *home) revive() error {
	if h.intact() {
		return nil
	}
	if _, err := os.Stat(h.dir); err != nil {
		if err := makeLeaf(h.dir); err != nil {
			return advised("make the directory "+h.dir+" again", err)
		}
	}
	fsys, err := openDir(h.dir)
	if err != nil {
		return err
	}
	if fsys.lock, err = lock(h.dir); err != nil {
		fsys.close()
		return err
	}
	h.fs.close()
	*h.fs = *fsys
	return nil
}

func (h *home) intact() bool {
	is, err := h.fs.self.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(h.dir)
	return err == nil && os.SameFile(is, there) && isLock(h.dir, h.fs.lock)
}

func (h *home) close() { h.fs.close() }
