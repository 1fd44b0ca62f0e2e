package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readDeleted lists the descriptors below dir, a few hundred at a time. Only
// what is marked as deleted is asked for its size: asking any other could hang on
// its mount for nothing.
func readDeleted(ctx context.Context, dir string) (deleted, error) {
	f, err := os.Open(dir)
	if err != nil {
		return deleted{}, fmt.Errorf("disk: own descriptors cannot be listed: %w", err)
	}
	defer f.Close()
	var sum deleted
	type file struct{ dev, ino uint64 }
	seen := map[file]bool{}
	link := make([]byte, 4096)
	fd := int(f.Fd())
	for {
		if ctx.Err() != nil {
			return deleted{}, fmt.Errorf("disk: the look at own descriptors was stopped: %w", context.Cause(ctx))
		}
		names, err := f.Readdirnames(256)
		for _, name := range names {
			n, err := unix.Readlinkat(fd, name, link)
			if err != nil || !bytes.HasSuffix(link[:n], []byte(deletedMark)) {
				continue // closed since, or not deleted
			}
			path, ok := deletedTarget(string(link[:n]))
			if !ok {
				continue
			}
			var st unix.Stat_t
			if unix.Fstatat(fd, name, &st, 0) != nil || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue // closed since, or another name keeps it, or no file
			}
			if id := (file{uint64(st.Dev), st.Ino}); seen[id] {
				continue
			} else {
				seen[id] = true
			}
			held := int64(st.Blocks) * 512
			sum.bytes += held
			sum.files++
			if held > sum.most || sum.files == 1 {
				sum.largest, sum.most = path, held
			}
		}
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return deleted{}, fmt.Errorf("disk: own descriptors cannot be listed: %w", err)
		}
	}
}
