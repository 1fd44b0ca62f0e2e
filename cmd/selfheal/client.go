package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// client asks a console.
type client struct {
	base    *url.URL
	token   string
	timeout time.Duration
	http    *http.Client
}

// statusError is an answer that is not a success.
type statusError struct {
	code int
	what string
}

func (e *statusError) Error() string { return e.what }

func (e *statusError) exit() int {
	switch e.code {
	case http.StatusForbidden, http.StatusUnauthorized:
		return exitForbidden
	case http.StatusNotFound, http.StatusConflict, http.StatusGone:
		return exitMissing
	case http.StatusBadRequest:
		return exitUsage
	}
	return exitUnreachable
}

func newClient(c *call) (*client, error) {
	address := c.url
	if address == "" {
		address = c.getenv("SELFHEAL_URL")
	}
	if address == "" {
		return nil, usage("where is the console? give -url, or set SELFHEAL_URL")
	}
	base, socket, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	cl := &client{base: base, timeout: c.timeout}
	if cl.token, err = readToken(c); err != nil {
		return nil, err
	}
	if cl.token != "" && base.Scheme == "http" && socket == "" && !loopback(base.Hostname()) {
		return nil, usage("a token is not sent over plain http to %s, where others could read it: use https, or a tunnel to loopback", base.Hostname())
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	if socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	cl.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a token goes where it was meant to go
	}}
	return cl, nil
}

func (cl *client) close() { cl.http.CloseIdleConnections() }

// parseAddress reads where a console is; socket is "" unless it is a unix socket.
func parseAddress(s string) (base *url.URL, socket string, err error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		path, prefix, _ := strings.Cut(path, ":")
		if path == "" {
			return nil, "", usage("%q names no socket: write unix:///run/orders.sock", s)
		}
		return &url.URL{Scheme: "http", Host: "localhost", Path: "/" + strings.Trim(prefix, "/")}, path, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, "", usage("the address of the console must be like https://orders.example/selfheal/ or unix:///run/orders.sock")
	}
	return u, "", nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func readToken(c *call) (string, error) {
	file := c.tokenFile
	if file == "" {
		file = c.getenv("SELFHEAL_TOKEN_FILE")
	}
	token := c.getenv("SELFHEAL_TOKEN")
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", usage("the token cannot be read: %v", err)
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, 64<<10))
		if err != nil {
			return "", usage("the token cannot be read: %v", err)
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return "", usage("%s holds no token", file)
		}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", usage("the token has characters that no bearer token has")
	}
	return token, nil
}

func (cl *client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	u := *cl.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + path
	u.RawQuery = query.Encode()
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), payload)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if cl.token != "" {
		r.Header.Set("Authorization", "Bearer "+cl.token)
	}
	return r, nil
}

// ask returns what the console answers.
func (cl *client) ask(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cl.timeout)
	defer cancel()
	r, err := cl.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	res, err := cl.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the console cannot be reached: %w", shorter(err))
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	err = failure(res, data)
	var refused *statusError
	if cl.token == "" && errors.As(err, &refused) && refused.exit() == exitForbidden {
		refused.what += "; no token was sent: name a file in $SELFHEAL_TOKEN_FILE"
	}
	return data, err
}

// failure is an answer that is not a success.
func failure(res *http.Response, data []byte) error {
	if res.StatusCode == http.StatusOK {
		if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") && !strings.HasPrefix(kind, "text/event-stream") {
			return &statusError{http.StatusNotFound, fmt.Sprintf("what answers at this address is no console (%s): give the address at which the handler is mounted", kind)}
		}
		return nil
	}
	var said struct{ Error string }
	if json.Unmarshal(data, &said) != nil || said.Error == "" {
		said.Error = "what answers at this address is no console (" + res.Status + "): give the address at which the handler is mounted"
		if to := res.Header.Get("Location"); to != "" {
			said.Error += ", which points to " + to
		}
	}
	return &statusError{res.StatusCode, said.Error}
}

// get asks for something to read.
func (cl *client) get(ctx context.Context, path string, query url.Values, to any) ([]byte, error) {
	data, err := cl.ask(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, to); err != nil {
		return nil, fmt.Errorf("the answer is not what this version understands: %w", err)
	}
	return data, nil
}

// shorter leaves the address out of an error: whoever asked knows it.
func shorter(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// printable is what somebody else wrote, without what would control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == ' ' || unicode.IsGraphic(r) && r != '\u2028' && r != '\u2029' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// line is printable text that stays on its line.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, printable(s))
}
