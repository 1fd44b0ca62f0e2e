package worker

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// longestLine is how much of an error stands in a summary.
const longestLine = 200

// oneLine makes of a text from outside what can stand in a line: no control
// characters, nothing that turns its direction, and not too long.
func oneLine(s string) string {
	cut := len(s) > 4*longestLine
	if cut {
		s = s[:4*longestLine] // what is longer is not worth looking through
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if n := 0; cut || utf8.RuneCountInString(s) > longestLine {
		for i := range s {
			if n == longestLine {
				s = s[:i]
				break
			}
			n++
		}
		s = strings.TrimSpace(s) + " …"
	}
	return s
}

// stackOf is the stack of a panic, "" for any other error.
func stackOf(err error) string {
	var p *PanicError
	if errors.As(err, &p) {
		return p.Stack()
	}
	return ""
}

// short is d for a line: whole seconds from ten of them on.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
