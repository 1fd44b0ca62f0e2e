package evidence

import (
	"archive/zip"
	"bytes"
	"io"
	"time"
)

// Content is a bundle or one of its files, opened for reading. It fits
// http.ServeContent. It is for one goroutine.
type Content struct {
	io.ReadSeekCloser
	// Name is what to save it as: of letters, digits, points, dashes and
	// underscores.
	Name  string
	Type  string // media type
	Bytes int64
	At    time.Time // when it was captured
}

// openPart reads one file into memory, so that the archive need not stay open and
// its checksum has been verified.
func openPart(r io.ReaderAt, size int64, name string, limit int64) (*Content, error) {
	info, err := readInfo(r, size)
	if err != nil {
		return nil, err
	}
	f := FileInfo{Name: manifest, Type: "application/json"}
	for _, known := range info.Files {
		if known.Name == name {
			f = known
		}
	}
	if f.Name != name {
		return nil, ErrNotFound
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	data, err := readEntry(z, name, limit)
	if err != nil {
		return nil, err
	}
	return &Content{ReadSeekCloser: inMemory{bytes.NewReader(data)}, Name: name, Type: f.Type, Bytes: int64(len(data)), At: info.At}, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
