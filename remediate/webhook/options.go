package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options say what is called. Every field but URL may be left zero. Printing
// or logging them shows no secret.
type Options struct {
	// URL is the address, http or https. User info in it becomes basic
	// authentication.
	URL string
	// Method is POST, PUT or PATCH. "" means POST.
	Method string
	// Header are further headers with fixed values, Authorization for example.
	// Content-Type is application/json unless it is set here.
	Header http.Header
	// Secret signs the body: the header Selfheal-Signature is then "sha256=" and
	// the hexadecimal HMAC-SHA256 of the body under it. "" means no signature.
	Secret string
	// Client makes the calls: its transport, cookies and timeout are used, its
	// redirect policy is not. nil, or one without a transport, means a transport
	// of our own: proxies from the environment (HTTPS_PROXY, NO_PROXY), system
	// roots, one connection a call. Nothing of http.DefaultClient or
	// http.DefaultTransport is used.
	Client *http.Client
	// Timeout bounds one call with its redirects and its answer, within the
	// time that the step has. 0 means 10 s, -1 means the time of the step alone.
	Timeout time.Duration
	// MaxResponse bounds how much of an answer is kept, in bytes. 0 means 64 KiB.
	MaxResponse int
}

const (
	defaultTimeout     = 10 * time.Second
	defaultMaxResponse = 64 << 10

	keyHeader       = "Idempotency-Key"
	signatureHeader = "Selfheal-Signature"
)

// reserved are the headers that the action sets itself.
var reserved = []string{keyHeader, signatureHeader, "Content-Length", "Transfer-Encoding", "Host"}

// Validate returns everything that is wrong, joined, each with what to do about
// it. It calls nobody. Call it in a test: an action made from wrong options
// fails whenever it is run.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("webhook: "+format, args...)) }
	switch u, err := url.Parse(o.URL); {
	case err != nil: // its text repeats parts of the address
		bad("URL cannot be read: write it as https://host/path, with special characters percent-encoded")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		bad("URL is not an http or https address with a host: write it as https://host/path")
	case u.Fragment != "":
		bad("URL has a fragment, which is never sent: remove what follows the #")
	case u.User != nil && o.Header.Get("Authorization") != "":
		bad("URL has user info beside an Authorization header: keep one of them")
	}
	if !slices.Contains([]string{"", http.MethodPost, http.MethodPut, http.MethodPatch}, o.Method) {
		bad("Method is %q: use POST, PUT or PATCH, which carry a body", o.Method)
	}
	for name, values := range o.Header {
		switch {
		case !isToken(name):
			bad("Header %q cannot name a header: use letters, digits and dashes", name)
		case slices.Contains(reserved, http.CanonicalHeaderKey(name)):
			bad("Header %s is set by the action: remove it", name)
		}
		if slices.ContainsFunc(values, func(v string) bool { return strings.ContainsFunc(v, isControl) }) {
			bad("Header %s has a value with a control character: remove it", name) // the value may be a secret
		}
	}
	if o.Timeout < 0 && o.Timeout != -1 {
		bad("Timeout is %v: use a duration, 0 for %v, or -1 for the time of the step", o.Timeout, defaultTimeout)
	}
	if o.MaxResponse < 0 {
		bad("MaxResponse is %d: use a number of bytes, or 0 for %d", o.MaxResponse, defaultMaxResponse)
	}
	return errors.Join(errs...)
}

// String shows the options without their secrets.
func (o Options) String() string {
	method := o.Method
	if method == "" {
		method = http.MethodPost
	}
	return method + " " + place(o.URL)
}

// GoString shows the options without their secrets.
func (o Options) GoString() string { return "webhook.Options{" + o.String() + "}" }

// LogValue shows the options without their secrets.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// place is what errors and logs say of an address.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(unreadable address)"
	}
	return u.Scheme + "://" + u.Host
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
