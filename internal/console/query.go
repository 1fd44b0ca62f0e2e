package console

import (
	"net/url"
	"strconv"
	"strings"
)

// query is which part of everything a reader looks at.
type query struct {
	Q, State         string
	Open, Rows, Past int // the first one that is shown
	Incident         string
}

func readQuery(v url.Values) query {
	number := func(name string) int {
		n, err := strconv.Atoi(v.Get(name))
		if err != nil || n < 0 || n > 1<<30 {
			return 0
		}
		return n
	}
	return query{
		Q: strings.ToLower(cut(v.Get("q"), longestSearch)), State: cut(v.Get("state"), longestSearch),
		Open: number("open"), Rows: number("watches"), Past: number("past"), Incident: cut(v.Get("id"), longestSearch),
	}
}

// page is the address of another part.
func (q query) page(list string, at int) string {
	v := url.Values{}
	set := func(name string, n int) {
		if name == list {
			n = at
		}
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	if q.Q != "" {
		v.Set("q", q.Q)
	}
	if q.State != "" {
		v.Set("state", q.State)
	}
	set("open", q.Open)
	set("watches", q.Rows)
	set("past", q.Past)
	return "?" + v.Encode()
}

func (q query) wants(in *Incident) bool {
	return q.Q == "" || holds(in.Watch, q.Q) || holds(in.Key, q.Q) || holds(in.Summary, q.Q) || in.ID == q.Q
}

func (q query) wantsWatch(w *Watch) bool {
	return (q.State == "" || w.State == q.State) && (q.Q == "" || holds(w.Name, q.Q) || holds(w.Module, q.Q) || holds(w.Why, q.Q))
}

func holds(s, q string) bool { return strings.Contains(strings.ToLower(s), q) }

// pager leads to the other parts of a list.
type pager struct {
	ID              string
	From, To, Total int
	Before, After   string
	None            string
}

func (q query) pager(list, none string, at, per, total int) pager {
	p := pager{ID: "pager-" + list, From: at + 1, To: min(at+per, total), Total: total, None: none}
	if at > 0 {
		p.Before = q.page(list, max(at-per, 0))
	}
	if p.To < total {
		p.After = q.page(list, p.To)
	}
	return p
}

// window is the part of a list that begins at *at, and its first page where that
// is behind the end.
func window[T any](all []T, at *int, per int) []T {
	if *at >= len(all) {
		*at = 0
	}
	return all[*at:min(*at+per, len(all))]
}
