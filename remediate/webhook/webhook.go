package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// New makes an action that calls a webhook as the options say. It returns nil
// after a 2xx, a [*StatusError] after any other answer, and the error of the
// transport or the cause of the ended context when there was none. A 2xx counts
// from its first line on: an answer that then breaks off is no error.
//
// The options are copied. Check them with [Options.Validate] in a test: an
// action made from wrong ones calls nobody and says why. The action is safe for
// concurrent use.
func New(o Options) remediate.Action {
	if err := o.Validate(); err != nil {
		return func(context.Context, remediate.Request) error {
			return fmt.Errorf("webhook: not called, its options are wrong: %w", err)
		}
	}
	h := newHook(o)
	return func(ctx context.Context, req remediate.Request) error {
		began := time.Now()
		status, err := h.call(ctx, req)
		if req.Log == nil {
			return err
		}
		attrs := []any{slog.String("to", h.place), slog.Int("status", status), slog.Duration("took", time.Since(began))}
		if err != nil {
			req.Log.Warn("webhook failed", append(attrs, slog.String("error", err.Error()))...)
			return err
		}
		req.Log.Info("webhook answered", attrs...)
		return nil
	}
}

type hook struct {
	client      *http.Client
	method      string
	address     string
	place       string
	header      http.Header
	secret      []byte
	timeout     time.Duration
	maxResponse int
}

// newHook is called with options that are valid.
func newHook(o Options) *hook {
	h := &hook{
		client: &http.Client{}, method: o.Method, place: place(o.URL), header: o.Header.Clone(),
		secret: []byte(o.Secret), timeout: o.Timeout, maxResponse: o.MaxResponse,
	}
	if h.method == "" {
		h.method = http.MethodPost
	}
	if h.header == nil {
		h.header = http.Header{}
	}
	if h.header.Get("Content-Type") == "" {
		h.header.Set("Content-Type", "application/json")
	}
	if h.timeout == 0 {
		h.timeout = defaultTimeout
	}
	if h.maxResponse == 0 {
		h.maxResponse = defaultMaxResponse
	}
	// User info becomes a header here, so that the address is without it from
	// now on, and a redirect within the host keeps it.
	u, _ := url.Parse(o.URL)
	if u.User != nil {
		password, _ := u.User.Password()
		r := http.Request{Header: h.header}
		r.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	h.address = u.String()

	if o.Client != nil {
		c := *o.Client
		h.client = &c
	}
	if h.client.Transport == nil {
		h.client.Transport = newTransport()
	}
	h.client.Transport = guard{h.client.Transport}
	h.client.CheckRedirect = checkRedirect
	return h
}

// newTransport keeps no connection between calls: they are rare, and nothing of
// ours is to run on after the supervisor ended.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(r)
			if err != nil { // its text repeats the address, which may hold a password
				return nil, errors.New("the proxy in the environment cannot be read: correct HTTP_PROXY or HTTPS_PROXY")
			}
			return u, nil
		},
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    defaultTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (h *hook) call(ctx context.Context, req remediate.Request) (status int, err error) {
	if ctx.Err() != nil {
		return 0, fmt.Errorf("webhook %s: not called: %w", h.place, context.Cause(ctx))
	}
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, h.timeout,
			fmt.Errorf("nothing within %v: check the other side, or raise Timeout: %w", h.timeout, context.DeadlineExceeded))
		defer cancel()
	}
	body, err := json.Marshal(req)
	if err != nil {
		return 0, fmt.Errorf("webhook %s: write the request: %w", h.place, err)
	}
	r, err := http.NewRequestWithContext(ctx, h.method, h.address, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("webhook %s: %w", h.place, withoutAddress(err))
	}
	r.Header = h.header.Clone()
	r.Header.Set(keyHeader, headerKey(req.Key()))
	if len(h.secret) > 0 {
		mac := hmac.New(sha256.New, h.secret)
		mac.Write(body)
		r.Header.Set(signatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := h.client.Do(r)
	if err != nil {
		err = h.noAnswer(ctx, err)
		var refused *StatusError
		if errors.As(err, &refused) {
			status = refused.Status
		}
		return status, err
	}
	defer resp.Body.Close()
	answer, rest := io.ReadAll(io.LimitReader(resp.Body, int64(h.maxResponse)))
	if rest == nil { // a little more, so that a client with keep-alive may reuse its connection
		_, _ = io.CopyN(io.Discard, resp.Body, defaultMaxResponse)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, &StatusError{
		Place: h.place, Status: resp.StatusCode,
		RetryAfter: retryAfter(resp.Header, time.Now()),
		Answer:     strings.ToValidUTF8(string(answer), "\uFFFD"),
	}
}

// noAnswer says why there was none, without the address.
func (h *hook) noAnswer(ctx context.Context, err error) error {
	var status *StatusError
	switch {
	case errors.As(err, &status): // a redirect that the guard refused
		return status
	case ctx.Err() != nil:
		return fmt.Errorf("webhook %s: no answer: %w", h.place, context.Cause(ctx))
	case errors.Is(err, errRedirects):
		return fmt.Errorf("webhook %s: %w", h.place, errRedirects)
	}
	return fmt.Errorf("webhook %s: no answer: %w: check that it can be reached from here", h.place, withoutAddress(err))
}

// withoutAddress drops the layer of an error that repeats the whole address.
func withoutAddress(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// headerKey makes a key fit for a header: what is no visible ASCII is
// percent-encoded, so that different keys stay different, and a very long key
// ends with its hash, because receivers bound what they store.
func headerKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	s := b.String()
	if len(s) <= maxKey {
		return s
	}
	sum := sha256.Sum256([]byte(key))
	hash := hex.EncodeToString(sum[:])
	return s[:maxKey-len(hash)-1] + "-" + hash
}

const maxKey = 255
