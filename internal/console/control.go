package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxBody      = 64 << 10 // of what is posted
	longestField = 1000     // bytes of a name or an id
)

// posted is what a control is told, from a form or as JSON.
type posted struct {
	Incident    string            `json:"incident"`
	Proposal    string            `json:"proposal"`
	Plan        string            `json:"plan"` // fingerprint of what was shown
	Watch       string            `json:"watch"`
	Key         string            `json:"key"`
	Labels      map[string]string `json:"labels"`
	Silence     string            `json:"silence"`
	Reason      string            `json:"reason"`
	For         string            `json:"for"` // a duration: "1h30m", "90" is minutes
	Back        string            `json:"-"`   // where a form returns to
	fromBrowser bool
}

// readPosted reads the body of a control.
func readPosted(w http.ResponseWriter, r *http.Request) (posted, error) {
	var p posted
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return p, fmt.Errorf("%w: Content-Type: %v", ErrBad, err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return p, fmt.Errorf("%w: the body cannot be read, or has more than %d bytes", ErrBad, maxBody)
	}
	switch {
	case kind == "application/json" || kind == "" && len(body) == 0:
		if len(body) == 0 {
			return p, nil
		}
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			return p, fmt.Errorf("%w: %v", ErrBad, err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return p, fmt.Errorf("%w: there is more than one JSON value", ErrBad)
		}
	case kind == "application/x-www-form-urlencoded":
		f, err := url.ParseQuery(string(body))
		if err != nil {
			return p, fmt.Errorf("%w: %v", ErrBad, err)
		}
		p = posted{
			Incident: f.Get("incident"), Proposal: f.Get("proposal"), Plan: f.Get("plan"),
			Watch: f.Get("watch"), Key: f.Get("key"), Silence: f.Get("silence"),
			Reason: f.Get("reason"), For: f.Get("for"), Back: f.Get("back"), fromBrowser: wantsHTML(r),
		}
	default:
		return p, fmt.Errorf("%w: post application/json or a form, not %.60q", ErrBad, kind)
	}
	return p, nil
}

// duration reads how long something is to last.
func duration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if n, nerr := strconv.ParseInt(s, 10, 32); nerr == nil {
		d, err = time.Duration(n)*time.Minute, nil
	}
	if err != nil || d <= 0 || d > 366*24*time.Hour {
		return 0, fmt.Errorf("%w: for: %.40q is not how long: write 90m, 8h or a number of minutes, at most a year", ErrBad, s)
	}
	return d, nil
}

// order is what was posted, with what each control needs.
func (p *posted) order(kind string) (Order, error) {
	d, err := duration(p.For)
	for _, s := range []string{p.Watch, p.Key, p.Incident, p.Proposal, p.Silence, p.Plan} {
		if err == nil && (len(s) > longestField || !utf8.ValidString(s)) {
			err = fmt.Errorf("%w: a name or id has more than %d bytes, or is not UTF-8", ErrBad, longestField)
		}
	}
	o := Order{
		Control: Control{
			Kind: kind, Watch: p.Watch, Key: p.Key, Incident: p.Incident,
			Proposal: p.Proposal, Silence: p.Silence,
		},
		Reason: cut(p.Reason, 1000), For: d, Labels: p.Labels, Fingerprint: p.Plan,
	}
	need := func(name, value, say string) {
		if err == nil && value == "" {
			err = fmt.Errorf("%w: %s: say %s", ErrBad, name, say)
		}
	}
	switch kind {
	case Halting:
		need("reason", o.Reason, "why everything is to stop")
	case Silencing:
		need("reason", o.Reason, "why it is silenced")
		need("for", p.For, "for how long: 90m, 8h")
		if err == nil && o.Watch == "" && o.Key == "" && len(o.Labels) == 0 {
			err = fmt.Errorf("%w: watch: name a watch, a key or a label; to stop everything, halt", ErrBad)
		}
	case Unsilence:
		need("silence", o.Silence, "which, by its id")
	case Acking:
		need("incident", o.Incident, "which, by its id")
	case Snoozing:
		need("incident", o.Incident, "which, by its id")
		need("for", p.For, "for how long: 90m, 8h")
	case Approving, Rejecting:
		need("proposal", o.Proposal, "which, by its id")
		if kind == Approving {
			need("plan", o.Fingerprint, "the fingerprint of the plan that you were shown")
		}
	case Looking, Planning:
		need("watch", o.Watch, "which, by its name")
	}
	return o, err
}

// control carries out what was posted to api/….
func (h *Handler) control(w http.ResponseWriter, r *http.Request, kind string) {
	p, err := readPosted(w, r)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	o, err := p.order(kind)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	o.Control = h.about(o.Control)
	var ok bool
	if o.By, ok = h.who(w, r, o.Control); !ok {
		return
	}
	plan, err := h.src.Do(r.Context(), o)
	h.views.spoil()
	switch {
	case err != nil:
		h.failed(w, r, err)
	case plan != nil && p.fromBrowser:
		h.showPlan(w, r, plan)
	case plan != nil:
		writeJSON(w, http.StatusOK, plan)
	case p.fromBrowser:
		w.Header().Set("Location", back(p.Back, o.Kind))
		w.WriteHeader(http.StatusSeeOther)
	default:
		writeJSON(w, http.StatusOK, map[string]string{"done": o.Kind, "by": o.By})
	}
}

// about is what a control is really about. Who posts it may name an incident, a
// proposal or a silence; of what watch that is, is not for them to say, since
// Authorize may decide by it. What a control does not need is dropped.
func (h *Handler) about(c Control) Control {
	is := Control{Kind: c.Kind}
	switch c.Kind {
	case Silencing:
		is.Watch, is.Key = c.Watch, c.Key
	case Looking, Planning:
		is.Watch = c.Watch
	case Unsilence:
		is.Silence = c.Silence
		all := h.views.get(true).Silences
		if n := slices.IndexFunc(all, func(s Silence) bool { return s.ID == c.Silence }); n >= 0 {
			is.Watch, is.Key = all[n].Watch, all[n].Key
		}
	case Acking, Snoozing:
		is.Incident = c.Incident
		if in, ok := h.views.get(true).incident(c.Incident); ok {
			is.Watch, is.Key = in.Watch, in.Key
		}
	case Approving, Rejecting:
		is.Proposal = c.Proposal
		all := h.views.get(true).Open
		if n := slices.IndexFunc(all, func(in Incident) bool { return in.Proposal != nil && in.Proposal.ID == c.Proposal }); n >= 0 {
			is.Incident, is.Watch, is.Key = all[n].ID, all[n].Watch, all[n].Key
		}
	}
	return is
}

// back is where a form returns to: a place of the console, relative to api/… and
// so independent of where it is mounted.
func back(to, done string) string {
	page, query, _ := strings.Cut(to, "?")
	switch page {
	case "incident", "watch", "journal":
	default:
		page = ""
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		q = url.Values{}
	}
	q.Set("done", done)
	return "../" + page + "?" + q.Encode()
}
