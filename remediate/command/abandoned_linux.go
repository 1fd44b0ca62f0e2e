package command

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"time"
)

// dying is how long processes that were killed with the group may take to be
// gone before they are called abandoned.
const dying = 500 * time.Millisecond

// abandoned finds the processes that carry the token of a run and still live,
// by their environment: descent cannot be followed once a parent is gone.
func abandoned(token string, group int) []int {
	mark := []byte(runID + "=" + token)
	var found []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && carries(pid, mark) {
			found = append(found, pid)
		}
	}
	pause := time.Millisecond
	for until := time.Now().Add(dying); ; pause *= 2 {
		waits := false
		alive := found[:0]
		for _, pid := range found {
			if state, pgrp := standing(pid); state != 'Z' && state != 'X' && state != 0 && carries(pid, mark) {
				alive = append(alive, pid)
				waits = waits || pgrp == group
			}
		}
		found = alive
		if !waits || time.Now().After(until) {
			return found
		}
		time.Sleep(pause)
	}
}

// carries says whether the environment with which a process was started holds
// the mark. What may not be read is not ours or hides itself: no.
func carries(pid int, mark []byte) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close()
	env, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, mark) {
			return true
		}
	}
	return false
}

// standing reads the state and the process group of a process, 0 when it is gone.
func standing(pid int) (state byte, pgrp int) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	// "pid (name) state ppid pgrp …", where the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 || len(fields[0]) != 1 {
		return 0, 0
	}
	pgrp, err = strconv.Atoi(string(fields[2]))
	if err != nil {
		return 0, 0
	}
	return fields[0][0], pgrp
}
