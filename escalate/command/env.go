package command

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/process"
)

// environment is all that the program gets. Names are constants or from code;
// only values are from the notification.
func environment(c Config, m escalate.Notification) []string {
	in := m.Incident
	env := make([]string, 0, 17+len(c.Env)+len(c.Set))
	set := func(name, value string) { env = append(env, process.Reserved+name+"="+process.Clean(value)) }
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
	return process.Variables(env, c.Env, c.Set)
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
