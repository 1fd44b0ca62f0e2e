package escalate

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/remediate"
)

// Title is the incident in one line: "watch[key]: summary", with the service
// before it where it has a name.
func (in Incident) Title() string {
	var b strings.Builder
	if in.Service != "" {
		b.WriteString(plain(in.Service) + " ")
	}
	b.WriteString(plain(in.Watch))
	if in.Finding.Key != "" {
		b.WriteString("[" + plain(in.Finding.Key) + "]")
	}
	if b.Len() == 0 {
		b.WriteString("incident " + plain(in.ID))
	}
	return b.String() + ": " + in.what()
}

// Text is the incident in lines of plain text, for a person who has not seen it
// before: what is wrong, since when, what was tried and how it ended, what is
// still in force, why a person is called, and what to do next. Times are UTC.
//
// Nothing is escaped for any markup. Strings that come from outside are one
// line each, at most 1,000 characters, without control characters.
func (in Incident) Text() string {
	var t text
	t.line("Incident", in.Title())
	t.line("Wrong", in.what()+" ("+in.Finding.Severity.String()+")")
	t.line("Since", in.since())
	t.list("Tried", in.tried())
	t.list("In force", in.inForce())
	if in.HeldBy != "" && in.Closed.IsZero() {
		t.line("Held by", plain(string(in.HeldBy)))
	}
	if in.Reason != "" {
		t.line("Why you", in.why())
	}
	if in.Proposal != "" && in.Closed.IsZero() {
		t.line("Answer", "approve or reject proposal "+plain(in.Proposal))
	}
	t.list("Symptoms", in.Symptoms)
	t.list("Evidence", in.evidence())
	t.line("Runbook", plain(in.Runbook))
	t.line("Id", plain(in.ID))
	return t.String()
}

// Title is the incident's title after what the notification asks: nothing
// before a trigger, else "update", "approve?" or "resolved". A test says so
// before all that.
func (n Notification) Title() string {
	if n.Test {
		n.Test = false
		return "test: " + n.Title()
	}
	title := n.Incident.Title()
	switch n.Kind {
	case Trigger:
		if n.Repeat > 0 {
			return "again: " + title
		}
		return title
	case Update:
		return "update: " + title
	case Ask:
		return "approve? " + title
	case Resolve:
		if n.BeganAndEnded {
			return "began and ended: " + title
		}
		return "resolved: " + title
	}
	return n.Kind.String() + ": " + title
}

// Text is the title, the note where there is one, and the text of the incident.
func (n Notification) Text() string {
	note := ""
	if n.Note != "" {
		note = plain(n.Note) + "\n"
	}
	return n.Title() + "\n" + note + "\n" + n.Incident.Text()
}

func (in Incident) what() string {
	if s := plain(in.Finding.Summary); s != "" {
		return s
	}
	return "something is wrong"
}

func (in Incident) since() string {
	if in.Opened.IsZero() {
		return ""
	}
	s := stamp(in.Opened)
	if !in.Closed.IsZero() {
		s += ", over at " + stamp(in.Closed) + ", after " + took(in.Opened, in.Closed)
	}
	return s
}

func (in Incident) tried() []string {
	if len(in.Attempts) == 0 {
		return []string{"nothing"}
	}
	lines := make([]string, len(in.Attempts))
	for i, a := range in.Attempts {
		s := fmt.Sprintf("%d. %s: %s", i+1, plain(a.Step), a.Outcome)
		if a.Err != nil {
			s += ": " + plain(errText(a.Err))
		}
		var more []string
		switch {
		case a.Ended.IsZero() && !a.Started.IsZero():
			more = append(more, "since "+stamp(a.Started))
		case !a.Started.IsZero():
			more = append(more, "took "+took(a.Started, a.Ended))
		}
		if a.Tries > 1 {
			more = append(more, fmt.Sprintf("%d tries", a.Tries))
		}
		if a.Undone {
			more = append(more, "undone")
		}
		if len(more) > 0 {
			s += " (" + strings.Join(more, ", ") + ")"
		}
		lines[i] = s
	}
	return lines
}

// inForce lists the measures that nobody has put back yet.
func (in Incident) inForce() []string {
	var lines []string
	for _, a := range in.Attempts {
		switch {
		case a.Undone:
		case a.UndoErr != nil:
			lines = append(lines, plain(a.Step)+": its undo failed: "+plain(errText(a.UndoErr)))
		case a.Owed:
			lines = append(lines, plain(a.Step)+": its undo is owed")
		case a.Outcome == remediate.InForce:
			lines = append(lines, plain(a.Step)+": taken by another incident")
		}
	}
	return lines
}

func (in Incident) why() string {
	s := plain(string(in.Reason))
	detail := plain(in.Detail)
	if detail == "" {
		detail = advice[in.Reason]
	}
	if detail != "" {
		s += ": " + detail
	}
	return s
}

func (in Incident) evidence() []string {
	var lines []string
	for _, e := range in.Evidence {
		s := plain(e.Name)
		if e.Ref != "" {
			s += ": " + plain(e.Ref)
		}
		if e.Bytes > 0 {
			s += fmt.Sprintf(" (%d bytes)", e.Bytes)
		}
		lines = append(lines, s)
	}
	return lines
}

// advice is for incidents without a Detail of their own.
var advice = map[Reason]string{
	Exhausted:   "every step that there is was tried. Find the cause; it is watched until it clears.",
	BreakerOpen: "its playbook has failed again and again and is stopped for a while. Fix the cause or the playbook.",
	Blind:       "its detector has failed for long, so nobody knows how it stands. Repair the detector, and look yourself until then.",
	Worse:       "a step made it worse and nothing else will be tried. Check that the step was put back, then find the cause.",
	Unverified:  "nobody can tell whether the step helped. Look yourself.",
	HeldTooLong: "healing has been forbidden for long. Lift what holds it, or fix it by hand.",
	Storm:       "many are sick at once, which is a shared cause. Look for that first; disruptive steps are stopped.",
	Escalated:   "a step asked for a person.",
	Masking:     "it was healed again and again: the fix hides a bug. Find the bug.",
	Halted:      "healing is halted. Fix it by hand, or resume healing.",
	SafeMode:    "the process restarts again and again, so it only observes. Find out why it dies.",
	Scope:       "a step reaches beyond this process and there is no fleet to permit it. Do it by hand.",
	Rejected:    "a person said no to the step that would be next. Fix it by hand.",
	NoAnswer:    "nobody answered whether the next step may run, which is a no. Fix it by hand.",
	Abandoned:   "a call ignored its context and still runs. It holds what it holds until it returns or the process ends.",
	UndoFailed:  "a temporary measure could not be put back and is still in force. Put it back by hand.",
	UndoOwed:    "a temporary measure still waits to be put back. Put it back by hand if it cannot wait.",
	NobodyTold:  "it has been open for long and nobody knew.",
	TooManyKeys: "the watch finds more keys than it may handle; the rest is only counted. Look for a shared cause, or narrow the watch.",
	Invalid:     "a watch cannot run as it is put together, so nothing is watched there. Correct it.",
}

// text is lines of "Label: value" with the values in one column.
type text struct{ strings.Builder }

const column = 11

func (t *text) line(label, value string) {
	if value == "" {
		return
	}
	if label != "" {
		label += ":"
	}
	fmt.Fprintf(t, "%-*s%s\n", column, label, value)
}

// list ends after 20 values: in a storm there are hundreds of symptoms, and a
// message that is cut by its provider would lose what comes after them.
func (t *text) list(label string, values []string) {
	const most = 20
	if more := len(values) - most; more > 0 {
		values = append(slices.Clone(values[:most]), fmt.Sprintf("and %d more", more))
	}
	for _, v := range values {
		t.line(label, plain(v))
		label = ""
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func took(from, to time.Time) string {
	d := max(to.Sub(from), 0)
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

const longest = 1000

// plain makes a string from outside one harmless line: whoever can write a
// finding must not be able to write a line of ours, or turn the text around.
func plain(s string) string {
	harmful := func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
	}
	if len(s) <= longest && utf8.ValidString(s) && strings.IndexFunc(s, harmful) < 0 {
		return strings.TrimSpace(s)
	}
	if len(s) > 8*longest {
		s = s[:8*longest]
	}
	s = strings.Map(func(r rune) rune {
		if harmful(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest-1]) + "…"
	}
	return s
}

// errText survives an error whose method panics, such as a nil pointer of a
// type of its own.
func errText(err error) (s string) {
	if err == nil {
		return ""
	}
	defer func() {
		if r := recover(); r != nil {
			s = fmt.Sprintf("an error of type %T whose text cannot be had", err)
		}
	}()
	return err.Error()
}
