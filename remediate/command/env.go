package command

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/remediate"
)

// maxValue bounds one value in bytes. The kernel refuses to start a program at
// all when one is too long, and a long summary must not keep a fix from running.
const maxValue = 4 << 10

// runID names the variable by which processes of one run are found again.
const runID = reserved + "RUN_ID"

// environment is all that the program gets. Names are constants or from code;
// only values are from the request.
func environment(o Options, req remediate.Request, token string) []string {
	f := req.Finding
	env := make([]string, 0, 16+len(o.Env)+len(o.Set))
	set := func(name, value string) { env = append(env, reserved+name+"="+value) }
	env = append(env, runID+"="+token)
	set("INCIDENT", clean(req.Incident))
	set("STEP", clean(req.Step))
	set("PHASE", req.Phase.String())
	set("ATTEMPT", strconv.Itoa(req.Attempt))
	set("TRY", strconv.Itoa(req.Try))
	set("IDEMPOTENCY_KEY", clean(req.Key()))
	set("FENCE", strconv.FormatUint(req.Fence, 10))
	set("KEY", clean(f.Key))
	set("SEVERITY", f.Severity.String())
	set("SUMMARY", clean(f.Summary))
	set("VALUE", strconv.FormatFloat(f.Value, 'g', -1, 64))
	set("LIMIT", strconv.FormatFloat(f.Limit, 'g', -1, 64))
	set("UNIT", clean(f.Unit))
	for _, n := range o.Env {
		if v, ok := os.LookupEnv(n); ok {
			env = append(env, n+"="+v)
		}
	}
	for _, n := range sortedKeys(o.Set) {
		env = append(env, n+"="+o.Set[n])
	}
	return env
}

// clean makes text of anybody fit for the value of a variable.
func clean(s string) string {
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

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
