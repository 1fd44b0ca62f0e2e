package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/selfheal-go/selfheal/escalate"
)

// A Class is what an answer means for a notification.
type Class uint8

// The classes.
const (
	Taken   Class = iota // the provider has it
	Passing              // try again
	Final                // no other try can succeed
)

// Class is what the status means where the provider does not say otherwise:
// 2xx is taken; 5xx, 408, 425 and 429 are passing; so are redirects for now (302,
// 303, 307), because a proxy in maintenance sends them; everything else is final.
func (a Answer) Class() Class {
	switch c := a.Status; {
	case c >= 200 && c < 300:
		return Taken
	case c >= 500, c == http.StatusRequestTimeout, c == http.StatusTooEarly, c == http.StatusTooManyRequests:
		return Passing
	case c == http.StatusFound, c == http.StatusSeeOther, c == http.StatusTemporaryRedirect, c == http.StatusNotModified:
		return Passing
	}
	return Final
}

// Refused is the error for an answer of this class that is no acceptance. It
// quotes what the provider said, unless a secret is in it, and keeps to its
// Retry-After. about says more, what to do next for one; it may be "".
func (s *Sender) Refused(a Answer, class Class, about string) error {
	text := fmt.Sprintf("%s: answered %d", s.provider, a.Status)
	if name := http.StatusText(a.Status); name != "" {
		text += " " + name
	}
	if said := excerpt(string(a.Body)); said != "" && !s.shows(string(a.Body)) {
		text += fmt.Sprintf(" (%s)", said)
	}
	if about == "" {
		about = advice(a.Status)
	}
	if about != "" {
		text += ": " + about
	}
	return &escalate.Failure{Err: errors.New(text), Permanent: class == Final, RetryAfter: RetryAfter(a.Header, time.Now())}
}

func advice(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check the credential and what it may do"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the address"
	case http.StatusTooManyRequests:
		return "too many notices; it is tried again later"
	}
	if status >= 300 && status < 400 {
		return "redirects are not followed; set the address to where it leads"
	}
	return ""
}

// What Windows says where others say ECONNABORTED, ECONNRESET and ECONNREFUSED.
const (
	wsaAborted = syscall.Errno(10053)
	wsaReset   = syscall.Errno(10054)
	wsaRefused = syscall.Errno(10061)
)

// unanswered is the error for a request without an answer. It wraps nothing but
// the end of a context: every other error may hold the address.
func (s *Sender) unanswered(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil {
		if errors.Is(end, context.Canceled) {
			return fmt.Errorf("%s: cancelled before it answered: %w", s.provider, end)
		}
		return fmt.Errorf("%s: no answer in time: %w", s.provider, end)
	}
	var (
		u         *url.Error
		dns       *net.DNSError
		unknown   x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		network   net.Error
		op        *net.OpError
	)
	if errors.As(err, &u) {
		err = u.Err
	}
	say := func(what string) error { return fmt.Errorf("%s: %s", s.provider, what) }
	switch {
	case errors.As(err, &dns):
		return say("DNS: its host name cannot be resolved: check the address and the resolver")
	case errors.As(err, &unknown):
		return say("TLS: its certificate is signed by an authority that is not trusted: give Config.Client its root")
	case errors.As(err, &host):
		return say("TLS: its certificate is for another host: check the address")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say("TLS: its certificate has expired or is not yet valid: check its clock and ours")
	case errors.As(err, &invalid), errors.As(err, &untrusted):
		return say("TLS: its certificate cannot be verified")
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return say("TLS: it does not speak TLS: check whether the address is one of http")
	case errors.As(err, &alert):
		return say("TLS: it refused the handshake: check the client certificate and the versions")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaRefused):
		return say("it refused the connection")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNABORTED), errors.Is(err, wsaReset), errors.Is(err, wsaAborted):
		return say("it cut the connection before it had answered")
	case errors.As(err, &network) && network.Timeout():
		return say("no answer in time")
	}
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err // without the address
	}
	text := err.Error()
	if s.shows(text) {
		return say(fmt.Sprintf("the request failed with a %T, whose text holds a secret", err))
	}
	return say("the request failed: " + excerpt(text))
}

// shows says whether a text holds a secret of the sender, as it is or encoded
// the way that addresses and headers are.
func (s *Sender) shows(text string) bool {
	for _, secret := range s.secrets {
		if secret == "" {
			continue
		}
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			base64.RawStdEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

// excerpt is a text of others as one short line.
func excerpt(text string) string {
	const most = 200
	if len(text) > 8*most {
		text = text[:8*most]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return Cut(strings.Join(strings.Fields(text), " "), most)
}
