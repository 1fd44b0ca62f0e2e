package dependency

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// TransportOptions are for [Client.Transport]. The zero value is useful.
type TransportOptions struct {
	// Next makes the calls. nil: http.DefaultTransport.
	Next http.RoundTripper
	// Judge says what an answer means for the dependency; exactly one of its
	// arguments is nil. It must not read the body. nil: [JudgeHTTP].
	Judge func(*http.Response, error) Outcome
	// Degraded answers in place of a call that was refused; the error wraps
	// [ErrRefused]. nil: RoundTrip returns the error. The Degraded of the client
	// is not asked.
	Degraded func(req *http.Request, refused error) (*http.Response, error)
	// UntilHeaders ends a call when its headers have come, for answers that are
	// meant to take long, such as streams of events. Otherwise it ends with its
	// body, so that one that breaks off or stalls counts.
	UntilHeaders bool
}

// JudgeHTTP takes every error for a failure that [JudgeError] does, and the
// statuses 429 and 500 and above. Other statuses, 4xx among them, say that the
// dependency works.
func JudgeHTTP(resp *http.Response, err error) Outcome {
	if err != nil {
		return JudgeError(err)
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return Failure
	}
	return OK
}

// Transport returns a round tripper whose calls go through c. Requests that may be
// repeated without harm (GET, HEAD, OPTIONS, TRACE, PUT and DELETE, with no body
// or one that GetBody returns again) are, as ClientOptions.Retry says; an answer
// that says Retry-After is not, since the server knows better. Safe for concurrent
// use.
func (c *Client) Transport(o TransportOptions) http.RoundTripper {
	if o.Next == nil {
		o.Next = http.DefaultTransport
	}
	if o.Judge == nil {
		o.Judge = JudgeHTTP
	}
	return &transport{c: c, o: o}
}

type transport struct {
	c *Client
	o TransportOptions
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *transport) CloseIdleConnections() {
	if next, ok := t.o.Next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// RoundTrip makes the call, unless it has to be refused.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	p, err := t.c.Acquire(ctx)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a round tripper always closes it
		}
		if t.o.Degraded != nil && errors.Is(err, ErrRefused) {
			return t.o.Degraded(req, err)
		}
		return nil, err
	}
	for try := 1; ; try++ {
		resp, err := t.once(req, p)
		if try >= t.c.o.Retry.Tries || !repeatable(req) || retryAfter(resp) || t.o.Judge(resp, err) != Failure {
			return resp, err
		}
		next, ok := t.c.again(ctx, try)
		if !ok {
			return resp, err
		}
		again, bodyErr := anew(req)
		if bodyErr != nil {
			next.Done(Ignored)
			return resp, err
		}
		if resp != nil {
			discard(resp.Body)
		}
		req, p = again, next
	}
}

// once makes one call and binds its permit to the body of the answer.
func (t *transport) once(req *http.Request, p Permit) (*http.Response, error) {
	returned := false
	defer func() {
		if !returned {
			p.Done(Ignored)
		}
	}()
	resp, err := t.o.Next.RoundTrip(req)
	o := t.o.Judge(resp, err)
	returned = true
	// A body that can be written to belongs to another protocol from here on.
	upgraded := resp != nil && resp.StatusCode == http.StatusSwitchingProtocols
	if resp == nil || resp.Body == nil || resp.Body == http.NoBody || upgraded || t.o.UntilHeaders || o != OK {
		p.Done(o)
		return resp, err
	}
	resp.Body = &body{ReadCloser: resp.Body, p: p}
	return resp, err
}

// body ends a call with its last byte.
type body struct {
	io.ReadCloser
	p    Permit
	done atomic.Bool
}

func (b *body) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(OK)
	case errors.Is(err, http.ErrBodyReadAfterClose):
		b.end(Ignored)
	default:
		b.end(JudgeError(err))
	}
	return n, err
}

func (b *body) Close() error {
	b.end(OK)
	return b.ReadCloser.Close()
}

func (b *body) end(o Outcome) {
	if b.done.CompareAndSwap(false, true) {
		b.p.Done(o)
	}
}

// repeatable says whether a request may be made twice (RFC 9110, 9.2.2).
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	}
	return false
}

func retryAfter(resp *http.Response) bool { return resp != nil && resp.Header.Get("Retry-After") != "" }

// anew is the same request for another try, with a body that was not read.
func anew(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	again.Body = body
	return again, err
}

// discard reads what is left of an answer, if it is little, so that its
// connection can be used again.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}
