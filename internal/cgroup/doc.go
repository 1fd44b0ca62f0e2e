// Package cgroup finds the control groups of this process, and reads the numbers
// that the kernel writes into their files and into others of proc and sys.
//
// [Find] reads what the kernel says in /proc/self: which group a controller has this
// process in, and where it can be seen, also from within a container. What stands
// in the files is for its callers to know; [Limit], [Field] and [Uint] read them
// without allocating, since it is done every few seconds for the life of a service.
//
// It is a leaf: it imports the standard library only, and every room may use it. All
// of it is safe for concurrent use.
package cgroup
