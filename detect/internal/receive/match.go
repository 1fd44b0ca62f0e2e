package receive

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A matcher is one condition on the labels of an alert.
type matcher struct {
	label  string
	value  string
	re     *regexp.Regexp // instead of value
	negate bool
}

// parseMatch reads label=value, label!=value, label=~regexp and label!~regexp.
// Either side may be quoted as Go quotes strings. A label that is missing reads
// "", as with Prometheus; a regexp must match the whole value.
func parseMatch(s string) (m matcher, err error) {
	wrong := func(why string) (matcher, error) {
		return m, fmt.Errorf("match %q: %s: write label=value, label!=value, label=~regexp or label!~regexp", s, why)
	}
	rest := strings.TrimSpace(s)
	if strings.HasPrefix(rest, `"`) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return wrong("its label has no closing quote")
		}
		m.label, _ = strconv.Unquote(quoted)
		rest = strings.TrimSpace(rest[len(quoted):])
	} else if i := strings.IndexAny(rest, "=!"); i >= 0 {
		m.label = strings.TrimSpace(rest[:i])
		rest = rest[i:]
	} else {
		return wrong("it has no operator")
	}
	if m.label == "" || strings.ContainsAny(m.label, " \t\n{}\",~") && !strings.HasPrefix(strings.TrimSpace(s), `"`) {
		return wrong("its label is none")
	}
	pattern := false
	switch {
	case strings.HasPrefix(rest, "=~"):
		pattern, rest = true, rest[2:]
	case strings.HasPrefix(rest, "!~"):
		pattern, m.negate, rest = true, true, rest[2:]
	case strings.HasPrefix(rest, "!="):
		m.negate, rest = true, rest[2:]
	case strings.HasPrefix(rest, "="):
		rest = rest[1:]
	default:
		return wrong("its operator is none")
	}
	if strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "~") {
		return wrong("its operator is none; quote a value that begins like one")
	}
	m.value = strings.TrimSpace(rest)
	if strings.HasPrefix(m.value, `"`) {
		if m.value, err = strconv.Unquote(m.value); err != nil {
			return wrong("its value has no closing quote")
		}
	}
	if pattern {
		if m.re, err = regexp.Compile("^(?:" + m.value + ")$"); err != nil {
			return wrong(err.Error())
		}
	}
	return m, nil
}

func (m *matcher) holds(labels map[string]string) bool {
	v := labels[m.label]
	if m.re != nil {
		return m.re.MatchString(v) != m.negate
	}
	return (v == m.value) != m.negate
}

// parseMatches reads all of them and reports every mistake.
func parseMatches(all []string) ([]matcher, error) {
	var ms []matcher
	var errs []error
	for _, s := range all {
		m, err := parseMatch(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ms = append(ms, m)
	}
	return ms, errors.Join(errs...)
}
