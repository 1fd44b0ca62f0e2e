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
		stray := escalate.Incident{
			ID: in.Incident + "-abandoned", Watch: w.Name, Service: e.o.Service, State: escalate.Open,
			Opened: e.wall(e.now), Reason: escalate.Abandoned, Detail: detail,
			Finding: detect.Finding{Key: in.Key, Severity: detect.Critical, Summary: "a call still runs"},
		}
		e.strays[in.Incident] = stray
		e.touchStray(in.Incident, stray, false)
		e.tellWatch(w, escalate.Trigger, stray)
	}
}

// leftBehind keeps what still runs for the keys of a watch that goes: where a
// watch of that name comes again, its keys are not free.
func (e *Engine) leftBehind(w *watch) {
	for k, m := range w.keys {
		if len(m.abandoned) > 0 {
			if e.left[w.Name] == nil {
				e.left[w.Name] = map[string]*memory{}
			}
			e.left[w.Name][k] = m
		}
	}
}

// keysOf is what is remembered of the keys of a watch, or of one that is gone.
func (e *Engine) keysOf(name string) map[string]*memory {
	if w := e.watches[name]; w != nil {
		return w.keys
	}
	return e.left[name]
}

// returned takes in that an abandoned call has ended after all.
func (e *Engine) returned(in *Input) {
	for name, x := range e.exclusive {
		if x.id == in.Incident && x.attempt == in.Attempt && x.abandoned {
			delete(e.exclusive, name)
		}
	}
	if m := e.keysOf(in.Watch)[in.Key]; m != nil {
		if n := slices.IndexFunc(m.abandoned, func(c *call) bool { return c.id == in.Incident && c.attempt == in.Attempt }); n >= 0 {
			m.abandoned = slices.Delete(m.abandoned, n, n+1)
		}
		if left := e.left[in.Watch]; left[in.Key] == m && len(m.abandoned) == 0 {
			if delete(left, in.Key); len(left) == 0 {
				delete(e.left, in.Watch)
			}
		}
	}
	if stray, ok := e.strays[in.Incident]; ok {
		delete(e.strays, in.Incident)
		stray.State, stray.Closed = escalate.Closed, e.wall(e.now)
		e.touchStray(in.Incident, stray, true)
		if w := e.watches[in.Watch]; w != nil {
			e.tellWatch(w, escalate.Resolve, stray)
		}
	}
	e.recheck()
	e.resumeUndos()
}
