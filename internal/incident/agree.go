package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
)

// Knows says whether a notice under this id is about something that goes on: an
// incident, a blind detector, a storm, or what an earlier life left and nobody has
// taken up yet.
func (e *Engine) Knows(id string) bool {
	if e.byID[id] != nil || e.blindWith(id) != nil || e.storm.on && e.storm.id == id {
		return true
	}
	if e.safeMode.on && e.safeMode.id == id || e.degraded.on && e.degraded.id == id {
		return true
	}
	for _, in := range e.strays {
		if in.ID == id {
			return true
		}
	}
	for _, o := range e.orphans {
		for _, r := range o.keys {
			if !r.Closed && r.Snapshot.ID == id {
				return true
			}
		}
	}
	return false
}

// Untold returns the ids of what goes on and is recorded as told, but not as those
// who deliver it know it: the process died in between. said is what they know: the
// reason that they last told of an id, and whether they know of it at all.
func (e *Engine) Untold(said func(id string) (escalate.Reason, bool)) []string {
	var ids []string
	for id, i := range e.byID {
		why, known := said(id)
		if i.told && i.w.Pages && i.owedTell == "" && (known && why != i.reason || !known && i.acked == 0) {
			ids = append(ids, id)
		}
	}
	for _, w := range e.watches {
		if _, known := said(w.blindID); w.blindTold && w.Pages && !known {
			ids = append(ids, w.blindID)
		}
	}
	if _, known := said(e.storm.id); e.storm.on && !known {
		ids = append(ids, e.storm.id)
	}
	slices.Sort(ids)
	return ids
}

// untold tells people again of what was recorded as told and never reached those
// who deliver it: the process died in between.
func (e *Engine) untold(id string) {
	if i := e.byID[id]; i != nil {
		i.told = false
		why := i.reason
		if why == "" {
			why = escalate.NobodyTold
		}
		e.page(i, why, i.detail)
		e.rearm(i)
	} else if w := e.blindWith(id); w != nil {
		e.tellWatch(w, escalate.Trigger, e.blindIncident(w))
	} else if e.storm.on && e.storm.id == id {
		e.tellStorm(escalate.Trigger)
	}
}
