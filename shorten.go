package selfheal

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
)

// Bounds of what is told and written down of one incident. A record that is larger
// than the journal takes could not be written at all, and what is not on record does
// not run: an application's text, such as what a command printed, must not decide
// that.
const (
	longestText  = 4 << 10 // of a summary, a detail, an error
	longestValue = 512     // of a label or of what was seen
	mostValues   = 64
)

const wasCut = " … (cut)"

// short is s in most bytes, and says so where some are missing.
func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	cut := most - len(wasCut)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimRight(s[:cut], " \n") + wasCut
}

// raw is how many times longer a text may be before it is searched for credentials:
// one that the first cut parts lies far behind the second.
const raw = 16

// shortened bounds the texts of an incident, by so many times what holds in the end.
// in is left as it is.
func shortened(in escalate.Incident, times int) escalate.Incident {
	text, value := longestText*times, longestValue*times
	f := &in.Finding
	f.Summary, in.Detail, in.Runbook = short(f.Summary, text), short(in.Detail, text), short(in.Runbook, text)
	f.Labels = fewLabels(f.Labels, value)
	left := max(len(f.Evidence)-mostValues, 0)
	f.Evidence = slices.Clone(f.Evidence[:len(f.Evidence)-left])
	for n, a := range f.Evidence {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindString, slog.KindAny, slog.KindGroup:
			if text := v.String(); len(text) > value {
				f.Evidence[n].Value = slog.StringValue(short(text, value))
			}
		}
	}
	in.Attempts = slices.Clone(in.Attempts)
	for n := range in.Attempts {
		a := &in.Attempts[n]
		a.Err, a.UndoErr = shortError(a.Err, text), shortError(a.UndoErr, text)
	}
	in.Symptoms = slices.Clone(in.Symptoms)
	for n := range in.Symptoms {
		in.Symptoms[n] = short(in.Symptoms[n], value)
	}
	return in
}

func fewLabels(all map[string]string, most int) map[string]string {
	long := len(all) > mostValues
	for k, v := range all {
		long = long || len(k) > most || len(v) > most
	}
	if !long {
		return all
	}
	few := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(all))[:min(len(all), mostValues)] {
		few[short(k, most)] = short(all[k], most)
	}
	return few
}

// tooLong is an error whose text was cut.
type tooLong struct {
	error
	text string
}

func (e *tooLong) Error() string { return e.text }
func (e *tooLong) Unwrap() error { return e.error }

func shortError(err error, most int) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= most {
		return err
	}
	return &tooLong{err, short(text, most)}
}
