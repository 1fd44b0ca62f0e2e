package deliver

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/selfheal-go/selfheal/escalate"
)

// Address reads the absolute http or https address of a provider. Its errors
// name the field and never the address, which may be a credential.
func Address(field, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, fmt.Errorf("%s is missing: give the address", field)
	case err == nil && u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%s does not begin with https:// or http://: give the whole address", field)
	case err != nil, u.Opaque != "", strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, fmt.Errorf("%s is no address: use one such as https://host/path", field)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s names no host: give the whole address", field)
	case u.Fragment != "":
		return nil, fmt.Errorf("%s has a fragment (#): leave it out", field)
	}
	return u, nil
}

// Base reads the address under which a provider has its API: no credentials and
// no query in it, and no slash at its end.
func Base(field, raw string) (*url.URL, error) {
	u, err := Address(field, raw)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil:
		return nil, fmt.Errorf("%s holds credentials: give them in the fields that are meant for them, which do not print", field)
	case u.RawQuery != "":
		return nil, fmt.Errorf("%s has a query (?): give the address under which the API lies", field)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// Private refuses an address over which a credential would go in the clear.
// Plain http is for the host itself.
func Private(field string, u *url.URL) error {
	if u.Scheme == "https" {
		return nil
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s begins with http://, and the credential would go in the clear: use https://", field)
}

// Token checks a credential that goes into a header or a body.
func Token(field string, s escalate.Secret) error {
	if s == "" {
		return fmt.Errorf("%s is missing: give the credential", field)
	}
	if strings.ContainsFunc(string(s), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("%s has a space, a line break or a character beyond ASCII in it: give the credential as it was issued", field)
	}
	return nil
}

// Hidden are the parts of an address that is a credential: what an error must
// not show.
func Hidden(u *url.URL) []string {
	all := []string{u.String(), u.Host, u.RawQuery}
	if u.User != nil {
		all = append(all, u.User.String())
		if p, ok := u.User.Password(); ok {
			all = append(all, p)
		}
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= 6 { // shorter ones are words such as "hooks"
			all = append(all, part)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= 6 {
				all = append(all, v)
			}
		}
	}
	return all
}

// Wrong is a mistake in a field of a configuration, with what to do about it.
func Wrong(field, format string, args ...any) error {
	return errors.New(field + " " + fmt.Sprintf(format, args...))
}

// Unmade is the error of a notifier that its package's New did not make.
func Unmade(provider string) error {
	return escalate.Permanent(fmt.Errorf("%s: this notifier was not made by New: make it so", provider))
}

// Mistakes joins what is wrong with a configuration, each after the name of the
// package. nil when nothing is.
func Mistakes(provider string, errs ...error) error {
	var all []error
	for _, err := range errs {
		if err != nil {
			all = append(all, fmt.Errorf("%s: Config.%w", provider, err))
		}
	}
	return errors.Join(all...)
}
