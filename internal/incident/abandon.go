package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// call is one call of user code.
type call struct {
	id         string
	attempt    int
	watch, key string
	abandoned  bool
}

// abandon notes that a call for the current attempt of i still runs although
// its time is over. It keeps the key, and its exclusive name, until it ends.
func (e *Engine) abandon(i *inc, attempt int) {
	c := &call{id: i.id, attempt: attempt, watch: i.w.Name, key: i.key, abandoned: true}
	i.mem.abandoned = append(i.mem.abandoned, c)
	for _, x := range e.exclusive {
		if x.id == i.id {
			x.abandoned = true
		}
	}
}

// abandonedForLong tells people of a call that has ignored its context for long.
func (e *Engine) abandonedForLong(in *Input) {
	detail := in.Note + " ignored its context and still runs; restart the process if it holds what others need"
	if i := e.byID[in.Incident]; i != nil {
		e.page(i, escalate.Abandoned, detail)
		return
	}
	if w := e.watches[in.Watch]; w != nil {
		e.tellWatch(w, escalate.Trigger, escalate.Incident{
			ID: in.Incident + "-abandoned", Watch: w.Name, Service: e.o.Service, State: escalate.Open,
			Opened: e.wall(e.now), Reason: escalate.Abandoned, Detail: detail,
			Finding: detect.Finding{Key: in.Key, Severity: detect.Critical, Summary: "a call still runs"},
		})
	}
}

// returned takes in that an abandoned call has ended after all.
func (e *Engine) returned(in *Input) {
	for name, x := range e.exclusive {
		if x.id == in.Incident && x.attempt == in.Attempt && x.abandoned {
			delete(e.exclusive, name)
		}
	}
	if w := e.watches[in.Watch]; w != nil {
		if m := w.keys[in.Key]; m != nil {
			if n := slices.IndexFunc(m.abandoned, func(c *call) bool { return c.id == in.Incident && c.attempt == in.Attempt }); n >= 0 {
				m.abandoned = slices.Delete(m.abandoned, n, n+1)
			}
		}
	}
	e.recheck()
	e.resumeUndos()
}
