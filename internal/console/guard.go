package console

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hosts are the names under which the console may be reached. A page of a
// stranger whose name was bound to our address afterwards (DNS rebinding) asks
// under the stranger's name, and would otherwise count as our own.
type hosts map[string]bool

func newHosts(names []string, base *url.URL) (hosts, error) {
	h := hosts{}
	for _, n := range names {
		if n == "" || n != "*" && strings.ContainsAny(n, "/*@ ") {
			return nil, fmt.Errorf("the host %q of Hosts is not the name of a host: give what stands between // and the next slash in its address, or \"*\" for any", n)
		}
		h[hostname(n)] = true
	}
	if base != nil {
		h[hostname(base.Host)] = true
	}
	return h, nil
}

// hostname is the host without its port, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

func (h hosts) check(r *http.Request) error {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return nil // no browser comes this way
	}
	name := hostname(r.Host)
	if h[name] || h["*"] || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return nil
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("the console is not to be reached as %.100q: add that name to Options.Console.Hosts, or use loopback", name)
}

// errNoControls is why nobody may do anything.
var errNoControls = errors.New("controls are off: the service sets Options.Console.Authorize to say who may do what")

// errNotAllowed is all that a stranger is told.
var errNotAllowed = errors.New("you may not do this: the service decides that in Options.Console.Authorize")

// who asks the application whether a request may do this, and who it is. It has
// answered the request where it may not.
func (h *Handler) who(w http.ResponseWriter, r *http.Request, c Control) (who string, ok bool) {
	if h.o.Authorize == nil {
		h.fail(w, r, http.StatusForbidden, errNoControls.Error())
		return "", false
	}
	who, err := h.o.Authorize(r, c)
	if err == nil && strings.TrimSpace(who) == "" {
		err = errors.New("Options.Console.Authorize named nobody: it must return who asks")
	}
	if err != nil {
		h.src.Refused(c, err)
		h.fail(w, r, http.StatusForbidden, errNotAllowed.Error())
		return "", false
	}
	return cut(who, 200), true
}

// cut bounds what a person or a program wrote.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
