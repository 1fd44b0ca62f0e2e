package selfhealtest

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/detect"
)

// The longest key and summary, in characters: notices cut what is longer.
const (
	longestKey     = 500
	longestSummary = 1000
)

// detectorFindingRules are about what a finding says.
func detectorFindingRules() []rule[DetectorFixture] {
	return []rule[DetectorFixture]{
		{
			name: "keys-unique",
			must: "one finding a key",
			fix:  "fold what is wrong with one key into one finding, or tell the keys apart",
			check: func(r *report, f DetectorFixture) {
				s, ok := r.sick(f)
				if !ok {
					return
				}
				count := map[string]int{}
				for _, k := range s.keys() {
					if count[k]++; count[k] == 2 {
						r.breach("two findings of one look have the key %s", quote(k))
					}
				}
			},
		},
		{
			name: "keys-stable",
			must: "a key names what is affected and stays the same from look to look: incidents, cooldowns and silences go by it",
			fix:  "leave times, counts, values and random parts out of the key; they belong into Summary, Value or Evidence",
			check: func(r *report, f DetectorFixture) {
				first, ok := r.sick(f)
				if !ok {
					return
				}
				for range 3 {
					s, ok := r.look(f.Detector)
					if ok && len(s.findings) > 0 && !slices.Equal(s.keys(), first.keys()) {
						r.breach("nothing changed, and the keys were %q and then %q", first.keys(), s.keys())
						return
					}
				}
			},
		},
		{
			name: "keys-printable",
			must: fmt.Sprintf("a key is one short line: valid UTF-8, printable, at most %d characters", longestKey),
			fix:  "name the thing as people name it, and quote or hash what comes from outside",
			check: func(r *report, f DetectorFixture) {
				r.each(f, func(x detect.Finding) {
					if why := unprintable(x.Key, longestKey); why != "" {
						r.breach("the key %s %s", quote(x.Key), why)
					}
				})
			},
		},
		{
			name: "summary",
			must: fmt.Sprintf("a summary is one line for a person: not empty, valid UTF-8, printable, at most %d characters", longestSummary),
			fix:  "say what is wrong in a sentence; put dumps and details into Evidence",
			check: func(r *report, f DetectorFixture) {
				r.each(f, func(x detect.Finding) {
					if strings.TrimSpace(x.Summary) == "" {
						r.breach("the finding of key %s has no summary", quote(x.Key))
					} else if why := unprintable(x.Summary, longestSummary); why != "" {
						r.breach("the summary %s %s", quote(x.Summary), why)
					}
				})
			},
		},
		{
			name: "numbers",
			must: "Value and Limit are finite: how far off a value is decides whether a step made it worse",
			fix:  "a reading that is no number is blind: return an error",
			check: func(r *report, f DetectorFixture) {
				r.each(f, func(x detect.Finding) {
					for _, v := range []float64{x.Value, x.Limit} {
						if math.IsNaN(v) || math.IsInf(v, 0) {
							r.breach("the finding of key %s has Value %v and Limit %v", quote(x.Key), x.Value, x.Limit)
							return
						}
					}
				})
			},
		},
		{
			name: "severity",
			must: "a severity is Warning or Critical",
			fix:  "use the constants of package detect",
			check: func(r *report, f DetectorFixture) {
				r.each(f, func(x detect.Finding) {
					if x.Severity > detect.Critical {
						r.breach("the finding of key %s has the severity %d", quote(x.Key), uint8(x.Severity))
					}
				})
			},
		},
		{
			name: "kept",
			must: "what a finding points to is not changed once it was returned: incidents keep it and other goroutines read it",
			fix:  "make new Labels and Evidence for each look that changes them",
			check: func(r *report, f DetectorFixture) {
				s, ok := r.sick(f)
				if !ok {
					return
				}
				before := make([]string, len(s.findings))
				for i, x := range s.findings {
					before[i] = pointsTo(x)
				}
				for range 3 {
					r.look(f.Detector)
				}
				f.Heal()
				r.until(f, seen.well)
				r.sick(f)
				for i, x := range s.findings {
					if after := pointsTo(x); after != before[i] {
						r.breach("later looks changed a finding that was returned before, from %s to %s", quote(before[i]), quote(after))
						return
					}
				}
			},
		},
	}
}

// each is for rules about every finding of a sick detector.
func (r *report) each(f DetectorFixture, check func(detect.Finding)) {
	if s, ok := r.sick(f); ok {
		for _, x := range s.findings {
			check(x)
		}
	}
}

// unprintable says why s cannot stand in a line.
func unprintable(s string, most int) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return fmt.Sprintf("contains %q", c)
		}
	}
	if n := utf8.RuneCountInString(s); n > most {
		return fmt.Sprintf("has %d characters", n)
	}
	return ""
}

// pointsTo writes down what a copy of f shares with the original.
func pointsTo(f detect.Finding) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(f.Labels)) {
		fmt.Fprintf(&b, "%s=%s ", k, f.Labels[k])
	}
	for _, a := range f.Evidence {
		fmt.Fprintf(&b, "%s ", slog.Attr.String(a))
	}
	return b.String()
}
