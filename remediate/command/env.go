package command

import (
	"strconv"

	"github.com/selfheal-go/selfheal/internal/process"
	"github.com/selfheal-go/selfheal/remediate"
)

// runID names the variable by which processes of one run are found again.
const runID = process.Reserved + "RUN_ID"

// environment is all that the program gets. Names are constants or from code;
// only values are from the request.
func environment(o Options, req remediate.Request, token string) []string {
	f := req.Finding
	env := make([]string, 0, 16+len(o.Env)+len(o.Set))
	set := func(name, value string) { env = append(env, process.Reserved+name+"="+value) }
	env = append(env, runID+"="+token)
	set("INCIDENT", process.Clean(req.Incident))
	set("STEP", process.Clean(req.Step))
	set("PHASE", req.Phase.String())
	set("ATTEMPT", strconv.Itoa(req.Attempt))
	set("TRY", strconv.Itoa(req.Try))
	set("IDEMPOTENCY_KEY", process.Clean(req.Key()))
	set("FENCE", strconv.FormatUint(req.Fence, 10))
	set("KEY", process.Clean(f.Key))
	set("SEVERITY", f.Severity.String())
	set("SUMMARY", process.Clean(f.Summary))
	set("VALUE", strconv.FormatFloat(f.Value, 'g', -1, 64))
	set("LIMIT", strconv.FormatFloat(f.Limit, 'g', -1, 64))
	set("UNIT", process.Clean(f.Unit))
	return process.Variables(env, o.Env, o.Set)
}
