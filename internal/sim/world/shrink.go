package world

import (
	"maps"
	"slices"
)

// Shrink makes the world of cfg, in which a promise is broken, as small as it can
// within so many runs while the same promise is broken: fewer machines, kinds of
// faults, watches, and single faults. It returns what is left, and how that ends;
// cfg itself where nothing is broken.
func Shrink(cfg Config, runs int) (Config, Result) {
	cfg.Story = nil
	best, last := cfg, Run(cfg)
	if last.Violation == nil {
		return cfg, last
	}
	try := func(c Config) bool {
		if runs <= 0 {
			return false
		}
		runs--
		r := Run(c)
		if r.Violation == nil || r.Violation.Invariant != last.Violation.Invariant {
			return false
		}
		best, last = c, r
		return true
	}
	c := best
	c.Hours = min(last.At.Hours(), cfg.Hours)
	try(c)
	for n := 1; n < 3; n++ {
		c := best
		if c.Machines = n; try(c) {
			break
		}
	}
	for _, f := range Faults() {
		c := best
		if c.Off = with(best.Off, f); !best.Off[f] {
			try(c)
		}
	}
	for n := range setUp(&cfg).watches {
		c := best
		c.Without = with(best.Without, n)
		try(c)
	}
	for size := len(last.Fired) / 2; size > 0 && runs > 0; size /= 2 {
		for _, part := range slices.Collect(slices.Chunk(slices.Clone(last.Fired), size)) {
			c := best
			c.Skip = with(best.Skip, part...)
			try(c)
		}
	}
	return best, last
}

func with[K comparable](set map[K]bool, keys ...K) map[K]bool {
	set = maps.Clone(set)
	if set == nil {
		set = map[K]bool{}
	}
	for _, k := range keys {
		set[k] = true
	}
	return set
}
