package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const lockName = "lock"

// A Holder is who has a journal open for writing, as it says of itself in the
// file "lock". After it has ended the file still says so.
type Holder struct {
	PID     int // in its own PID namespace
	Host    string
	Program string
	Since   time.Time // when it opened the journal
}

// String names the holder for a person.
func (h Holder) String() string {
	s := fmt.Sprintf("process %d", h.PID)
	if h.PID == os.Getpid() {
		s = fmt.Sprintf("this process (%d)", h.PID)
	}
	if h.Program != "" {
		s += " (" + h.Program + ")"
	}
	if host, _ := os.Hostname(); h.Host != "" && h.Host != host {
		s += " on host " + h.Host
	}
	if !h.Since.IsZero() {
		s += " since " + h.Since.UTC().Format(time.RFC3339)
	}
	return s
}

func (h Holder) text() string {
	return fmt.Sprintf("pid %d\nhost %s\nprogram %s\nsince %s\n", h.PID, h.Host, h.Program, h.Since.UTC().Format(time.RFC3339))
}

// parseHolder takes what it understands.
func parseHolder(text string) (h Holder) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "pid":
			if pid, err := strconv.Atoi(value); err == nil && pid > 0 {
				h.PID = pid
			}
		case "host":
			h.Host = value
		case "program":
			h.Program = value
		case "since":
			h.Since, _ = time.Parse(time.RFC3339, value)
		}
	}
	return h
}

var errLocked = errors.New("locked")

// lock takes the directory for this process alone, or says who has it.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, advised("take the lock", err)
		}
		err = flock(f)
		if errors.Is(err, errLocked) {
			text := make([]byte, 4096)
			n, _ := f.ReadAt(text, 0)
			f.Close()
			return nil, &LockedError{Dir: dir, Holder: parseHolder(string(text[:n]))}
		}
		if err != nil {
			f.Close()
			return nil, advised("lock "+path, err)
		}
		if !isLock(dir, f) { // removed between open and lock
			f.Close()
			continue
		}
		host, _ := os.Hostname()
		me := Holder{PID: os.Getpid(), Host: host, Program: filepath.Base(os.Args[0]), Since: time.Now()}
		if err := f.Truncate(0); err == nil { // who it is helps people; the lock holds without
			_, _ = f.WriteAt([]byte(me.text()), 0)
		}
		return f, nil
	}
}

// isLock says whether f is what other processes would lock.
func isLock(dir string, f *os.File) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(filepath.Join(dir, lockName))
	return err == nil && os.SameFile(is, there)
}
