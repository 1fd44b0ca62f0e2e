// Package fusetest cuts the power of a file system under a real process: a FUSE
// server keeps its files in package simfs, and a child of the test counts in a
// journal on the mount, through the kernel and the journal's own file code. It is
// a module of its own because go-fuse is nobody else's business:
//
//	cd internal/journal/fusetest && GOWORK=off go test ./...
//
// It needs Linux, /dev/fuse and the right to mount.
package fusetest
