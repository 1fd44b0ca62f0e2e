package process

import (
	"fmt"
	"os"
	"strings"
)

// How says in a few words how a program ended, and what its reader may do next. A
// negative code without a signal is one that nobody knows; if the program was not
// even started, code and signal say nothing.
func How(started bool, code int, signal os.Signal) (how, next string) {
	switch {
	case signal != nil:
		return fmt.Sprintf("ended by signal %v", signal), "see its output"
	case code >= 0:
		return fmt.Sprintf("exit status %d", code), "see its output"
	case started:
		return "nobody knows how it ended", "look for code in this process that reaps children that are not its own"
	}
	return "not started", "check that the file exists, may be executed and fits this machine"
}

// LastLine is the last line of an output that holds a word, at most 200 characters
// of it.
func LastLine(output string) string {
	s := strings.TrimSpace(output)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
