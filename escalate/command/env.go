package command

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
)

// maxValue bounds one value in bytes. The kernel refuses to start a program at
// all when one is too long, and a long summary must not keep people from being
// told.
const maxValue = 4 << 10

// environment is all that the program gets. Names are constants or from code;
// only values are from the notification.
func environment(c Config, m escalate.Notification) []string {
	in := m.Incident
	env := make([]string, 0, 17+len(c.Env)+len(c.Set))
	set := func(name, value string) { env = append(env, reserved+name+"="+clean(value)) }
	set("NOTIFICATION", m.ID)
	set("DEDUP_KEY", m.DedupKey)
	set("KIND", m.Kind.String())
	set("REPEAT", strconv.Itoa(m.Repeat))
	set("BEGAN_AND_ENDED", strconv.FormatBool(m.BeganAndEnded))
	set("TITLE", m.Title())
	set("TEXT", m.Text())
	set("INCIDENT", in.ID)
	set("SERVICE", in.Service)
	set("WATCH", in.Watch)
	set("KEY", in.Finding.Key)
	set("SEVERITY", in.Finding.Severity.String())
	set("SUMMARY", in.Finding.Summary)
	set("STATE", string(in.State))
	set("REASON", string(in.Reason))
	set("PROPOSAL", in.Proposal)
	set("RUNBOOK", in.Runbook)
	for _, n := range c.Env {
		if v, ok := os.LookupEnv(n); ok {
			env = append(env, n+"="+v)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.Set)) {
		env = append(env, n+"="+string(c.Set[n]))
	}
	return env
}

// clean makes text of anybody fit for the value of a variable.
func clean(s string) string {
	if len(s) > 2*maxValue { // before it is copied, and again when it has grown
		s = s[:2*maxValue]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if len(s) <= maxValue {
		return s
	}
	end := maxValue
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// hide takes the values that we gave the program out of what it said. The longest
// go first, so that none survives as the rest of another.
func hide(s string, set map[string]escalate.Secret) string {
	const least = 4
	values := slices.SortedFunc(maps.Values(set), func(a, b escalate.Secret) int { return len(b) - len(a) })
	for _, v := range values {
		if len(v) >= least {
			s = strings.ReplaceAll(s, string(v), "***")
		}
	}
	return s
}
