package console

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// overview is the first page: everything that needs an eye, in one response.
func (h *Handler) overview(w http.ResponseWriter, r *http.Request) {
	v := h.views.get(true)
	s := v.choose(readQuery(r.URL.Query()))
	type state struct {
		Name  string
		Count int
		On    bool
	}
	data := struct {
		bar
		Live, Q                         string
		Top, SilencesHTML, WeekHTML     template.HTML
		HealthHTML                      template.HTML
		Open, Rest, Rows, Past          []template.HTML
		OpenPager, RowsPager, PastPager pager
		States                          []state
		Controls                        bool
	}{
		bar: h.bar(v, r), Live: v.name(), Q: s.q.Q,
		Top: template.HTML(v.one["top"].html), SilencesHTML: template.HTML(v.one["silences"].html),
		WeekHTML: template.HTML(v.one["week"].html), HealthHTML: template.HTML(v.one["health"].html),
		OpenPager: s.pagers["pager-open"], RowsPager: s.pagers["pager-watches"], PastPager: s.pagers["pager-past"], Controls: h.controls(),
	}
	counts := map[string]int{}
	for n := range v.Watches {
		counts[v.Watches[n].State]++
	}
	for _, name := range watchStates {
		if counts[name] > 0 || name == s.q.State {
			data.States = append(data.States, state{name, counts[name], name == s.q.State})
		}
	}
	for _, in := range s.open {
		data.Open = append(data.Open, template.HTML(h.openPiece(v, in)))
	}
	for _, in := range s.rest {
		data.Rest = append(data.Rest, template.HTML(h.restPiece(v, in)))
	}
	for _, x := range s.rows {
		data.Rows = append(data.Rows, template.HTML(h.rowPiece(v, x)))
	}
	for _, in := range s.past {
		data.Past = append(data.Past, template.HTML(h.pastPiece(v, in)))
	}
	h.write(w, http.StatusOK, title(v), "overview", data)
}

// title tells in a list of tabs what is the matter.
func title(v *view) string {
	open := 0
	for n := range v.Open {
		if v.Open[n].State != "pending" {
			open++
		}
	}
	t := cmp.Or(v.Service, "selfheal")
	if open > 0 {
		t = "(" + strconv.Itoa(open) + ") " + t
	}
	return t
}

func (h *Handler) oneIncident(w http.ResponseWriter, r *http.Request) {
	v := h.views.get(true)
	in, ok := v.incident(r.URL.Query().Get("id"))
	if !ok {
		h.fail(w, r, http.StatusNotFound, "there is no such incident, or it is so long over that it was forgotten; the journal may know it")
		return
	}
	if !wantsHTML(r) {
		writeJSON(w, http.StatusOK, h.card(v, in, true).Incident)
		return
	}
	h.write(w, http.StatusOK, name(in.Watch, in.Key), "incident", struct {
		bar
		Live string
		Card template.HTML
	}{h.bar(v, r), v.name(), template.HTML(h.render("card", h.card(v, in, true)))})
}

func (h *Handler) oneWatch(w http.ResponseWriter, r *http.Request) {
	v := h.views.get(true)
	n, ok := v.byName[r.URL.Query().Get("name")]
	if !ok {
		h.fail(w, r, http.StatusNotFound, "there is no such watch")
		return
	}
	x := &v.Watches[n]
	data := struct {
		bar
		Watch     *Watch
		Incidents []*Incident
		Controls  bool
		Back      string
	}{bar: h.bar(v, r), Watch: x, Controls: h.controls(), Back: "watch?" + url.Values{"name": {x.Name}}.Encode()}
	for n := range v.Open {
		if v.Open[n].Watch == x.Name {
			data.Incidents = append(data.Incidents, &v.Open[n])
		}
	}
	for _, in := range v.Closed {
		if in.Watch == x.Name && len(data.Incidents) < 100 {
			data.Incidents = append(data.Incidents, in)
		}
	}
	h.write(w, http.StatusOK, x.Name, "watch", data)
}

func (h *Handler) showPlan(w http.ResponseWriter, r *http.Request, p *Plan) {
	v := h.views.get(false)
	h.write(w, http.StatusOK, p.Watch, "plan", struct {
		bar
		Plan *Plan
	}{h.bar(v, r), p})
}

// log is the journal, for those who may.
func (h *Handler) log(w http.ResponseWriter, r *http.Request) {
	who, ok := h.who(w, r, Control{Kind: ReadingLog})
	if !ok {
		return
	}
	h.src.Used(Control{Kind: ReadingLog}, who)
	v := h.views.get(false)
	at, err := strconv.Atoi(r.URL.Query().Get("at"))
	if err != nil || at < 0 {
		at = 0
	}
	lines := h.src.Journal(at, linesPerPage)
	p := pager{ID: "pager-journal", From: at + 1, To: at + len(lines), Total: at + len(lines), None: "Nothing is written down."}
	if at > 0 {
		p.Before = "?at=" + strconv.Itoa(max(at-linesPerPage, 0))
	}
	if len(lines) == linesPerPage {
		p.After = "?at=" + strconv.Itoa(at+linesPerPage)
	}
	h.write(w, http.StatusOK, "Journal", "journal", struct {
		bar
		Lines []Line
		Pager pager
	}{h.bar(v, r), lines, p})
}

// byCount orders what is counted, the most first.
func byCount(counts map[string]int) []Fact {
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	var facts []Fact
	for _, n := range names {
		facts = append(facts, Fact{n, strconv.Itoa(counts[n])})
	}
	return facts
}
