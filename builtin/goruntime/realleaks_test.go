package goruntime

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// found is what the patient program reports.
type found struct {
	At                    time.Duration
	Key, Verdict, Summary string
	Value                 float64
	Function, File        string
	End                   bool
	Goroutines            int
	Stopped, Ran          time.Duration
}

// build builds the patient program, with and without the leak profile.
func build(t *testing.T, profile bool) string {
	t.Helper()
	bin := t.TempDir() + "/patient.exe"
	cmd := exec.Command("go", "build", "-o", bin, "./testdata/patient")
	cmd.Env = os.Environ()
	if profile {
		cmd.Env = append(cmd.Env, "GOEXPERIMENT=goroutineleakprofile")
	} else {
		cmd.Env = append(cmd.Env, "GOEXPERIMENT=")
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// observed is what the patient said: its verdicts by site, and its last line.
type observed struct {
	leaks map[string]found
	end   found
	err   error
}

// observe runs patients beside each other, one for each list of arguments: they
// wait for most of their time.
func observe(bin string, args ...[]string) []observed {
	all := make([]observed, len(args))
	var runs sync.WaitGroup
	for i, a := range args {
		runs.Go(func() { all[i] = observeOne(bin, a) })
	}
	runs.Wait()
	return all
}

func observeOne(bin string, args []string) observed {
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	o := observed{leaks: map[string]found{}}
	out, err := exec.CommandContext(ctx, bin, args...).Output()
	if o.err = err; err != nil {
		return o
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var f found
		if o.err = d.Decode(&f); o.err != nil {
			return o
		}
		if f.End {
			o.end = f
			continue
		}
		if old, ok := o.leaks[f.Key]; !ok || old.Verdict == Suspected {
			o.leaks[f.Key] = f
		}
	}
	return o
}

var profiles = map[string]bool{"with the profile": true, "without": false}

// Real goroutines leak in a child, with the leak profile and without it.
func TestRealLeaksAreFound(t *testing.T) {
	cases := []struct {
		do, site string
		proof    bool
	}{
		{"send", "main.init.", true},
		{"receive", "main.wait ", true},
		{"mutex", "main.init.", true},
		{"deadlock", "main.init.", true},
		{"waitgroup-go", "main.init.", true},
		{"deep", "main.dig ", true},
		{"global", "main.init.", false},
		{"sleep", "main.init.", false},
		{"body", "net/http.(*persistConn).readLoop ", false},
	}
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			want := func(proof bool) string {
				if profile && proof {
					return Proven
				}
				return Suspected
			}
			var args [][]string
			for _, c := range cases {
				args = append(args, []string{"-do", c.do, "-every", "100ms", "-window", "300ms", "-shares", "10", "-run", "60s", "-until", want(c.proof)})
			}
			for i, o := range observe(build(t, profile), args...) {
				c := cases[i]
				require.NoError(t, o.err)
				ok := false
				for key, f := range o.leaks {
					require.True(t, c.proof || f.Verdict != Proven, "%s is reachable: %v", c.do, f)
					if f.Verdict != want(c.proof) || !strings.HasPrefix(key, c.site) {
						continue
					}
					ok = true
					require.Contains(t, f.Summary, f.Verdict+" goroutine leak: ")
					require.Contains(t, f.File, ":")
					require.NotEmpty(t, f.Function)
				}
				require.True(t, ok, "%s: no %s leak at %s in %v", c.do, want(c.proof), c.site, o.leaks)
			}
		})
	}
}

func TestRealHealthyProgramsAreNotAccused(t *testing.T) {
	patients := []string{
		"-do quiet", "-do burst -every 50ms", "-do breathing -every 40ms", "-do ramp -every 60ms",
		"-do parked", "-do timers", "-do quiet -idle 10000",
	}
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) {
			var args [][]string
			for _, p := range patients {
				args = append(args, append(strings.Fields(p), "-window", "300ms", "-shares", "10", "-run", "8s"))
			}
			for i, o := range observe(build(t, profile), args...) {
				require.NoError(t, o.err)
				require.Empty(t, o.leaks, patients[i])
				require.True(t, o.end.End)
			}
		})
	}
}
