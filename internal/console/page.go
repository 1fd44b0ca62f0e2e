package console

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much of what there may be very many is on one page: little enough that it
// stays below 100 KB whatever happens.
const (
	openPerPage   = 25
	cardsPerPage  = 5 // of those; the others have a line each
	rowsPerPage   = 40
	pastPerPage   = 12
	linesPerPage  = 200
	rungsInList   = 8
	openPoints    = 60 // of a chart
	pastPoints    = 30
	longestSearch = 200
	longestName   = 120
	longestText   = 160
)

// selection is what a reader sees of a view.
type selection struct {
	q                query
	open, rest, past []*Incident
	rows             []*Watch
	pagers           map[string]pager // by id
	lists            map[string][]string
}

// chosen keeps selections, so that readers of the same part share one.
type chosen struct {
	mu sync.Mutex // never held while anything of others runs
	by map[query]*selection
}

const mostChosen = 64 // a reader may ask for anything: then it is chosen anew

// choose returns what a reader sees.
func (v *view) choose(q query) *selection {
	v.chosen.mu.Lock()
	defer v.chosen.mu.Unlock()
	if s := v.chosen.by[q]; s != nil {
		return s
	}
	s := v.choosing(q)
	if v.chosen.by == nil {
		v.chosen.by = map[query]*selection{}
	}
	if len(v.chosen.by) < mostChosen {
		v.chosen.by[q] = s
	}
	return s
}

func (v *view) choosing(q query) *selection {
	s := &selection{q: q}
	for n := range v.Open {
		if q.wants(&v.Open[n]) {
			s.open = append(s.open, &v.Open[n])
		}
	}
	for n := range v.Watches {
		if q.wantsWatch(&v.Watches[n]) {
			s.rows = append(s.rows, &v.Watches[n])
		}
	}
	for _, in := range v.Closed {
		if v.closed[in.ID] == in && q.wants(in) {
			s.past = append(s.past, in)
		}
	}
	open, rows, past := len(s.open), len(s.rows), len(s.past)
	none := ""
	if q.Q != "" {
		none = "None of these contains that." // which does not say that nothing is wrong
	}
	s.open = window(s.open, &s.q.Open, openPerPage)
	s.rows = window(s.rows, &s.q.Rows, rowsPerPage)
	s.past = window(s.past, &s.q.Past, pastPerPage)
	s.pagers = map[string]pager{
		"pager-open":    s.q.pager("open", cmp.Or(none, "Nothing is wrong."), s.q.Open, openPerPage, open),
		"pager-watches": s.q.pager("watches", "There is no such watch.", s.q.Rows, rowsPerPage, rows),
		"pager-past":    s.q.pager("past", cmp.Or(none, "None that is remembered."), s.q.Past, pastPerPage, past),
	}
	cards := min(len(s.open), cardsPerPage)
	s.open, s.rest = s.open[:cards], s.open[cards:]
	s.lists = map[string][]string{"open": {}, "rest": {}, "watches": {}, "past": {}}
	for _, in := range s.rest {
		s.lists["rest"] = append(s.lists["rest"], restID(in.ID))
	}
	for _, in := range s.open {
		s.lists["open"] = append(s.lists["open"], incidentID(in.ID))
	}
	for _, w := range s.rows {
		s.lists["watches"] = append(s.lists["watches"], watchID(w.Name))
	}
	for _, in := range s.past {
		s.lists["past"] = append(s.lists["past"], incidentID(in.ID))
	}
	return s
}

// card is an incident as the templates see it.
type card struct {
	ID       string
	Incident *Incident
	Chart    *chart
	Proof    []proof
	Controls bool
	Whole    bool   // with everything that happened
	Back     string // where a form returns to
	Ended    string
	More     int // rungs that are not shown
	// WatchGlob and KeyGlob match it, for a silence.
	WatchGlob, KeyGlob string
}

// brief cuts what a detector or an action wrote at length: in a list there is room
// for the beginning. It returns how many rungs it left out.
func brief(in *Incident) (left int) {
	for _, s := range []*string{&in.Watch, &in.Key, &in.Reason, &in.AckedBy} {
		*s = cut(*s, longestName)
	}
	for _, s := range []*string{&in.Summary, &in.Why, &in.Detail} {
		*s = cut(*s, longestText)
	}
	if in.Proposal != nil {
		p := *in.Proposal
		p.Target = cut(p.Target, longestName)
		in.Proposal = &p
	}
	in.Symptoms = in.Symptoms[:min(len(in.Symptoms), 5)]
	left = max(len(in.Ladder)-rungsInList, 0)
	in.Ladder = slices.Clone(in.Ladder[:len(in.Ladder)-left])
	for n := range in.Ladder {
		in.Ladder[n].Error = cut(in.Ladder[n].Error, longestText)
	}
	return left
}

func (h *Handler) card(v *view, in *Incident, whole bool) card {
	full := *in
	if in.Closed.IsZero() {
		full.Trail, _ = h.src.Trail(in.ID) // which is not copied for those whom nobody looks at
	}
	c := card{
		ID: incidentID(in.ID), Incident: &full, Controls: h.controls() && in.Closed.IsZero(), Whole: whole, Ended: ended(in),
		WatchGlob: glob(in.Watch), KeyGlob: glob(in.Key),
	}
	points := keptSamples
	switch {
	case whole:
		c.Back = "incident?" + url.Values{"id": {in.ID}}.Encode()
	case in.Closed.IsZero():
		points = openPoints
	default:
		points = pastPoints
	}
	c.Chart = newChart(&full, points)
	if !whole {
		c.More = brief(&full)
	}
	if whole {
		full.Evidence = h.captured(in)
		c.Proof = h.proofs(in, full.Evidence)
	}
	return c
}

// ended says in a few words how an incident went.
func ended(in *Incident) string {
	how := "went away"
	for _, r := range in.Ladder {
		if r.Outcome == "healed" {
			how = r.Step + " healed it"
		}
	}
	if in.Told {
		how += ", people were told"
	}
	if d := in.Closed.Sub(in.Opened); !in.Opened.IsZero() && d > 0 {
		how += ", after " + short(d)
	}
	return how
}

// controls says whether there is anything that a reader might do.
func (h *Handler) controls() bool { return h.o.Authorize != nil }

// render fills a template.
func (h *Handler) render(name string, data any) string {
	var b bytes.Buffer
	if err := h.page.ExecuteTemplate(&b, name, data); err != nil {
		return "" // the templates and their data are ours: a test renders each
	}
	return b.String()
}

// piece renders a part once for all readers who see it.
func (v *view) piece(id string, render func() string) string {
	p := v.pieces[id]
	if p == nil {
		return ""
	}
	p.once.Do(func() { p.html = render() })
	return p.html
}

// restPiece is an incident on a line, for which there is no room as a card.
func (h *Handler) restPiece(v *view, in *Incident) string {
	p := v.pieces[incidentID(in.ID)]
	if p == nil {
		return ""
	}
	p.lineOnce.Do(func() {
		short := *in
		brief(&short)
		p.line = h.render("rest", card{ID: restID(in.ID), Incident: &short})
	})
	return p.line
}

func (h *Handler) openPiece(v *view, in *Incident) string {
	return v.piece(incidentID(in.ID), func() string { return h.render("card", h.card(v, in, false)) })
}

func (h *Handler) pastPiece(v *view, in *Incident) string {
	return v.piece(incidentID(in.ID), func() string { return h.render("past", h.card(v, in, false)) })
}

func (h *Handler) rowPiece(v *view, w *Watch) string {
	return v.piece(watchID(w.Name), func() string {
		short := *w
		short.Why = cut(short.Why, longestText)
		return h.render("row", struct {
			ID string
			Watch
		}{watchID(w.Name), short})
	})
}

// singles are the parts of which there is one.
func (h *Handler) singles(v *view) map[string]string {
	top := struct {
		*State
		OpenCount, People, Healthy int
		Bad, Controls, Stays       bool
	}{State: v.State, Controls: h.controls()}
	for n := range v.Open {
		in := &v.Open[n]
		if in.State != "pending" {
			top.OpenCount++
		}
		if in.AckedBy == "" && in.Told || in.Proposal != nil {
			top.People++
		}
	}
	for n := range v.Watches {
		if v.Watches[n].State == "healthy" {
			top.Healthy++
		}
	}
	for _, a := range v.Alerts {
		top.Bad = top.Bad || a.Bad
		top.Stays = top.Stays || a.Resume
	}
	week := struct {
		Week  Week
		Short bool
		Held  []Fact
	}{v.Week, v.At.Sub(v.Week.From) < 6*24*time.Hour, byCount(v.Week.Held)}
	silences := struct {
		Silences []Silence
		Controls bool
	}{v.Silences, h.controls()}
	return map[string]string{
		"top": h.render("top", top), "week": h.render("week", week),
		"silences": h.render("silences", silences), "health": h.render("health", v.State),
	}
}

// bar is what every page begins with.
type bar struct {
	Root    string // the way to the first page
	Service string
	At      time.Time
	Done    string
}

func (h *Handler) bar(v *view, r *http.Request) bar {
	b := bar{Root: root(r), Service: v.Service, At: v.At}
	if done := r.URL.Query().Get("done"); controls[done] {
		b.Done = done
	}
	return b
}

// write sends a page.
func (h *Handler) write(w http.ResponseWriter, code int, title, template string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	var b bytes.Buffer
	b.WriteString(h.head)
	b.WriteString("<title>" + escape(title) + "</title></head>")
	b.WriteString(h.render(template, data))
	b.WriteString(foot())
	_, _ = w.Write(b.Bytes())
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// message is a page that says one thing.
func (h *Handler) message(w http.ResponseWriter, r *http.Request, code int, title, text string) {
	h.write(w, code, title, "message", struct{ Root, Title, Text string }{root(r), title, text})
}

// root is the way from what was asked for to the first page.
func root(r *http.Request) string {
	if strings.HasPrefix(route(r.URL.Path), "api/") {
		return "../"
	}
	return "./"
}
