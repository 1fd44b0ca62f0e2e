package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
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
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	wrong := ""
	switch {
	case f.NArg() > 0:
		wrong = fmt.Sprintf("%q is no flag: write -seed 7 -hours 24", f.Arg(0))
	case *n < 1:
		wrong = fmt.Sprintf("-n is %d: give 1 or more", *n)
	case !(*hours > 0 && *hours <= mostHours): // not a number is neither
		wrong = fmt.Sprintf("-hours is %v: give more than 0, and at most %d", *hours, mostHours)
	case *runs < 0:
		wrong = fmt.Sprintf("-runs is %d: give 0 or more", *runs)
	}
	if wrong != "" {
		fmt.Fprintln(errs, "sim: "+wrong)
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
			if *n == 1 {
				fmt.Fprintf(out, "what befell it: %s\n", troubles(r.Fired))
			}
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

// mostHours is more than a year.
const mostHours = 10_000

// troubles counts faults by kind, the most frequent first.
func troubles(fired []world.Strike) string {
	times := map[world.Fault]int{}
	for _, s := range fired {
		times[s.Fault]++
	}
	kinds := slices.SortedFunc(maps.Keys(times), func(a, b world.Fault) int {
		return cmp.Or(times[b]-times[a], int(a-b))
	})
	var words []string
	for _, f := range kinds {
		words = append(words, fmt.Sprintf("%d x %v", times[f], f))
	}
	return cmp.Or(strings.Join(words, ", "), "nothing")
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
	if who, _, ok := strings.Cut(r.Violation.Text, ": "); ok && strings.HasPrefix(who, "machine ") {
		// What happened on others has nothing to do with it.
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "  machine ") && !strings.Contains(l, "  "+who+": ") })
	}
	lines = folded(lines)
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

// folded makes one line of what happens again and again.
func folded(lines []string) []string {
	var out []string
	last, again := "", 0
	flush := func() {
		if again > 0 {
			out[len(out)-1] += fmt.Sprintf(" (and %d times more)", again)
		}
		again = 0
	}
	for _, l := range lines {
		_, what, _ := strings.Cut(strings.TrimSpace(l), "  ")
		if what == last {
			again++
			continue
		}
		flush()
		out, last = append(out, l), what
	}
	flush()
	return out
}
