package deliver

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Clean makes a copy of a notification that has JSON: times beyond the years of
// RFC 3339 are left out.
func Clean(n escalate.Notification) escalate.Notification {
	n.At = Time(n.At)
	in := &n.Incident
	in.Opened, in.Closed = Time(in.Opened), Time(in.Closed)
	in.Attempts = slices.Clone(in.Attempts)
	for i := range in.Attempts {
		a := &in.Attempts[i]
		a.Started, a.Ended = Time(a.Started), Time(a.Ended)
	}
	in.Evidence = slices.Clone(in.Evidence)
	for i := range in.Evidence {
		in.Evidence[i].At = Time(in.Evidence[i].At)
	}
	return n
}

// Time is t in UTC, or zero when RFC 3339 has no form for it.
func Time(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// DedupKey is the key of the notification's incident, as [Key] makes it.
func DedupKey(n escalate.Notification, most int) string {
	for _, s := range []string{n.DedupKey, n.Incident.ID, n.ID} {
		if s != "" {
			return Key(s, most)
		}
	}
	return "selfheal"
}

// AskKey is the key under which a question is asked. It is not that of the
// incident: where people have acknowledged the question, a later call under the
// same key would reach nobody.
func AskKey(dedupKey string, most int) string { return Key(dedupKey+"/ask", most) }

const (
	longestHref = 2000
	mostLinks   = 20
)

// Links are the addresses that a person can follow: those of the notification,
// the runbook and the evidence, in this order, 20 at most. Only absolute http and
// https addresses of at most 2,000 bytes are among them; the text of the incident
// names runbook and evidence in any case.
func Links(n escalate.Notification) []escalate.Link {
	var links []escalate.Link
	add := func(text, href string) {
		if len(links) < mostLinks && IsWeb(href) {
			if text = excerpt(text); text == "" {
				text = "link"
			}
			links = append(links, escalate.Link{Text: text, Href: href})
		}
	}
	for _, l := range n.Links {
		add(l.Text, l.Href)
	}
	add("Runbook", n.Incident.Runbook)
	for _, e := range n.Incident.Evidence {
		add("Evidence: "+e.Name, e.Ref)
	}
	return links
}

// IsWeb says whether s is an absolute http or https address that every provider
// takes.
func IsWeb(s string) bool {
	if len(s) > longestHref || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\^`{|}", r) }) {
		return false
	}
	_, err := Address("", s)
	return err == nil
}

// Details are names and values of a notification, for providers that have a
// table of them. With less room than they need, labels are left out from the end,
// values cut, and "cut" says so.
func Details(n escalate.Notification, room int) map[string]string {
	in := n.Incident
	f := in.Finding
	all := map[string]string{}
	cut := false
	set := func(name, value string) {
		if value == "" {
			return
		}
		short := Cut(value, 1000)
		cut = cut || short != value
		if room -= len(name) + len(short); room < 0 {
			cut = true
			return
		}
		all[name] = short
	}
	set("incident", in.ID)
	set("notification", n.ID)
	set("watch", in.Watch)
	set("key", f.Key)
	set("service", in.Service)
	set("severity", f.Severity.String())
	set("state", string(in.State))
	set("reason", string(in.Reason))
	set("proposal", in.Proposal)
	set("note", n.Note)
	if f.Value != 0 || f.Limit != 0 {
		set("value", number(f.Value, f.Unit))
		set("limit", number(f.Limit, f.Unit))
	}
	if n.Repeat > 0 {
		set("repeat", strconv.Itoa(n.Repeat))
	}
	const mostLabels = 50
	for i, name := range slices.Sorted(maps.Keys(f.Labels)) {
		if i == mostLabels {
			cut = true
			break
		}
		set("label "+Cut(name, 100), f.Labels[name])
	}
	if cut {
		all["cut"] = "some details were left out or shortened"
	}
	return all
}

func number(v float64, unit string) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		s = fmt.Sprint(v)
	}
	return strings.TrimSpace(s + " " + Cut(unit, 50))
}
