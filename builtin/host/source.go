package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// mostBytes bounds what is read of one file of proc or sys.
const mostBytes = 1 << 20

// source is a file of proc or sys that is kept open and read in place: it is read
// every few seconds for the life of the process, and must still be readable when
// no descriptor is left.
//
// Its methods are for one goroutine at a time.
type source struct {
	path string
	file *os.File
	buf  []byte
}

// read returns the present content, valid until the next read. A file that could
// not be read is opened anew the next time.
func (s *source) read() ([]byte, error) {
	if s.file == nil {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, unreadable(err)
		}
		s.file = f
	}
	if s.buf == nil {
		s.buf = make([]byte, 1024)
	}
	for {
		n, err := s.file.ReadAt(s.buf, 0)
		switch {
		case n == len(s.buf) && n < mostBytes:
			s.buf = make([]byte, 4*n) // perhaps there is more
		case err == nil || errors.Is(err, io.EOF):
			return s.buf[:n], nil
		default:
			s.close()
			return nil, unreadable(err)
		}
	}
}

func (s *source) close() {
	if s.file != nil {
		_ = s.file.Close() // it was only read
		s.file = nil
	}
}

// unreadable says what was not read, in the same words each time.
func unreadable(err error) error {
	if runtime.GOOS != "linux" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("host: %s has no such file, only Linux: %w", runtime.GOOS, err)
	}
	return fmt.Errorf("host: %w", err)
}

// under is a path of the kernel's below a root directory.
func under(root, path string) string { return filepath.Join(root, filepath.FromSlash(path)) }
