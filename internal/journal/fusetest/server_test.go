//go:build linux

package fusetest

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// root is a directory whose files lie in a simulated disk.
type root struct {
	fs.Inode
	disk *simfs.FS
}

// node is one file of it.
type node struct {
	fs.Inode
	file journal.File
}

func errno(err error) syscall.Errno {
	var no syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return no
	case errors.Is(err, iofs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, iofs.ErrExist):
		return syscall.EEXIST
	}
	return syscall.EIO // the power went
}

func (r *root) child(ctx context.Context, name string, file journal.File) *fs.Inode {
	if c := r.GetChild(name); c != nil {
		return c
	}
	return r.NewInode(ctx, &node{file: file}, fs.StableAttr{Mode: syscall.S_IFREG})
}

func (r *root) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	file, err := r.disk.Open(name, true)
	if err != nil {
		return nil, errno(err)
	}
	out.Mode = syscall.S_IFREG | 0o600
	size, err := file.Size()
	out.Size = uint64(size)
	return r.child(ctx, name, file), errno(err)
}

func (r *root) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	file, err := r.disk.Create(name)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	out.Mode = syscall.S_IFREG | 0o600
	return r.NewInode(ctx, &node{file: file}, fs.StableAttr{Mode: syscall.S_IFREG}), nil, fuse.FOPEN_DIRECT_IO, 0
}

func (r *root) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	names, err := r.disk.List()
	entries := make([]fuse.DirEntry, 0, len(names))
	for _, name := range names {
		entries = append(entries, fuse.DirEntry{Name: name, Mode: syscall.S_IFREG})
	}
	return fs.NewListDirStream(entries), errno(err)
}

func (r *root) Rename(_ context.Context, from string, _ fs.InodeEmbedder, to string, _ uint32) syscall.Errno {
	return errno(r.disk.Rename(from, to))
}

func (r *root) Unlink(_ context.Context, name string) syscall.Errno {
	return errno(r.disk.Remove(name))
}

// Fsync of the directory.
func (r *root) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return errno(r.disk.SyncDir())
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0 // every read and write comes here
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	size, err := n.file.Size()
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(size)
	return errno(err)
}

// Setattr changes nothing: only the file "lock" is ever cut short.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	got, err := n.file.ReadAt(dest, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return fuse.ReadResultData(dest[:got]), errno(err)
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	wrote, err := n.file.WriteAt(data, off)
	return uint32(wrote), errno(err)
}

func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, _ uint32) syscall.Errno {
	return errno(n.file.Allocate(int64(off + size)))
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return errno(n.file.Sync())
}

var (
	_ fs.NodeLookuper  = (*root)(nil)
	_ fs.NodeCreater   = (*root)(nil)
	_ fs.NodeReaddirer = (*root)(nil)
	_ fs.NodeRenamer   = (*root)(nil)
	_ fs.NodeUnlinker  = (*root)(nil)
	_ fs.NodeFsyncer   = (*root)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
)
