package journal

import "io"

// An FS is the directory of one journal, and all that the commit state knows of
// the world. A simulator implements it too. Names have no folders. Errors wrap
// those of io/fs and package syscall.
//
// What counts as durable: bytes of a file after its Sync, names after SyncDir.
type FS interface {
	// List returns the names in the directory, in any order.
	List() ([]string, error)
	// Open opens a file that exists, for reading and, if write is set, writing.
	Open(name string, write bool) (File, error)
	// Create makes an empty file for reading and writing. It fails with
	// fs.ErrExist if there is one of that name.
	Create(name string) (File, error)
	// Rename gives a file another name, which nothing has. The file may be open.
	Rename(from, to string) error
	// Remove removes a file. It may be open.
	Remove(name string) error
	// SyncDir makes all changes of names durable.
	SyncDir() error
	// Check returns nil while name is the name of f.
	Check(name string, f File) error
}

// A File is one open file. A write or a sync that failed says nothing about what
// became durable, and neither does a later one that succeeds.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is how long it is.
	Size() (int64, error)
	// Allocate takes space for the first size bytes, of which those beyond the end
	// of the file are zero. Where the system has no such call it does nothing:
	// the zeros that are written next take the space.
	Allocate(size int64) error
	// Sync makes its bytes durable.
	Sync() error
}
