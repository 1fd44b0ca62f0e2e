package console

import (
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// functions are what the templates may call.
func functions() template.FuncMap {
	return template.FuncMap{
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"wall":  wall, "dur": short, "name": name, "rung": rung, "waits": waits, "web": web, "size": size,
		"short":   func(s string) string { return s[:min(len(s), 12)] },
		"span":    func(from, to time.Time) string { return short(to.Sub(from)) },
		"slug":    func(s string) string { return strings.ReplaceAll(s, " ", "-") },
		"join":    func(s []string) string { return strings.Join(s[:min(len(s), 20)], ", ") },
		"matches": matches,
	}
}

// clock is a moment for people, who may be anywhere.
func clock(t time.Time) string { return wall(t) + " UTC" }

// wall is a moment on the page, in UTC. The script writes it in the reader's zone and
// in the same form, so that nothing moves.
func wall(t time.Time) string {
	t = t.UTC()
	if time.Since(t).Abs() > 20*time.Hour {
		return t.Format("2006-01-02 15:04")
	}
	return t.Format("15:04:05")
}

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// name is a watch with its key in brackets, if it has one.
func name(watch, key string) string {
	if key == "" {
		return watch
	}
	return watch + "[" + key + "]"
}

// rung says how a rung stands.
func rung(r Rung) string {
	switch r.State {
	case "done":
		return r.Outcome
	case "current":
		return "now"
	case "vetoed":
		return "vetoed by name"
	case "held":
		return "held"
	case "next":
		return "next"
	}
	return ""
}

// waits says what the moment is that an incident waits for.
func waits(state string) string {
	switch state {
	case "pending":
		return "acts if it lasts"
	case "settling":
		return "given time to show"
	case "verifying":
		return "looked at again"
	case "clearing":
		return "well; closes if it stays so"
	case "asking":
		return "waits for an answer"
	case "acting":
		return "the step is running"
	}
	return "next moment"
}

// web is an address that a reader may follow; "" for anything else.
func web(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return s
}

// glob matches a name and little else: a star in it becomes a ?, which matches it
// too.
func glob(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '*' {
			return '?'
		}
		return r
	}, s)
}

// matches says what a silence matches.
func matches(s Silence) string {
	var parts []string
	if s.Watch != "" {
		parts = append(parts, s.Watch)
	}
	if s.Key != "" {
		parts = append(parts, "key "+s.Key)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, k+"="+s.Labels[k])
	}
	return strings.Join(parts, ", ")
}
