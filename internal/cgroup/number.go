package cgroup

import (
	"bytes"
	"fmt"
	"math"
)

// Unlimited is what a limit is that does not bind: version 2 says "max", version 1 a
// number that no machine has.
const Unlimited = math.MaxUint64

// Uint is strconv.ParseUint in base 10 without the string. It refuses the last
// six numbers below 2⁶⁴.
func Uint(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, len(text) > 0
}

// Limit reads a file that holds a number or "max". 2⁶⁰ and more is [Unlimited].
func Limit(text []byte) (uint64, error) {
	text = bytes.TrimSpace(text)
	if string(text) == "max" {
		return Unlimited, nil
	}
	n, ok := Uint(text)
	if !ok {
		return 0, fmt.Errorf("%.40q is no number", text)
	}
	if n >= 1<<60 {
		return Unlimited, nil
	}
	return n, nil
}

// Field finds "name 123" in a file of such lines: cpu.stat, memory.stat,
// memory.events, memory.oom_control, /proc/vmstat.
func Field(text []byte, name string) (uint64, bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if len(line) > len(name) && line[len(name)] == ' ' && string(line[:len(name)]) == name {
			return Uint(bytes.TrimSpace(line[len(name)+1:]))
		}
	}
	return 0, false
}
