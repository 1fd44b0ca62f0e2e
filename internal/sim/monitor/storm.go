package monitor

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
)

const (
	stormWithin = time.Minute
	stormMore   = 5 // watches; more are a shared cause, whatever there are in all
	stormCalm   = 5 * time.Minute
)

// stormCounts notes an incident that opened, if it surely counts: those that are
// held by a cause or silenced do not.
func (x *machine) stormCounts(now fact, l *ladder) {
	w := x.m.watches[l.res.watch]
	if w == nil || w.Mode == incident.Shadow || len(w.After) > 0 || x.quiet(now.at) || !actsAboveSafe(w) {
		return
	}
	x.storm = append(x.storm, opened{watch: l.res.watch, found: x.began + l.found, fact: now})
	x.storm = slices.DeleteFunc(x.storm, func(o opened) bool { return o.at+time.Hour < now.at })
}

func actsAboveSafe(w *incident.Watch) bool {
	for i := range w.Playbook.Steps {
		if s := &w.Playbook.Steps[i]; s.Risk.AboveSafe() && !w.Disabled[s.Name] {
			return true
		}
	}
	return false
}

// stormy says whether a storm is surely on: so many watches were found sick
// within a minute, before this moment, and the last of them lately.
func (x *machine) stormy(at time.Duration) bool {
	for _, first := range x.storm {
		seen, last := map[string]bool{}, time.Duration(0)
		for _, o := range x.storm {
			if o.fact.at >= x.began && o.found >= first.found && o.found <= first.found+stormWithin && o.at < at && o.fact.at > x.resumed {
				seen[o.watch] = true
				last = max(last, o.at)
			}
		}
		if len(seen) > stormMore && at+rounding < last+stormCalm {
			return true
		}
	}
	return false
}
