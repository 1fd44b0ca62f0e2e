package selfheal

import (
	"cmp"
	"slices"

	"github.com/selfheal-go/selfheal/internal/schedule"
)

const (
	layOutFrom = 4096 // watches; fewer of them fit the processor's caches anyway
	slab       = 64   // entries: few enough that one kept watch keeps no memory to speak of
)

// layOut lays the entries out in memory in the order in which they will be due,
// so that what is looked at together lies together: where there are very many,
// most of what a look costs is waiting for memory. s.mu is held, and none of the
// entries is started.
func (s *Supervisor) layOut() {
	if len(s.order) < layOutFrom {
		return
	}
	type place struct {
		every, phase int64
		at           int32
	}
	places := make([]place, len(s.order))
	for i, e := range s.order {
		every := e.watch.every(&s.o)
		places[i] = place{int64(every), int64(schedule.Phase(e.watch.Name, every, len(s.order))), int32(i)}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.every, b.every), cmp.Compare(a.phase, b.phase))
	})
	var room []entry
	order := make([]*entry, 0, len(places))
	for _, p := range places {
		if len(room) == 0 {
			room = make([]entry, slab)
		}
		old, e := s.order[p.at], &room[0]
		room = room[1:]
		e.s, e.detector, e.watch, e.module, e.site = s, old.detector, old.watch, old.module, old.site
		order = append(order, e)
		s.entries[e.watch.Name] = e
	}
	s.order = order
}
