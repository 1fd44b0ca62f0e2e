package goruntime

import (
	"cmp"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/remediate"
)

// listedSites are how many sites are worth a line.
const listedSites = 20

// logStacks says what explains a restart: where most goroutines come from.
func logStacks(req remediate.Request) {
	log := req.Log
	if log == nil {
		log = slog.Default()
	}
	var film camera
	shot := film.take(runtime.NumGoroutine(), newSites(nil))
	sites := slices.SortedFunc(maps.Keys(shot.counts), func(a, b *site) int {
		return cmp.Or(cmp.Compare(shot.counts[b], shot.counts[a]), strings.Compare(a.key, b.key))
	})
	for _, at := range sites[:min(len(sites), listedSites)] {
		log.Warn("selfheal: goroutines before the process is replaced",
			"count", shot.counts[at], "site", at.key, "stack", text(shot.stacks[at].stack))
	}
}
