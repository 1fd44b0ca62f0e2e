package host

import (
	"bytes"
	"fmt"

	"github.com/selfheal-go/selfheal/internal/cgroup"
)

var (
	newline = []byte("\n")
	someTag = []byte("some ")
	fullTag = []byte("full ")
	totalIs = []byte(" total=")
)

// stall is what the kernel says of a pressure file: for how many microseconds some
// tasks, and all of them, were stalled since it was made.
type stall struct{ some, full uint64 }

// parsePressure reads the lines "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and
// "full …" (Documentation/accounting/psi.rst). The latter is missing for the CPU on
// older kernels.
func parsePressure(text []byte) (s stall, err error) {
	found := false
	for rest := text; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, newline)
		at := bytes.LastIndex(line, totalIs)
		if at < 0 {
			continue
		}
		n, ok := cgroup.Uint(line[at+len(totalIs):])
		if !ok {
			continue
		}
		switch {
		case bytes.HasPrefix(line, someTag):
			s.some, found = n, true
		case bytes.HasPrefix(line, fullTag):
			s.full = n
		}
	}
	if !found {
		return stall{}, fmt.Errorf("host: %.40q is no pressure file", text)
	}
	return s, nil
}

var openFiles = []byte("Max open files")

// parseOpenFiles reads the soft limit of "Max open files" in /proc/self/limits.
func parseOpenFiles(text []byte) (uint64, error) {
	for rest := text; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, newline)
		if !bytes.HasPrefix(line, openFiles) {
			continue
		}
		soft := bytes.TrimLeft(line[len(openFiles):], " ")
		if at := bytes.IndexByte(soft, ' '); at >= 0 {
			soft = soft[:at]
		}
		if string(soft) == "unlimited" {
			return cgroup.Unlimited, nil
		}
		if n, ok := cgroup.Uint(soft); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("host: the limits of the process say no number of open files")
}

// parseFileTable reads /proc/sys/fs/file-nr: allocated, unused and most file
// handles of the host, with tabs between (proc(5)).
func parseFileTable(text []byte) (used, most uint64, err error) {
	var n [3]uint64
	for i := range n {
		text = bytes.TrimLeft(text, " \t")
		end := bytes.IndexAny(text, " \t\n")
		if end < 0 {
			end = len(text)
		}
		var ok bool
		if n[i], ok = cgroup.Uint(text[:end]); !ok {
			return 0, 0, fmt.Errorf("host: the host's file table cannot be read: three numbers are expected")
		}
		text = text[end:]
	}
	return n[0] - min(n[1], n[0]), n[2], nil
}
