package dependency

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// HTTPOptions are for [HTTPCheck].
type HTTPOptions struct {
	// URL is asked. Required.
	URL string
	// Method is GET unless set.
	Method string
	// Header is sent along.
	Header http.Header
	// Well says whether an answer is well; it may read the body, which is closed
	// for it. nil: the statuses 200 to 399 are (the kubelet's rule).
	Well func(*http.Response) error
	// Transport makes the call. nil: one that makes a new connection each time, as
	// the kubelet does, so that a server that only keeps its old connections alive
	// is not well; proxies are those of the environment.
	Transport http.RoundTripper
}

// HTTPCheck returns a health check that asks by HTTP. Redirects are not followed:
// that the first server answers is what was asked. It keeps no connection and no
// goroutine. Errors do not hold the query or the password of the URL.
func HTTPCheck(o HTTPOptions) func(ctx context.Context) error {
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	o.Header = o.Header.Clone()
	return func(ctx context.Context) error {
		if err := checkURL(o.URL); err != nil {
			return fmt.Errorf("dependency: HTTPCheck: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, o.Method, o.URL, nil)
		if err != nil {
			return fmt.Errorf("dependency: HTTPCheck: %w", err)
		}
		for k, v := range o.Header {
			req.Header[k] = v
		}
		req.Close = true
		resp, err := o.Transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer discard(resp.Body)
		if o.Well != nil {
			return o.Well(resp)
		}
		if resp.StatusCode < 200 || resp.StatusCode >= 400 {
			return errors.New("it answers " + resp.Status)
		}
		return nil
	}
}

// TCPCheck returns a health check that connects to host:port and hangs up.
func TCPCheck(addr string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
