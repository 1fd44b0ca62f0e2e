package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/sim/world"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns its exit code.
func run(args []string, out, errs io.Writer) int {
	f := flag.NewFlagSet("sim", flag.ContinueOnError)
	f.SetOutput(errs)
	seed := f.Uint64("seed", 1, "the first `seed`")
	n := f.Int("n", 1, "how many `seeds`, from the first on")
	hours := f.Float64("hours", 6, "simulated `hours` of faults, before they heal")
	runs := f.Int("runs", 300, "how many `runs` the shortest story may take; 0: tell none")
	verbose := f.Bool("v", false, "tell everything that happens")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if *n < 1 || *hours <= 0 || *runs < 0 || f.NArg() > 0 {
		fmt.Fprintln(errs, "sim: -n and -hours are more than 0, -runs is not less, and there are no arguments beside flags")
		return 2
	}
	failed := 0
	for i := range *n {
		cfg := world.Config{Seed: *seed + uint64(i), Hours: *hours}
		if *verbose {
			cfg.Story = out
		}
		start := time.Now()
		r := world.Run(cfg)
		switch {
		case r.Violation == nil:
			fmt.Fprintf(out, "seed %d: sound: %d lives, %d acts, %d notices in %.0f machine hours, simulated in %v\n",
				cfg.Seed, r.Stats.Lives, r.Stats.Acts, r.Stats.Notices, r.Stats.Simulated.Hours(), time.Since(start).Round(time.Millisecond))
		default:
			failed++
			fmt.Fprintf(out, "seed %d: at %v: %v\n", cfg.Seed, r.At.Round(time.Millisecond), r.Violation)
			if *runs > 0 && !*verbose {
				fmt.Fprint(out, shortest(cfg, *runs))
			}
		}
	}
	if failed > 0 {
		return 1
	}
	return 0
}

// shownLines bounds a story: what went wrong is at its end.
const shownLines = 100

// shortest is the story of the smallest world in which the same promise is broken.
func shortest(cfg world.Config, runs int) string {
	cfg, r := world.Shrink(cfg, runs)
	if r.Violation == nil {
		return ""
	}
	var story bytes.Buffer
	cfg.Story = &story
	world.Run(cfg)
	lines := strings.Split(strings.TrimSpace(story.String()), "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "the shortest story that ends so, after %d faults:\n", len(r.Fired))
	if n := len(lines) - shownLines; n > 0 {
		fmt.Fprintf(&b, "  (%d lines before)\n", n)
		lines = lines[n:]
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	fmt.Fprintf(&b, "  at %v: %v\n", r.At.Round(time.Millisecond), r.Violation)
	return b.String()
}
