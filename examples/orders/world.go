package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// goroutinesIn counts the goroutines that have a function on their stack, as the
// runtime sees it: "pkg.(*Type).method(".
func goroutinesIn(function string) int {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	n := 0
	for stack := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if bytes.Contains(stack, []byte(function)) {
			n++
		}
	}
	return n
}

// putForeign puts files into the spool directory that are not the service's, and
// returns them with what is in them.
func putForeign(s *stage) (map[string]string, error) {
	spool := filepath.Join(s.dir, "spool")
	files := map[string]string{
		filepath.Join(spool, "README"):                       "ask Ada before you delete anything here",
		filepath.Join(spool, "receipt-1.txt"):                "not a number of ours",
		filepath.Join(spool, "receipt-00000001.txt.bak"):     "a copy that somebody made",
		filepath.Join(spool, "2024", "receipt-00000001.txt"): "in a folder",
		filepath.Join(s.dir, "elsewhere"):                    "what a link leads to",
		filepath.Join(spool, "receipt-00000000.txt"):         "what a link leads to",
	}
	if err := os.Mkdir(filepath.Join(spool, "2024"), 0o700); err != nil {
		return nil, err
	}
	for path, text := range files {
		if path == filepath.Join(spool, "receipt-00000000.txt") {
			if err := os.Symlink(filepath.Join(s.dir, "elsewhere"), path); err != nil {
				return nil, err
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// missing returns the files that are no longer as they were.
func missing(files map[string]string) []string {
	var lost []string
	for path, text := range files {
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			lost = append(lost, filepath.Base(path))
		}
	}
	slices.Sort(lost)
	return lost
}

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}
