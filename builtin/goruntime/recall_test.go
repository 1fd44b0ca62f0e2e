package goruntime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// children are these tests as programs, with the leak profile and without it, and
// without the race detector, which would only make them slow. TestMain removes them.
var children = map[bool]func() (string, error){
	true:  sync.OnceValues(func() (string, error) { return build("GOEXPERIMENT=goroutineleakprofile") }),
	false: sync.OnceValues(func() (string, error) { return build("GOEXPERIMENT=") }),
}

var childDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "selfheal-goruntime-") })

func build(env string) (string, error) {
	dir, err := childDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, env+".exe")
	cmd := exec.Command("go", "test", "-c", "-o", bin, ".")
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c with %s: %w: %s", env, err, out)
	}
	return bin, nil
}

func program(t *testing.T, profile bool) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		missing(t, "the go command, to build its children with")
	}
	bin, err := children[profile]()
	require.NoError(t, err)
	return bin
}

// missing skips a test that needs what this machine has not, or fails it where
// everything has to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// visitAll runs each visit in a child of its own, as many at once as there are
// processors.
func visitAll(t *testing.T, bin string, visits []visit) []visit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	all := make([]visit, len(visits))
	queue := make(chan int)
	var workers sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range queue {
				spec, err := json.Marshal(visits[i])
				cmd := exec.CommandContext(ctx, bin)
				cmd.Env = append(os.Environ(), childEnv+"=visit", visitEnv+"="+string(spec))
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				if err == nil {
					err = cmd.Run()
				}
				if err == nil {
					err = json.Unmarshal(out.Bytes(), &all[i])
				}
				if err != nil {
					all[i].Program, all[i].Err = visits[i].Program, fmt.Sprintf("%v %.2000s", err, &errs)
				}
			}
		})
	}
	for i := range visits {
		queue <- i
	}
	close(queue)
	workers.Wait()
	for _, v := range all {
		require.Empty(t, v.Err, v)
	}
	return all
}

var profiles = map[string]bool{"with the profile": true, "without": false}

// What leaks is found and what does not is not accused, measured on real goroutines
// for hours of a clock that is set. See -v for the table.
func TestRecallAndFalseAlarms(t *testing.T) {
	t.Parallel()
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			var table bytes.Buffer
			all := visitAll(t, program(t, profile), append(leakVisits(profile), healthyVisits(profile)...))
			judgeLeaks(t, &table, slices.DeleteFunc(slices.Clone(all), func(v visit) bool { return v.Gap == 0 }))
			judgeHealthy(t, &table, slices.DeleteFunc(all, func(v visit) bool { return v.Gap > 0 }))
			t.Logf("\n%s", &table)
		})
	}
}

// How often a program leaks, and amid what; SELFHEAL_LONG=1 tries each with each.
func leakVisits(profile bool) (visits []visit) {
	long := os.Getenv("SELFHEAL_LONG") == "1"
	for i, p := range slices.Sorted(maps.Keys(leaks)) {
		for _, gap := range []int{1, 10, 60} {
			for _, busy := range []bool{false, true} {
				usual := busy == (gap == 10) || p == "subscriber"
				if profile && !leaks[p].proof {
					usual = gap == 1 && !busy // what cannot be proven is suspected as without
				}
				if usual || long {
					visits = append(visits, visit{Program: p, Gap: gap, Busy: busy, Seed: uint64(i), Hours: 6})
				}
			}
		}
	}
	return visits
}

// Healthy programs are watched by a detector alone and by that of the watch, which
// is not as easily alarmed.
func healthyVisits(profile bool) (visits []visit) {
	long := os.Getenv("SELFHEAL_LONG") == "1"
	hours, seeds := 2.0, uint64(1)
	if long {
		hours, seeds = 24, 5
	}
	if profile {
		hours = 0.25 // for the proofs; suspicions are as without
	}
	for _, p := range slices.Sorted(maps.Keys(healthy)) {
		for seed := range seeds {
			v := visit{Program: p, Seed: seed, Hours: hours}
			watch, busy := v, v
			watch.Options = Options{}.effective().Leak
			busy.Busy, busy.Hours = true, hours/4
			visits = append(visits, v)
			if long || !profile {
				visits = append(visits, watch, busy)
			}
		}
	}
	return visits
}

func judgeLeaks(t *testing.T, out *bytes.Buffer, all []visit) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "leak\ta goroutine each\tamid\tverdict\tafter\tothers accused\t")
	found, late := 0, time.Duration(0)
	for _, v := range all {
		amid, verdict, after := "quiet", Suspected, v.Suspected
		if v.Busy {
			amid = "traffic"
		}
		if v.Proven > 0 {
			verdict, after = Proven, v.Proven
		}
		assert.Positive(t, after, "%s each %d s amid %s is missed", v.Program, v.Gap, amid)
		assert.Equal(t, v.asked(), v.Proven > 0, "%s each %d s amid %s is %s", v.Program, v.Gap, amid, verdict)
		assert.Empty(t, v.WrongProof, v.Program)
		if after > 0 {
			found, late = found+1, max(late, after)
		}
		fmt.Fprintf(w, "%s\t%d s\t%s\t%s\t%v\t%d\t\n", v.Program, v.Gap, amid, verdict, after, len(v.Wrong))
	}
	_ = w.Flush()
	fmt.Fprintf(out, "recall: %d of %d leaks, the last after %v\n\n", found, len(all), late)
}

// mayBeSuspected are healthy programs that rise for minutes or hours before they
// show that they do not go on: for how much of 2 h by a detector alone, and by that
// of the watch.
var mayBeSuspected = map[string][2]float64{
	"elastic pool": {0.3, 0}, "sawtooth pool": {0.2, 0.1}, "batch fed slowly": {0.1, 0}, "traffic": {0.2, 0},
	"ramp of 10 min": {0.2, 0}, "ramp of 1 h": {0.9, 0.9}, "saturates in 5 min": {0.1, 0.1}, "saturates in 1 h": {0.9, 0.9},
}

func judgeHealthy(t *testing.T, out *bytes.Buffer, all []visit) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "healthy\tby\tamid\tproven\tsuspected\tof the time\t")
	var proven int
	runs, alarmed := map[string]int{}, map[string]int{}
	for _, v := range all {
		by, amid, most := "detector", "quiet", mayBeSuspected[v.Program][0]
		if v.Options.MinGrowth != 0 {
			by, most = "watch", mayBeSuspected[v.Program][1]
		}
		if v.Busy {
			amid = "traffic"
		}
		share := v.WrongFor.Hours() / v.Hours
		assert.Empty(t, v.WrongProof, "%s amid %s is called proven", v.Program, amid)
		if !v.Busy && v.Hours >= 2 { // of less the share says nothing
			assert.LessOrEqual(t, share, most, "%s by the %s: %q", v.Program, by, v.Wrong)
		}
		proven += len(v.WrongProof)
		runs[by]++
		if len(v.Wrong) > 0 {
			alarmed[by]++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%.1f %%\t\n", v.Program, by, amid, len(v.WrongProof), len(v.Wrong), 100*share)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "false alarms: %d proven; a site suspected for a while by a detector alone in %d of %d runs, by the watch in %d of %d\n",
		proven, alarmed["detector"], runs["detector"], alarmed["watch"], runs["watch"])
}
