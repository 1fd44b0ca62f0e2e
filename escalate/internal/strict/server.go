package strict

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// An Event is something that the provider took.
type Event struct {
	Key  string // its key for the incident; "" when it has none
	Verb string // what was asked of it
	ID   string // the notification's; "" when the verb has no place for it
	Body []byte
	// same is equal for what the provider merges into one.
	same string
}

// A Server is a stand-in for a provider. Its methods are safe for concurrent use.
type Server struct {
	URL   string // its address, with TLS, without a slash at the end
	tb    testing.TB
	srv   *httptest.Server
	quit  chan struct{}
	rules func(c *call)
	// odd is the final status of this provider, and numb says that it reads no
	// meaning out of the body of a 200.
	odd  int
	numb bool

	mu      sync.Mutex
	fault   Fault
	events  []Event
	refused []string
	calls   int
	hit     map[Fault]int
}

// A call is one request to a server and its answer.
type call struct {
	*Server
	w    http.ResponseWriter
	r    *http.Request
	body []byte
}

// start runs a server until the test ends.
func start(tb testing.TB, rules func(c *call)) *Server {
	tb.Helper()
	s := &Server{tb: tb, rules: rules, quit: make(chan struct{}), odd: http.StatusBadRequest, hit: map[Fault]int{}}
	s.srv = httptest.NewUnstartedServer(s)
	s.srv.Config.ErrorLog = quiet()
	s.srv.TLS = s.tls()
	s.srv.StartTLS()
	s.URL = s.srv.URL
	tb.Cleanup(func() {
		close(s.quit)
		s.srv.Close()
	})
	return s
}

// ServeHTTP answers as the provider does, or as the fault wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	s.mu.Lock()
	s.calls++
	fault := s.fault
	s.hit[fault]++
	s.mu.Unlock()
	c := &call{Server: s, w: w, r: r, body: body}
	if !c.fail(fault) {
		s.rules(c)
	}
}

// Client returns a client that trusts the server and meets its faults. It keeps no
// connection.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   s.trust(),
		DialContext:       s.dial,
		DisableKeepAlives: true,
	}}
}

// Events are what the provider took, in order; what it merges is there once.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Messages is how many events there are.
func (s *Server) Messages() int { return len(s.Events()) }

// Refused says why the provider refused what it refused by its own rules.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Calls is how many requests arrived.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// take writes down what the provider took, unless it has it already.
func (s *Server) take(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.same == "" {
		e.same = string(e.Body)
	}
	e.same = e.Key + "\x00" + e.Verb + "\x00" + e.same
	if !slices.ContainsFunc(s.events, func(old Event) bool { return old.same == e.same }) {
		e.Body = bytes.Clone(e.Body)
		s.events = append(s.events, e)
	}
}

// refuse answers with an error and remembers why.
func (c *call) refuse(status int, body, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.refused = append(c.refused, fmt.Sprintf("%d %s", status, why))
	c.mu.Unlock()
	if body == "" {
		body = fmt.Sprintf(`{"message":%q}`, why)
	}
	c.w.WriteHeader(status)
	io.WriteString(c.w, body)
}

func (c *call) answer(status int, body string) {
	c.w.WriteHeader(status)
	io.WriteString(c.w, body)
}

// free is an address of loopback on which nobody listens.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Direct returns a client that calls the server without a network, for tests in
// virtual time. Of the faults it meets those with a status, Refused, and Slow, whose
// answer is lost at once.
func (s *Server) Direct() *http.Client {
	return &http.Client{Transport: direct{s}}
}

type direct struct{ s *Server }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	switch d.s.now(Refused, Slow) {
	case Refused:
		return nil, syscall.ECONNREFUSED
	case Slow:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		d.s.rules(&call{Server: d.s, w: rec, r: r, body: body})
		return nil, io.ErrUnexpectedEOF
	}
	d.s.ServeHTTP(rec, r)
	return rec.Result(), nil
}
