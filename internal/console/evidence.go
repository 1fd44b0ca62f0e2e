package console

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mostEvidence is how much of an incident's evidence is listed.
const mostEvidence = 200

// captured is everything that was captured of an incident: what is kept of it, and
// what else it names.
func (h *Handler) captured(in *Incident) []Evidence {
	if h.src.Kept == nil {
		return in.Evidence
	}
	kept, err := h.src.Kept(in.ID, in.Evidence)
	if err != nil {
		return in.Evidence // opening it says why
	}
	kept = kept[:min(len(kept), mostEvidence)]
	all := slices.Clip(kept)
	for _, e := range in.Evidence {
		// What is named may be the address of what is kept.
		if !slices.ContainsFunc(kept, func(k Evidence) bool {
			return e.Ref == k.Ref || web(e.Ref) != "" && strings.HasSuffix(e.Ref, "="+url.QueryEscape(k.Ref))
		}) {
			all = append(all, e)
		}
	}
	return all
}

// proof is evidence as the templates see it; without an address it cannot be
// opened here.
type proof struct {
	Evidence
	Href  string
	Files []proof // of a bundle
}

// proofs groups what was captured by bundle.
func (h *Handler) proofs(in *Incident, captured []Evidence) (all []proof) {
	for _, e := range captured {
		p := proof{Evidence: e}
		switch {
		case web(e.Ref) != "":
			p.Href = e.Ref
		case h.src.Evidence != nil && h.controls():
			p.Href = evidenceHref(in.ID, e.Ref)
		}
		if n := len(all); n > 0 && strings.HasPrefix(e.Ref, all[n-1].Ref+"/") {
			all[n-1].Files = append(all[n-1].Files, p)
			continue
		}
		all = append(all, p)
	}
	return all
}

// evidence opens what was captured of an incident, and nothing else.
func (h *Handler) evidence(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	c := Control{Kind: OpenProof, Incident: cut(q.Get("incident"), 200), Evidence: cut(q.Get("ref"), 500)}
	in, ok := h.views.get(true).incident(c.Incident)
	if ok {
		c.Watch, c.Key = in.Watch, in.Key
	} else {
		in = &Incident{ID: c.Incident} // forgotten here; its evidence may be kept for longer
	}
	who, allowed := h.who(w, r, c)
	if !allowed {
		return
	}
	var of Evidence
	if c.Incident != "" && c.Evidence != "" {
		all := h.captured(in)
		if at := slices.IndexFunc(all, func(e Evidence) bool { return e.Ref == c.Evidence }); at >= 0 {
			of = all[at]
		}
	}
	switch {
	case h.src.Evidence == nil:
		h.fail(w, r, http.StatusNotFound, "evidence cannot be opened here: the service keeps none that the console knows of")
		return
	case of.Ref == "":
		h.fail(w, r, http.StatusNotFound, "this incident has no such evidence, or it was removed to make room")
		return
	}
	content, err := h.src.Evidence(of.Ref)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	defer content.Close()
	h.src.Used(c, who)
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream") // to be saved, never to be shown
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(of)}))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	http.ServeContent(w, r, "", time.Time{}, content)
}

// fileName is what evidence is saved as: the last part of its ref, made harmless.
func fileName(e Evidence) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-", r):
			return r
		}
		return '_'
	}, path.Base(e.Ref))
	s = strings.TrimLeft(s, ".")
	if !strings.Contains(s, ".") && strings.Contains(e.Type, "zip") {
		s += ".zip"
	}
	if s == "" {
		s = "evidence"
	}
	return s[:min(len(s), 120)]
}

// evidenceHref is the way from a page of the console to a piece of evidence.
func evidenceHref(incident, ref string) string {
	return "evidence?" + url.Values{"incident": {incident}, "ref": {ref}}.Encode()
}

// EvidenceURL is the address of a piece of evidence in the console at base. Who
// follows it needs authority.
func EvidenceURL(base, incident, ref string) string {
	return strings.TrimSuffix(base, "/") + "/" + evidenceHref(incident, ref)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
	}
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}
