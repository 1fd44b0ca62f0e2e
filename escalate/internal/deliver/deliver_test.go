package deliver_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
)

const token = "t0k3n/+with specials"

func sender(t *testing.T, c *http.Client) *deliver.Sender {
	t.Helper()
	s, err := deliver.New(deliver.Config{Provider: "test", Client: c, Timeout: 5 * time.Second, Secrets: []string{token, "", "/hook/t0k3n"}})
	require.NoError(t, err)
	return s
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

// What net/http says holds the address; what we say does not, and says what
// happened instead.
func TestFailuresHaveNamesAndNoAddress(t *testing.T) {
	s := strict.Slack(t, "/hook/t0k3n")
	u := parse(t, s.URL+"/hook/t0k3n")
	send := sender(t, s.Client())
	for fault, want := range map[strict.Fault]string{
		strict.Refused:    "it refused the connection",
		strict.Reset:      "it cut the connection before it had answered",
		strict.Untrusted:  "TLS: its certificate is signed by an authority that is not trusted",
		strict.Unresolved: "DNS: its host name cannot be resolved",
	} {
		s.Break(fault)
		_, err := send.Send(t.Context(), deliver.Request{URL: u, Body: []byte("{}")})
		require.ErrorContains(t, err, "test: "+want)
		require.False(t, escalate.IsPermanent(err))
		require.NotContains(t, err.Error(), "127.0.0.1")
		require.NotContains(t, err.Error(), "t0k3n")
		var withAddress *url.Error
		require.False(t, errors.As(err, &withAddress), "nor in what it wraps")
	}
	s.Break(strict.Slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := send.Send(ctx, deliver.Request{URL: u, Body: []byte("{}")})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "test: no answer in time")
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = send.Send(ctx, deliver.Request{URL: u})
	require.ErrorIs(t, err, context.Canceled)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestATransportOfOthersIsNotTrusted(t *testing.T) {
	u := parse(t, "https://x.example/hook/t0k3n")
	for _, c := range []struct {
		rt   roundTrip
		want string
	}{
		{func(*http.Request) (*http.Response, error) { panic(token) }, "Config.Client panicked with a string"},
		{func(*http.Request) (*http.Response, error) { return nil, errors.New("proxy: " + token) }, "whose text holds a secret"},
		{func(*http.Request) (*http.Response, error) {
			return nil, errors.New(base64.StdEncoding.EncodeToString([]byte(token)))
		}, "whose text holds a secret"},
		{func(*http.Request) (*http.Response, error) {
			return nil, errors.New("odd\n" + strings.Repeat("x", 9999))
		}, "the request failed: odd xxx"},
		{func(*http.Request) (*http.Response, error) { return nil, nil }, "the request failed"},
		{func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: 4711}, Err: errors.New("network is odd")}
		}, "the request failed: network is odd"},
	} {
		_, err := sender(t, &http.Client{Transport: c.rt}).Send(t.Context(), deliver.Request{URL: u})
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), token)
		require.Less(t, len(err.Error()), 400)
	}
}

// A redirect could take a credential to another host, and a POST that became a GET
// there would seem delivered.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	for status, class := range map[int]deliver.Class{301: deliver.Final, 302: deliver.Passing, 303: deliver.Passing, 307: deliver.Passing, 308: deliver.Final} {
		srv := httptest.NewServer(http.RedirectHandler(other.URL+"/?"+url.QueryEscape(token), status))
		t.Cleanup(srv.Close)
		follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		s := sender(t, follow)
		a, err := s.Send(t.Context(), deliver.Request{URL: parse(t, srv.URL), Body: []byte("{}")})
		require.NoError(t, err)
		require.Equal(t, class, a.Class(), status)
		err = s.Refused(a, a.Class(), "")
		require.ErrorContains(t, err, "redirects are not followed")
		require.NotContains(t, err.Error(), url.QueryEscape(token))
		require.NotNil(t, follow.CheckRedirect, "the caller's client is not changed")
	}
	require.Zero(t, elsewhere)
}

func TestAnswersAreBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for range 100 {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	a, err := sender(t, nil).Send(t.Context(), deliver.Request{URL: parse(t, srv.URL)})
	require.NoError(t, err)
	require.Len(t, a.Body, 4<<20)
}

func TestStatusClasses(t *testing.T) {
	for status, want := range map[int]deliver.Class{
		200: deliver.Taken, 202: deliver.Taken, 299: deliver.Taken, 304: deliver.Passing,
		400: deliver.Final, 401: deliver.Final, 404: deliver.Final, 410: deliver.Final, 413: deliver.Final, 100: deliver.Final,
		408: deliver.Passing, 425: deliver.Passing, 429: deliver.Passing, 500: deliver.Passing, 503: deliver.Passing, 599: deliver.Passing,
	} {
		require.Equal(t, want, deliver.Answer{Status: status}.Class(), status)
	}
}

func TestRefusedQuotesButNoSecret(t *testing.T) {
	s := sender(t, nil)
	said := deliver.Answer{Status: 403, Body: []byte("no\n\x1b[31m  access\u202e for you"), Header: http.Header{"Retry-After": {"7"}}}
	err := s.Refused(said, deliver.Final, "")
	require.EqualError(t, err, "test: answered 403 Forbidden (no [31m access for you): check the credential and what it may do (retry after 7s)")
	require.True(t, escalate.IsPermanent(err))
	said.Body = []byte("bad token " + token)
	require.NotContains(t, s.Refused(said, deliver.Final, "").Error(), "bad token")
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, " 5 ": 5 * time.Second, "-5": 0, "1.5": 0, "x": 0, "86400": time.Hour,
		strings.Repeat("9", 40):         time.Hour,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Mon, 01 Mar 2027 12:00:00 GMT": time.Hour,
	} {
		require.Equal(t, want, deliver.RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	theirs := http.Header{"Retry-After": {"Sun, 01 Mar 2026 10:00:30 GMT"}, "Date": {"Sun, 01 Mar 2026 10:00:00 GMT"}}
	require.Equal(t, 30*time.Second, deliver.RetryAfter(theirs, now), "their clock is wrong, and consistent")
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.True(t, deliver.Pause(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, deliver.Pause(ctx, time.Minute))
		require.Equal(t, 61*time.Second, time.Since(began))
		require.False(t, deliver.Pause(ctx, 0))
	})
}

func TestDefaultClientKeepsNoConnection(t *testing.T) {
	last := false
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { last = r.Close }))
	t.Cleanup(srv.Close)
	_, err := sender(t, nil).Send(t.Context(), deliver.Request{URL: parse(t, srv.URL), Method: http.MethodGet})
	require.NoError(t, err)
	require.True(t, last)
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("5", "")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add("99999999999999999999", "x")
	f.Fuzz(func(t *testing.T, value, date string) {
		d := deliver.RetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(1_700_000_000, 0))
		if d < 0 || d > time.Hour {
			t.Errorf("%q is %v", value, d)
		}
	})
}
