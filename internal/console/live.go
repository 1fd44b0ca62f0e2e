package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	writeWithin = 10 * time.Second // of one message; a reader who takes longer is let go
	heartbeat   = 20 * time.Second // between signs of life
	comeBack    = 2 * time.Second  // after which a reader connects again
)

// stream is a reader of server-sent events.
type stream struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	once bool // nothing can be sent before the end: the reader polls
	wake chan struct{}
	end  <-chan struct{}
}

// open begins a stream. It says so itself where that does not work; done gives
// its place back.
func (h *Handler) open(w http.ResponseWriter, r *http.Request) (s *stream, done func()) {
	select {
	case h.streams <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "30")
		h.fail(w, r, http.StatusServiceUnavailable, fmt.Sprintf("%d viewers watch already: come back later", maxStreams))
		return nil, nil
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	s = &stream{w: w, ctl: http.NewResponseController(w), wake: make(chan struct{}, 1), end: r.Context().Done()}
	w.WriteHeader(http.StatusOK)
	_ = s.ctl.SetWriteDeadline(time.Now().Add(writeWithin))
	_, _ = fmt.Fprintf(w, "retry: %d\n\n", comeBack.Milliseconds())
	if err := s.ctl.Flush(); errors.Is(err, http.ErrNotSupported) {
		// A wrapper of the application collects the response: what there is to
		// say is said at once, and the reader asks again.
		s.once = true
		_, _ = fmt.Fprintf(w, "retry: %d\n\n", (5 * time.Second).Milliseconds()) // the last one holds
	}
	return s, func() { <-h.streams }
}

// send writes one event. Whoever does not read it in time is let go, and resumes
// from the last id.
func (s *stream) send(event, id string, data []byte) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(writeWithin)) // where it is not supported, the server's own holds
	b := make([]byte, 0, len(data)+64)
	if event == "" {
		b = append(b, ":\n\n"...)
	} else {
		b = append(b, "event: "+event+"\n"...)
		if id != "" {
			b = append(b, "id: "+id+"\n"...)
		}
		b = append(append(append(b, "data: "...), data...), "\n\n"...)
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	if s.once {
		return nil
	}
	return s.ctl.Flush()
}

// signal wakes the stream; it never blocks.
func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wait waits until next is closed and a pause has passed since, until late, or
// until the reader has gone.
func (s *stream) wait(next <-chan struct{}, soon, late time.Duration) (going bool) {
	t := time.AfterFunc(late, s.signal)
	defer t.Stop()
	select {
	case <-s.end:
		return false
	case <-s.wake:
		return true
	case <-next:
	}
	t.Reset(soon)
	select {
	case <-s.end:
		return false
	case <-s.wake:
		return true
	}
}

// patch is what changed for a reader of the page.
type patch struct {
	Put   map[string]string   `json:"put,omitempty"`   // pieces, by id
	Lists map[string][]string `json:"lists,omitempty"` // ids, in order
}

// live sends a reader of the page what changed since what it has.
func (h *Handler) live(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	have := params.Get("since")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		have = id
	}
	s, done := h.open(w, r)
	if s == nil {
		return
	}
	defer done()
	reader := reader{h: h, q: readQuery(params), page: params.Get("page")}
	until := time.Now().Add(h.o.Linger)
	said := time.Now()
	for {
		seq, next := h.src.Changed()
		v := h.views.get(false)
		first := reader.has == nil
		if p := reader.diff(v, have); first || len(p.Put) > 0 || len(p.Lists) > 0 {
			body, err := json.Marshal(p)
			if err != nil || s.send("patch", v.name(), body) != nil {
				return
			}
			said = time.Now()
		} else if time.Since(said) >= heartbeat {
			if s.send("", "", nil) != nil {
				return
			}
			said = time.Now()
		}
		if v.Run == "stopped" {
			_ = s.send("over", "", []byte("{}"))
			return
		}
		if s.once || !time.Now().Before(until) {
			return
		}
		soon, late := h.views.beat()
		if v.seq < seq { // the view is older than what woke us
			late = soon
		}
		if !s.wait(next, soon, min(late, time.Until(until), heartbeat)) {
			return
		}
	}
}

// reader is somebody who looks at a part of the page, and what he has of it.
type reader struct {
	h      *Handler
	q      query
	page   string
	has    *view
	chosen *selection
	whole  string // the incident, on its own page
}

// diff is what the reader does not have of v yet; before the first time, have is
// the version that he brought.
func (r *reader) diff(v *view, have string) patch {
	p := patch{Put: map[string]string{}, Lists: map[string][]string{}}
	last, before := r.has, r.chosen
	r.has = v
	if last == v {
		return p
	}
	if r.page == "incident" {
		r.incident(v, &p)
		return p
	}
	since := v.since(have)
	if last != nil {
		since = last.version
	}
	s := v.choose(r.q)
	r.chosen = s
	if since == v.version {
		return p
	}
	for id, x := range v.one {
		if x.version > since {
			p.Put[id] = x.html
		}
	}
	for id, x := range s.pagers {
		if before == nil || before.pagers[id] != x {
			p.Put[id] = r.h.render("pager", x)
		}
	}
	for _, list := range []string{"open", "rest", "watches", "past"} {
		if before == nil || !slices.Equal(before.lists[list], s.lists[list]) {
			p.Lists[list] = s.lists[list]
		}
	}
	// What comes into sight may be old, and yet the reader does not have it. One
	// who came back with a version says himself what he misses.
	put := func(list string, n int, piece string, render func() string) {
		id := s.lists[list][n]
		if v.pieces[piece].version > since || before != nil && !slices.Contains(before.lists[list], id) {
			p.Put[id] = render()
		}
	}
	for n, in := range s.open {
		put("open", n, incidentID(in.ID), func() string { return r.h.openPiece(v, in) })
	}
	for n, in := range s.rest {
		put("rest", n, incidentID(in.ID), func() string { return r.h.restPiece(v, in) })
	}
	for n, w := range s.rows {
		put("watches", n, watchID(w.Name), func() string { return r.h.rowPiece(v, w) })
	}
	for n, in := range s.past {
		put("past", n, incidentID(in.ID), func() string { return r.h.pastPiece(v, in) })
	}
	return p
}

func (r *reader) incident(v *view, p *patch) {
	in, ok := v.incident(r.q.Incident)
	if !ok {
		return
	}
	if html := r.h.render("card", r.h.card(v, in, true)); html != r.whole {
		r.whole, p.Put[incidentID(in.ID)] = html, html
	}
}

// apiEvents sends what happens, a line an event.
func (h *Handler) apiEvents(w http.ResponseWriter, r *http.Request) {
	s, done := h.open(w, r)
	if s == nil {
		return
	}
	defer done()
	after, _ := h.src.Changed()
	if n, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil && n <= after {
		after = n
	}
	until := time.Now().Add(h.o.Linger)
	said := time.Now()
	for {
		_, next := h.src.Changed()
		lines, first := h.src.Lines(after)
		if first > after+1 {
			gap, _ := json.Marshal(map[string]uint64{"missed": first - after - 1})
			if s.send("gap", "", gap) != nil {
				return
			}
		}
		for _, l := range lines {
			body, err := json.Marshal(l)
			if err != nil || s.send("line", strconv.FormatUint(l.Seq, 10), body) != nil {
				return
			}
			after, said = l.Seq, time.Now()
		}
		if time.Since(said) >= heartbeat {
			if s.send("", "", nil) != nil {
				return
			}
			said = time.Now()
		}
		if s.once || !time.Now().Before(until) || !s.wait(next, time.Millisecond, min(heartbeat, time.Until(until))) {
			return
		}
	}
}
