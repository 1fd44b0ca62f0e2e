package receive

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/detect"
)

// State is the level of an alert.
type State uint8

// The states.
const (
	Firing State = iota + 1
	Resolved
	NoData // the sender cannot tell: neither
)

// An Alert is one statement of a sender about one alert.
type Alert struct {
	Name    string
	Alias   string // another name that Alerts may use; "" for none
	State   State
	Finding detect.Finding // its Key is the identity of the alert, and not empty
	// Start is since when it fires, or since when there is no data; End when it
	// was resolved. Both by the sender's clock.
	Start, End time.Time
	// Wide says that NoData is about all alerts of the name.
	Wide bool
	// Again restates whatever is known: no data stays no data.
	Again bool
}

// record is what is known of an alert. It is replaced, never changed, so that a
// view may point into it.
type record struct {
	name       string
	alias      string
	state      State
	finding    detect.Finding
	start, end time.Time
	heard      time.Time // when the sender last vouched for it
	kept       time.Time // what heard was when it was stored
	wide       bool      // NoData for all alerts of the name
	restored   bool      // from the store, and not restated since
	opaque     bool      // from the store, in a form that cannot be read
}

// effect is what a statement does to what is known.
type effect uint8

const (
	older    effect = iota // nothing: it is about an earlier time
	restated               // the same level, vouched for again
	changed
)

// after says what a beside r makes: the new record, or r itself where the
// statement is older. The rules are about the sender's times, never about the
// order of arrival, because senders retry, work in clusters and overtake
// themselves:
//
//   - an alert that fires is resolved by an end at or after its start, whatever
//     start that statement names: clusters merge starts, and move them back;
//   - an alert that was resolved fires again only if it does so since after its
//     end: what began before is the same bout, told late or told again;
//   - of two of one kind the later says what is in the finding, and both vouch
//     for the level.
func (r *record) after(a *Alert, now time.Time) (*record, effect) {
	next := &record{name: a.Name, alias: a.Alias, wide: a.Wide, state: a.State, finding: a.Finding, start: a.Start, end: a.End, heard: now}
	if r == nil || r.opaque {
		return next, changed
	}
	next.kept = r.kept
	if a.Again && r.state == NoData {
		next.state, next.finding = NoData, r.finding
	}
	switch {
	case r.state == Firing && next.state == Firing:
		if a.Start.Before(r.start) {
			next = r.again(now)
		}
	case r.state == Firing && next.state == Resolved:
		if a.End.Before(r.start) {
			return r, older
		}
		next.finding = r.finding
	case r.state == Resolved && next.state == Resolved:
		if a.End.Before(r.end) {
			next = r.again(now)
		}
		return next, restated
	case r.state == Resolved:
		if a.Start.Before(r.end) || a.Start.Equal(r.end) && !a.Start.After(r.start) {
			return r, older
		}
	case r.state == NoData && next.state == Firing:
		if a.Start.Before(r.start) {
			return r, older
		}
	case r.state == NoData && next.state == Resolved:
		if a.End.Before(r.start) {
			return r, older
		}
	case next.state == NoData:
		if a.Start.Before(r.start) {
			return r, older
		}
		next.finding = r.finding // what was known last is what is stale now
	}
	if next.state == r.state && next.name == r.name && next.alias == r.alias && !r.restored && same(&next.finding, &r.finding) {
		next.finding = r.finding
		return next, restated
	}
	return next, changed
}

// again is r, vouched for now.
func (r *record) again(now time.Time) *record {
	next := *r
	next.heard, next.restored = now, false
	return &next
}

func same(a, b *detect.Finding) bool {
	return a.Severity == b.Severity && a.Summary == b.Summary && a.Value == b.Value && a.Limit == b.Limit && a.Unit == b.Unit &&
		maps.Equal(a.Labels, b.Labels) && slices.EqualFunc(a.Evidence, b.Evidence, slog.Attr.Equal)
}

// OneLine folds a text into one line and drops what a terminal would obey.
func OneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || !unicode.IsPrint(r) && r != ' ' }) {
		return strings.TrimSpace(s)
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// Cut shortens a text to so many bytes, between characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const dots = "…"
	n -= len(dots)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + dots
}

func cutValue(e slog.Attr) slog.Value {
	if e.Value.Kind() != slog.KindString || len(e.Value.String()) <= maxEvidence {
		return e.Value
	}
	return slog.StringValue(Cut(e.Value.String(), maxEvidence))
}

// Evidence collects texts that are not empty.
func Evidence(pairs ...string) []slog.Attr {
	var all []slog.Attr
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, slog.String(pairs[i], pairs[i+1]))
		}
	}
	return all
}

// SeverityOf reads the words that alerts use. What is unknown is a warning.
func SeverityOf(word string) detect.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical", "crit", "page", "emergency", "fatal", "disaster", "p1", "sev1":
		return detect.Critical
	}
	return detect.Warning
}

// Fingerprint is the identity that Prometheus gives to a set of labels: the
// 64-bit FNV-1a hash over names and values in the order of names, each followed
// by the byte 255 (prometheus/common, model.LabelSet.Fingerprint).
func Fingerprint(labels map[string]string) string {
	const offset, prime = 14695981039346656037, 1099511628211
	sum := uint64(offset)
	add := func(s string) {
		for i := range len(s) {
			sum = (sum ^ uint64(s[i])) * prime
		}
		sum = (sum ^ 255) * prime
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		add(name)
		add(labels[name])
	}
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[sum>>(60-4*i)&15]
	}
	return string(b[:])
}

// ParseTime reads RFC 3339. The zero time and the year 1, which Go senders write
// for "not yet", are zero.
func ParseTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, false
	}
	if t.Year() <= 1 {
		return time.Time{}, true
	}
	return t, true
}

// NotAfter bounds a sender's time by the arrival of what says it: a time of the
// future would make everything older that is said until then.
func NotAfter(t, came time.Time) time.Time {
	if t.After(came) {
		return came
	}
	return t
}
