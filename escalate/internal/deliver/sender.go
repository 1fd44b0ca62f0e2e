package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Config of a [Sender]. Provider is required.
type Config struct {
	// Provider is the first word of every error.
	Provider string
	// Client makes the requests; redirects are not followed, whatever it says
	// about them. nil is a client with the proxy of the environment that keeps no
	// connection: notices are rare, and nothing outlives a call.
	Client *http.Client
	// Timeout of one request, from dialling to the last byte of the answer. 0
	// means 10 s.
	Timeout time.Duration
	// Secrets are what no error may show.
	Secrets []string
}

// A Sender makes requests to one provider. It is safe for concurrent use.
type Sender struct {
	provider string
	client   *http.Client
	timeout  time.Duration
	secrets  []string
}

const (
	timeout   = 10 * time.Second
	mostRead  = 4 << 20 // of an answer
	userAgent = "selfheal"
)

// New makes a sender.
func New(c Config) (*Sender, error) {
	if c.Timeout < 0 {
		return nil, fmt.Errorf("%s: Timeout is %v: use 0 for the default, or how long a request may take", c.Provider, c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = timeout
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	if c.Client != nil {
		copied := *c.Client
		client = &copied
	}
	// A followed POST becomes a GET by 301 to 303, whose 200 says nothing of the
	// notification; and by 307 the credential goes wherever the answer says.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Sender{provider: c.Provider, client: client, timeout: c.Timeout, secrets: c.Secrets}, nil
}

// A Request to the provider.
type Request struct {
	Method string // "" means POST
	URL    *url.URL
	Header http.Header // beside Content-Type and User-Agent
	Type   string      // of the body; "" means application/json
	Body   []byte
}

// An Answer of the provider.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // its first 4 MiB
}

// Send makes a request. Its error, passing always, says that there was no
// answer; what an answer means is for [Answer.Class] and the caller to say.
func (s *Sender) Send(ctx context.Context, r Request) (a Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = Answer{}, fmt.Errorf("%s: Config.Client panicked with a %T: repair its Transport", s.provider, p)
		}
	}()
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, s.unanswered(ctx, err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	if r.Method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
		if r.Type != "" {
			req.Header.Set("Content-Type", r.Type)
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return Answer{}, s.unanswered(ctx, err)
	}
	if resp == nil || resp.Body == nil {
		return Answer{}, s.unanswered(ctx, errors.New("no response"))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	if err != nil && resp.StatusCode < 300 {
		// The status said yes, and what it said yes to is unknown.
		return Answer{}, s.unanswered(ctx, err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}
