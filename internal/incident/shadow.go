package incident

import (
	"github.com/selfheal-go/selfheal/escalate"
)

// shadowed is the life of an incident that may only be written about.
func (e *Engine) shadowed(i *inc) {
	e.unwait(i)
	i.over = true
	i.phase = watching
	i.ended, i.endedHow = escalate.Exhausted, "shadow: nothing is done"
	e.tellEnd(i)
	i.due = e.now
	e.wouldStep(i)
}

// wouldStep writes down the next rung that a watch in shadow would climb.
func (e *Engine) wouldStep(i *inc) {
	steps := i.w.Playbook.Steps
	for i.shadow < len(steps) && i.w.Disabled[steps[i.shadow].Name] {
		i.shadow++
	}
	if i.shadow >= len(steps) || i.folded() {
		i.shadow = len(steps)
		return
	}
	s := &steps[i.shadow]
	i.shadow++
	i.due = e.now + settle(s, i.w.Every)
	e.emit(Event{Kind: EvWould, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, Finding: i.finding})
}
