package dependency

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"
)

// badName says why a name cannot stand in a key, a line or a timeline.
func badName(name string) string {
	switch {
	case !utf8.ValidString(name) || len(name) > 400:
		return "is longer than 400 bytes or not UTF-8: use letters, digits and dashes"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a space: trim it"
	case strings.ContainsAny(name, "[]"):
		return "has a bracket: use letters, digits and dashes"
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("contains %q: use letters, digits and dashes", r)
		}
	}
	return ""
}

// reason is what an error says in one line that stays the same while the fault
// does: without the port that the kernel chose for this one connection.
func reason(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Source != nil && op.Err != nil {
		stable := *op
		stable.Source = nil
		text = strings.ReplaceAll(text, op.Error(), stable.Error())
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text)
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	if text == "" {
		return "it failed without saying why"
	}
	return text
}
