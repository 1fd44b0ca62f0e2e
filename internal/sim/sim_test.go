package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/sim/world"
)

// sound runs a world in which nothing may be broken.
func sound(t *testing.T, seed uint64, hours float64) world.Result {
	t.Helper()
	cfg := world.Config{Seed: seed, Hours: hours}
	r := world.Run(cfg)
	if r.Violation != nil {
		t.Errorf("seed %d, %v hours (add the line to testdata/seeds.txt once it is mended): at %v: %v\n%s",
			seed, hours, r.At, r.Violation, shortest(cfg, 150))
	}
	return r
}

func TestFormerlyFailingSeeds(t *testing.T) {
	f, err := os.Open("testdata/seeds.txt")
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		var seed uint64
		var hours float64
		_, err := fmt.Sscan(line, &seed, &hours)
		require.NoError(t, err, "a line is a seed, hours, and why after #: %s", line)
		if n++; !slow || n%6 == 0 { // a world has one goroutine: races are not found here
			sound(t, seed, hours)
		}
	}
	require.NoError(t, lines.Err())
}

// Fresh seeds, for a while: where the clock stands, so that no two runs have the
// same. SELFHEAL_LONG=1 is more than a minute of CPU.
func TestFreshSeeds(t *testing.T) {
	long := 3 * time.Second
	if os.Getenv("SELFHEAL_LONG") == "1" {
		long = 65 * time.Second
	}
	seed, n, hours := uint64(time.Now().UnixMilli()), 0, 0.0
	t.Logf("seeds from %d on", seed)
	for start := cpu(); cpu()-start < long && !t.Failed(); n++ {
		r := sound(t, seed+uint64(n), 6)
		hours += r.Stats.Simulated.Hours()
	}
	t.Logf("%d seeds: %.0f machine hours", n, hours)
}

func TestTheSameSeedIsTheSameStory(t *testing.T) {
	for seed := range uint64(3) {
		if slow && seed > 0 {
			return
		}
		var one, other bytes.Buffer
		a := world.Run(world.Config{Seed: seed, Hours: 2, Story: &one})
		b := world.Run(world.Config{Seed: seed, Hours: 2, Story: &other})
		require.Equal(t, one.String(), other.String())
		require.Equal(t, a, b)
		require.NotZero(t, a.Stats.Lives)
		require.NotEmpty(t, one.String())
	}
}

func TestTheCommand(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, 0, run([]string{"-seed", "3", "-hours", "0.5"}, &out, &errs))
	require.Contains(t, out.String(), "seed 3: sound")
	require.Contains(t, out.String(), "what befell it: ")
	for wrong, says := range map[string]string{
		"-hours=-1": "-hours is -1: give more than 0", "-hours=NaN": "-hours is NaN", "-hours=1e99": "at most 10000",
		"-n=0": "-n is 0", "-runs=-2": "-runs is -2", "7": `"7" is no flag`, "-seed=x": "invalid value",
	} {
		errs.Reset()
		require.Equal(t, 2, run([]string{wrong}, &out, &errs), wrong)
		require.Contains(t, errs.String(), says)
	}
	errs.Reset()
	require.Equal(t, 0, run([]string{"-h"}, &out, &errs))
	require.Contains(t, errs.String(), "-seed")
}

// A broken promise is told as a short story.
func TestABrokenPromiseIsToldInShort(t *testing.T) {
	for seed := uint64(1); ; seed++ {
		require.Less(t, seed, uint64(100), "no world found it")
		cfg := world.Config{Seed: seed, Hours: 2, Planted: "shell: acts before the record is durable"}
		r := world.Run(cfg)
		if r.Violation == nil {
			continue
		}
		small, s := world.Shrink(cfg, 60)
		require.Equal(t, r.Violation.Invariant, s.Violation.Invariant)
		require.LessOrEqual(t, len(s.Fired), len(r.Fired))
		require.NotEmpty(t, small.Off)
		story := shortest(cfg, 60)
		require.Contains(t, story, "begins")
		require.Contains(t, story, "its record is not on the disk")
		return
	}
}

// BenchmarkSim says how many hours of one machine a second of CPU simulates.
func BenchmarkSim(b *testing.B) {
	b.ReportAllocs()
	hours, start := 0.0, cpu()
	for i := range b.N {
		hours += world.Run(world.Config{Seed: uint64(i%50) + 1}).Stats.Simulated.Hours()
	}
	b.ReportMetric(hours/(cpu()-start).Seconds(), "hours/cpu-s")
}
