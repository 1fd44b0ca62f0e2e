package console

import (
	"net/http"
	"net/url"
	"strconv"
)

func (h *Handler) status(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, h.src.Status(r.URL.Query().Get("brief") != ""))
}

// Answers of the JSON API. Their field names are golden-tested.
type (
	watchesAnswer struct {
		Total   int            `json:"total"` // that match
		Counts  map[string]int `json:"counts"`
		Watches []*Watch       `json:"watches"`
	}
	watchAnswer struct {
		Watch
		Incidents []*Incident `json:"incidents"`
	}
	incidentsAnswer struct {
		Total     int         `json:"total"`
		Incidents []*Incident `json:"incidents"`
	}
	journalAnswer struct {
		Lines []Line `json:"lines"`
	}
)

// part is which part of a list is asked for: its first, and how many.
func part(v url.Values, most int) (offset, limit int) {
	offset, err := strconv.Atoi(v.Get("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	limit, err = strconv.Atoi(v.Get("limit"))
	if err != nil || limit <= 0 || limit > most {
		limit = min(100, most)
	}
	return offset, limit
}

func slicePart[T any](all []T, offset, limit int) []T {
	offset = min(offset, len(all))
	return append([]T{}, all[offset:min(offset+limit, len(all))]...)
}

func (h *Handler) apiWatches(w http.ResponseWriter, r *http.Request) {
	v, q := h.views.get(true), readQuery(r.URL.Query())
	a := watchesAnswer{Counts: map[string]int{}}
	var all []*Watch
	for n := range v.Watches {
		a.Counts[v.Watches[n].State]++
		if q.wantsWatch(&v.Watches[n]) {
			all = append(all, &v.Watches[n])
		}
	}
	a.Total = len(all)
	offset, limit := part(r.URL.Query(), 1000)
	a.Watches = slicePart(all, offset, limit)
	writeJSON(w, http.StatusOK, a)
}

func (h *Handler) apiWatch(w http.ResponseWriter, r *http.Request) {
	v := h.views.get(true)
	n, ok := v.byName[r.URL.Query().Get("name")]
	if !ok {
		h.failed(w, r, ErrNoSuch)
		return
	}
	a := watchAnswer{Watch: v.Watches[n], Incidents: []*Incident{}}
	for n := range v.Open {
		if v.Open[n].Watch == a.Name {
			a.Incidents = append(a.Incidents, &v.Open[n])
		}
	}
	writeJSON(w, http.StatusOK, a)
}

func (h *Handler) apiIncidents(w http.ResponseWriter, r *http.Request) {
	v, q := h.views.get(true), readQuery(r.URL.Query())
	var all []*Incident
	add := func(in *Incident) {
		if q.wants(in) {
			brief := *in
			brief.Trail = Trail{} // which api/incident tells
			all = append(all, &brief)
		}
	}
	state := q.State
	if state != "closed" {
		for n := range v.Open {
			add(&v.Open[n])
		}
	}
	if state == "closed" || state == "all" {
		for _, in := range v.Closed {
			if v.closed[in.ID] == in {
				add(in)
			}
		}
	}
	offset, limit := part(r.URL.Query(), 1000)
	writeJSON(w, http.StatusOK, incidentsAnswer{Total: len(all), Incidents: slicePart(all, offset, limit)})
}

func (h *Handler) apiIncident(w http.ResponseWriter, r *http.Request) {
	v := h.views.get(true)
	in, ok := v.incident(r.URL.Query().Get("id"))
	if !ok {
		h.failed(w, r, ErrNoSuch)
		return
	}
	writeJSON(w, http.StatusOK, h.card(v, in, true).Incident)
}

func (h *Handler) apiWeek(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, h.views.get(true).Week)
}

func (h *Handler) apiJournal(w http.ResponseWriter, r *http.Request) {
	who, ok := h.who(w, r, Control{Kind: ReadingLog})
	if !ok {
		return
	}
	h.src.Used(Control{Kind: ReadingLog}, who)
	offset, limit := part(r.URL.Query(), 5000)
	writeJSON(w, http.StatusOK, journalAnswer{append([]Line{}, h.src.Journal(offset, limit)...)})
}
