package goruntime

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strconv"
)

// leakProfile is the profile by which the runtime proves leaks. It is there in
// programs built with Go 1.27, or with GOEXPERIMENT=goroutineleakprofile and 1.26.
const leakProfile = "goroutineleak"

// group is goroutines that have one stack.
type group struct {
	count int
	stack []uintptr
}

// provable says whether the running program can prove leaks.
func provable() bool { return pprof.Lookup(leakProfile) != nil }

// prove makes the runtime look for leaked goroutines, which takes a cycle of the
// garbage collector, and returns them. The profile's Count would only repeat what
// the last WriteTo found, and its debug=2 stop the world to print every stack.
func prove(buf *bytes.Buffer) ([]group, error) {
	p := pprof.Lookup(leakProfile)
	if p == nil {
		return nil, nil
	}
	buf.Reset()
	if err := p.WriteTo(buf, 1); err != nil {
		return nil, fmt.Errorf("goruntime: leak profile: %w", err)
	}
	groups, err := parseProfile(buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("goruntime: leak profile: %w", err)
	}
	return groups, nil
}

// parseProfile reads the text of a goroutine profile, debug=1: after a heading a
// line "3 @ 0x47e56e 0x41491c" for each stack, then comments for people.
func parseProfile(text []byte) ([]group, error) {
	heading, rest, _ := bytes.Cut(text, []byte("\n"))
	if _, _, ok := bytes.Cut(heading, []byte("profile: total ")); !ok {
		return nil, fmt.Errorf("it begins with %.80q, not with a profile's heading", heading)
	}
	var groups []group
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		number, addresses, ok := bytes.Cut(line, []byte(" @"))
		if !ok || bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		count, err := strconv.Atoi(string(number))
		if err != nil || count < 1 {
			return nil, fmt.Errorf("the line %.80q has no count", line)
		}
		g := group{count: count}
		for _, a := range bytes.Fields(addresses) {
			pc, err := strconv.ParseUint(string(a), 0, strconv.IntSize)
			if err != nil {
				return nil, fmt.Errorf("the line %.80q has the address %.40q", line, a)
			}
			g.stack = append(g.stack, uintptr(pc))
		}
		groups = append(groups, g)
	}
	return groups, nil
}
