package monitor

import (
	"fmt"
	"maps"
	"slices"
)

// Unrest says what is not at rest yet; "" when everything is.
func (q *Machine) Unrest() string {
	x := (*machine)(q)
	for _, id := range slices.Sorted(maps.Keys(x.ladders)) {
		if l := x.ladders[id]; l.isOpen && !l.closed {
			held := ""
			if l.held != "" {
				held = fmt.Sprintf(" (held: %s)", l.held)
			}
			return fmt.Sprintf("incident %s of %v is open%s", l.id, l.res, held)
		}
	}
	var rest []string
	for c := range x.calls {
		rest = append(rest, fmt.Sprintf("%v of %s runs", c.act.Phase, c.act.Watch))
	}
	for k, u := range x.undos {
		if !u.done && !u.failed {
			rest = append(rest, fmt.Sprintf("a measure of attempt %d on %v is in force", k.attempt, resource{u.watch, u.key}))
		}
	}
	if len(rest) > 0 {
		return slices.Min(rest)
	}
	if open := x.notices.shown(); len(open) > 0 {
		return "people are still shown " + open[0]
	}
	return ""
}

// AtRest checks what must hold once everything has come to rest: people got what
// they were promised.
func (q *Machine) AtRest() {
	x := (*machine)(q)
	if missing := x.notices.unheard(); len(missing) > 0 {
		x.broken(Delivered, "machine %d: people were to be told (%s), and nobody got anything", x.n, missing[0])
	}
}
