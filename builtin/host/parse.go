package host

import (
	"bytes"
	"fmt"
	"math"
)

// unlimited is what a limit is that does not bind: cgroup v2 says "max", limits(5)
// "unlimited", cgroup v1 a number that no machine has.
const unlimited = math.MaxUint64

var (
	newline = []byte("\n")
	someTag = []byte("some ")
	fullTag = []byte("full ")
	totalIs = []byte(" total=")
)

// parseUint is strconv.ParseUint without the string.
func parseUint(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, len(text) > 0
}

// parseLimit reads a file that holds a number or "max".
func parseLimit(text []byte) (uint64, error) {
	text = bytes.TrimSpace(text)
	if string(text) == "max" {
		return unlimited, nil
	}
	n, ok := parseUint(text)
	if !ok {
		return 0, fmt.Errorf("host: %.40q is no number", text)
	}
	if n >= 1<<60 {
		return unlimited, nil
	}
	return n, nil
}

// parseField finds "name 123" in a file of such lines: cpu.stat, memory.stat,
// memory.events, memory.oom_control, vmstat.
func parseField(text []byte, name string) (uint64, bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, newline)
		if len(line) > len(name) && line[len(name)] == ' ' && string(line[:len(name)]) == name {
			return parseUint(bytes.TrimSpace(line[len(name)+1:]))
		}
	}
	return 0, false
}

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
		n, ok := parseUint(line[at+len(totalIs):])
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
			return unlimited, nil
		}
		if n, ok := parseUint(soft); ok {
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
		if n[i], ok = parseUint(text[:end]); !ok {
			return 0, 0, fmt.Errorf("host: the host's file table cannot be read: three numbers are expected")
		}
		text = text[end:]
	}
	return n[0] - min(n[1], n[0]), n[2], nil
}
