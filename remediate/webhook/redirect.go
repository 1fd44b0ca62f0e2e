package webhook

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects bounds the redirects of one call.
const maxRedirects = 3

// guard refuses redirects before the client looks at them: the client's own
// errors would repeat the address that the other side chose.
type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		// The client would repeat these as a GET without a body.
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		location := resp.Header.Get("Location")
		to, err := r.URL.Parse(location)
		if location == "" || err == nil && sameOrigin(r.URL, to) {
			return resp, nil
		}
	default:
		return resp, nil
	}
	resp.Body.Close()
	return nil, &StatusError{Place: place(r.URL.String()), Status: resp.StatusCode}
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b) && b.User == nil
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

var errRedirects = errors.New("it redirects again and again: set URL to the address that answers")

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	return nil
}
