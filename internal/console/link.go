package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// keyring signs with its first key and verifies with all.
type keyring [][]byte

const (
	shortestKey  = 16
	longestToken = 2048
	linkDomain   = "selfheal console link 1\x00" // a signature of ours means nothing elsewhere, and the reverse
)

func newKeyring(keys [][]byte) (keyring, error) {
	for n, k := range keys {
		if len(k) < shortestKey {
			return nil, fmt.Errorf("LinkKeys: key %d has %d bytes: give each %d random bytes at least", n+1, len(k), shortestKey)
		}
	}
	return keyring(keys), nil
}

// ticket is what a signed link allows: one control on one thing, once.
type ticket struct {
	ID       string `json:"n"`
	Kind     string `json:"k"` // Acking, Approving, Rejecting
	Incident string `json:"i"`
	Proposal string `json:"p,omitempty"`
	Plan     string `json:"f,omitempty"` // digest of the fingerprint
	Expires  int64  `json:"e"`           // Unix seconds
}

func (k keyring) sign(t ticket) (string, error) {
	if len(k) == 0 {
		return "", errors.New("there is no key")
	}
	body, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(body) + "." + enc.EncodeToString(mac(k[0], body)), nil
}

func mac(key, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(linkDomain))
	m.Write(body)
	return m.Sum(nil)
}

var errBadLink = fmt.Errorf("%w: this link is not whole, or was signed with a key that is no longer known", ErrBad)

// verify returns what a token allows. Nothing of it is looked at before its
// signature was found to be right.
func (k keyring) verify(token string, now time.Time) (t ticket, err error) {
	first, second, ok := strings.Cut(token, ".")
	if !ok || len(token) > longestToken || strings.ContainsAny(token, "\r\n") { // which base64 skips
		return t, errBadLink
	}
	enc := base64.RawURLEncoding.Strict()
	body, err1 := enc.DecodeString(first)
	sum, err2 := enc.DecodeString(second)
	if err1 != nil || err2 != nil {
		return t, errBadLink
	}
	known := false
	for _, key := range k {
		known = hmac.Equal(sum, mac(key, body)) || known
	}
	if !known {
		return t, errBadLink
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return ticket{}, errBadLink
	}
	switch t.Kind {
	case Acking, Approving, Rejecting:
	default:
		return ticket{}, errBadLink
	}
	if !now.Before(time.Unix(t.Expires, 0)) {
		return ticket{}, fmt.Errorf("%w: it was good until %s: open the console instead", ErrUsed, clock(time.Unix(t.Expires, 0)))
	}
	return t, nil
}

// digest stands for a fingerprint in a link.
func digest(fingerprint string) string {
	sum := sha256.Sum256([]byte(fingerprint))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// A Signer makes links that people get with a notice. It is safe for concurrent
// use.
type Signer struct {
	base string
	keys keyring
}

// NewSigner returns nil where there is no address or no key: then there are no
// signed links.
func NewSigner(base string, keys [][]byte) (*Signer, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	k, err := newKeyring(keys)
	if err != nil || u == nil || len(k) == 0 {
		return nil, err
	}
	return &Signer{strings.TrimSuffix(u.String(), "/") + "/", k}, nil
}

// Link is an address under which a person may carry out one control once: kind is
// [Acking], [Approving] or [Rejecting]. Links that are made for the same notice,
// which once names, are one: using one uses up all. fingerprint is that of the plan
// where the link is about a proposal.
func (s *Signer) Link(once, kind, incident, proposal, fingerprint string, expires time.Time) (string, error) {
	t := ticket{ID: digest(once), Kind: kind, Incident: incident, Proposal: proposal, Expires: expires.Unix()}
	if proposal != "" {
		t.Plan = digest(fingerprint)
	}
	token, err := s.keys.sign(t)
	if err != nil {
		return "", err
	}
	return s.base + "link?t=" + token, nil
}

// IncidentURL is the address of an incident in the console at base.
func IncidentURL(base, incident string) string {
	return strings.TrimSuffix(base, "/") + "/incident?" + url.Values{"id": {incident}}.Encode()
}

// link shows what a signed link would do, and does it when that is posted. What
// follows links only looks.
func (h *Handler) link(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("t")
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if t := r.PostFormValue("t"); t != "" {
			token = t
		}
	}
	t, err := h.keys.verify(token, time.Now())
	if err != nil {
		h.failed(w, r, err)
		return
	}
	v := h.views.get(true)
	in, ok := v.incident(t.Incident)
	if !ok || !in.Closed.IsZero() {
		h.failed(w, r, fmt.Errorf("%w: the incident is over", ErrNoSuch))
		return
	}
	if t.Proposal != "" {
		switch p := in.Proposal; {
		case p == nil || p.ID != t.Proposal:
			h.failed(w, r, fmt.Errorf("%w: this was answered, or nobody answered in time", ErrNoSuch))
			return
		case digest(p.Fingerprint) != t.Plan:
			h.failed(w, r, ErrStale)
			return
		}
	}
	if r.Method == http.MethodPost {
		h.redeem(w, r, in, t)
		return
	}
	words := map[string][2]string{
		Acking: {"Take this incident?", "I take it"}, Approving: {"May this run?", "Approve"}, Rejecting: {"Say no to this?", "Reject"},
	}[t.Kind]
	data := struct {
		bar
		Title, Button, Token string
		Incident             *Incident
		Proposal             *Proposal
		Expires              time.Time
	}{bar: h.bar(v, r), Title: words[0], Button: words[1], Token: token, Incident: in, Expires: time.Unix(t.Expires, 0)}
	if t.Proposal != "" {
		data.Proposal = in.Proposal
	}
	h.write(w, http.StatusOK, words[0], "link", data)
}

// redeem does what a link allows. The link says what, never who: that is for the
// application to say.
func (h *Handler) redeem(w http.ResponseWriter, r *http.Request, in *Incident, t ticket) {
	o := Order{Control: Control{Kind: t.Kind, Watch: in.Watch, Key: in.Key, Incident: t.Incident, Proposal: t.Proposal}}
	if t.Proposal != "" {
		o.Fingerprint = in.Proposal.Fingerprint
	}
	var ok bool
	if o.By, ok = h.who(w, r, o.Control); !ok {
		return
	}
	if err := h.src.Use(t.ID, time.Unix(t.Expires, 0)); err != nil {
		h.failed(w, r, err)
		return
	}
	_, err := h.src.Do(r.Context(), o)
	h.views.spoil()
	switch {
	case err != nil:
		h.failed(w, r, err)
	case wantsHTML(r):
		h.message(w, r, http.StatusOK, "Done", "Done, by "+o.By+". This link is good no longer.")
	default:
		writeJSON(w, http.StatusOK, map[string]string{"done": t.Kind, "by": o.By})
	}
}
