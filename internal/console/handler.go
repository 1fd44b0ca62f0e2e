package console

import (
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Handler is the console. It has no goroutine: what runs is a request. It is
// safe for concurrent use.
type Handler struct {
	o       Options
	src     *Source
	hosts   hosts
	origins *http.CrossOriginProtection
	keys    keyring
	page    *template.Template
	policy  string // Content-Security-Policy
	head    string // of the page, up to its body
	views   views
	streams chan struct{} // a place for each that may be open
}

// maxStreams bounds the viewers of one handler.
const maxStreams = 1024

// New returns a console. Its error says which option is wrong.
func New(o Options) (*Handler, error) {
	h := &Handler{o: o, src: &o.Source, origins: http.NewCrossOriginProtection(), streams: make(chan struct{}, maxStreams)}
	if h.o.Linger <= 0 {
		h.o.Linger = time.Minute
	}
	h.views.src, h.views.one = h.src, h.singles
	base, err := parseBase(o.Base)
	if err != nil {
		return nil, err
	}
	if base != nil {
		if err := h.origins.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
			return nil, err
		}
	}
	if h.hosts, err = newHosts(o.Hosts, base); err != nil {
		return nil, err
	}
	if h.keys, err = newKeyring(o.Keys); err != nil {
		return nil, err
	}
	if h.page, err = parsePage(); err != nil {
		return nil, err
	}
	h.head, h.policy = assets()
	return h, nil
}

// route is the part of the address that is ours: whatever lies before it is where
// the application mounted the console.
func route(path string) string {
	dir, last := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, last = path[:i], path[i+1:]
	}
	if dir == "api" || strings.HasSuffix(dir, "/api") {
		return "api/" + last
	}
	return last
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin") // without it a form says that it comes from nowhere
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", h.policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if err := h.hosts.check(r); err != nil {
		h.fail(w, r, http.StatusMisdirectedRequest, err.Error())
		return
	}
	to := route(r.URL.Path)
	if to == "link" {
		header.Set("Referrer-Policy", "no-referrer") // its address is a credential
	}
	verb, isAPI := strings.CutPrefix(to, "api/")
	err := h.origins.Check(r) // of what is not a mere GET
	if to == "link" && r.Header.Get("Origin") == "null" && r.Header.Get("Sec-Fetch-Site") == "" {
		err = nil // it comes from our page, which says so; whoever else could not sign
	}
	if err != nil {
		h.src.Refused(Control{Kind: verb}, err)
		h.fail(w, r, http.StatusForbidden, "this came from another site")
		return
	}
	if isAPI && controls[verb] {
		if h.only(w, r, http.MethodPost) {
			h.control(w, r, verb)
		}
		return
	}
	if to == "link" {
		if h.only(w, r, http.MethodGet, http.MethodHead, http.MethodPost) {
			h.link(w, r)
		}
		return
	}
	serve, ok := h.reading(to, r)
	if !ok {
		h.fail(w, r, http.StatusNotFound, "there is nothing here: the console begins at the address that ends with a slash")
		return
	}
	if h.only(w, r, http.MethodGet, http.MethodHead) {
		serve(w, r)
	}
}

// reading is what a route serves to those who only look.
func (h *Handler) reading(to string, r *http.Request) (serve http.HandlerFunc, ok bool) {
	switch to {
	case "":
		if !wantsHTML(r) {
			return h.status, true
		}
		return h.overview, true
	case "status", "api/status":
		return h.status, true
	case "incident":
		return h.oneIncident, true
	case "watch":
		return h.oneWatch, true
	case "journal":
		return h.log, true
	case "live":
		return h.live, true
	case "evidence":
		return h.evidence, true
	case "api/watches":
		return h.apiWatches, true
	case "api/watch":
		return h.apiWatch, true
	case "api/incidents":
		return h.apiIncidents, true
	case "api/incident":
		return h.apiIncident, true
	case "api/week":
		return h.apiWeek, true
	case "api/journal":
		return h.apiJournal, true
	case "api/events":
		return h.apiEvents, true
	}
	return nil, false
}

// controls are the ones that are posted to api/….
var controls = map[string]bool{
	Halting: true, Resuming: true, Silencing: true, Unsilence: true, Acking: true, Snoozing: true,
	Approving: true, Rejecting: true, Looking: true, Planning: true,
}

// only refuses other methods.
func (h *Handler) only(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	h.fail(w, r, http.StatusMethodNotAllowed, "use "+methods[0])
	return false
}

// wantsHTML says whether a person reads the answer.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// fail answers with an error, in the form that the asker reads.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, code int, what string) {
	if wantsHTML(r) {
		h.message(w, r, code, "That did not work", what)
		return
	}
	writeJSON(w, code, map[string]string{"error": what})
}

// failed answers with what an error means.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.fail(w, r, codeOf(err), err.Error())
}

func codeOf(err error) int {
	switch {
	case errors.Is(err, ErrNoSuch), errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, ErrStale), errors.Is(err, ErrOver):
		return http.StatusConflict
	case errors.Is(err, ErrUsed):
		return http.StatusGone
	case errors.Is(err, ErrBad):
		return http.StatusBadRequest
	case errors.Is(err, ErrIll):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error":"what there is to say has no JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

// parseBase reads the address of the console; nil where there is none.
func parseBase(base string) (*url.URL, error) {
	if base == "" {
		return nil, nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("BaseURL is not the http or https address of the console: give one like https://orders.example/selfheal/")
	}
	return u, nil
}
