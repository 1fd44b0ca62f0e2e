//go:build linux && !(amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package disk

import "golang.org/x/sys/unix"

func rawStatfs(path string) func(*unix.Statfs_t) error {
	return func(st *unix.Statfs_t) error { return unix.Statfs(path, st) }
}
