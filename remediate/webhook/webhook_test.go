package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/stretchr/testify/require"
)

var request = remediate.Request{
	Incident: "orders-7", Step: "shed", Phase: remediate.Run, Attempt: 2, Try: 3,
	Finding: detect.Finding{Key: "q1", Summary: "9000 is above 5000", Value: 9000, Limit: 5000, Unit: "jobs"},
}

// serve starts a server on loopback that ends with the test.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A server learns that the caller has gone only after it read the body.
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func TestCall(t *testing.T) {
	var got *http.Request
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	var log bytes.Buffer
	req := request
	req.Log = slog.New(slog.NewTextHandler(&log, nil))
	o := Options{
		URL:    strings.Replace(s.URL, "http://", "http://user:pa%2Fss@", 1) + "/hooks/secret?token=t0ken",
		Header: http.Header{"X-Team": {"a", "b"}}, Secret: "shared",
	}
	require.NoError(t, New(o)(t.Context(), req))

	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, "/hooks/secret?token=t0ken", got.URL.String())
	require.Equal(t, "orders-7/shed/2/run", got.Header.Get("Idempotency-Key"))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, []string{"a", "b"}, got.Header.Values("X-Team"))
	user, password, _ := got.BasicAuth()
	require.Equal(t, "user pa/ss", user+" "+password)
	want, err := json.Marshal(request)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(body))
	mac := hmac.New(sha256.New, []byte("shared"))
	mac.Write(body)
	require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), got.Header.Get("Selfheal-Signature"))

	require.Contains(t, log.String(), `msg="webhook answered" to=`+s.URL+` status=202`)
	require.NotContains(t, log.String(), "secret")
	require.NotContains(t, log.String(), "t0ken")
}

func TestOptionsAreCopied(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Team") != "a" || r.Method != http.MethodPut || r.Header.Get("Content-Type") != "application/x" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	o := Options{URL: s.URL, Method: http.MethodPut, Header: http.Header{"X-Team": {"a"}, "Content-Type": {"application/x"}}, Client: &http.Client{}}
	a := New(o)
	o.Header.Set("X-Team", "b")
	o.Client.Transport = failing{}
	require.NoError(t, a(t.Context(), request))
	require.Equal(t, failing{}, o.Client.Transport, "the given client is not changed")
	require.Nil(t, o.Client.CheckRedirect)
}

type failing struct{}

func (failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("dial %s refused", r.URL.Hostname())
}

func TestStatus(t *testing.T) {
	for status, advice := range map[int]string{
		201: "", 204: "",
		304: "set URL to the address that answers", 400: "see its answer", 401: "check the credentials", 403: "check the credentials",
		404: "check URL and Method", 409: "see its answer", 410: "check URL and Method",
		408: "give the step a Retry", 429: "give the step a Retry", 500: "give the step a Retry", 503: "give the step a Retry",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(status)
			if status >= 400 {
				_, _ = io.WriteString(w, "first\nsecond")
			}
		})
		err := New(Options{URL: s.URL + "/secret"})(t.Context(), request)
		if advice == "" {
			require.NoError(t, err, status)
			continue
		}
		var e *StatusError
		require.ErrorAs(t, err, &e, status)
		require.ErrorContains(t, err, advice)
		require.NotContains(t, err.Error(), "secret")
		require.Equal(t, status, e.Status)
		require.Equal(t, 2*time.Minute, e.RetryAfter)
		require.Equal(t, strings.HasSuffix(advice, "Retry"), e.Temporary())
		if status == 503 {
			require.Equal(t, "first\nsecond", e.Answer)
			require.EqualError(t, err, "webhook "+s.URL+`: answered 503 Service Unavailable, retry after 2m0s "first": it may pass: give the step a Retry`)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, " 7 ": 7 * time.Second, "-5": 0, "soon": 0, "1.5": 0,
		"86401": 24 * time.Hour, "9223372036854775807": 24 * time.Hour, "99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat):      time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):     0,
		now.AddDate(100, 0, 0).Format(http.TimeFormat):    24 * time.Hour,
		now.Add(90 * time.Second).Format(time.RFC850):     90 * time.Second,
		now.Add(90*time.Second).Format(time.ANSIC) + " x": 0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {v}}, now), "%q", v)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	endless := func(status int) *httptest.Server {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			chunk := bytes.Repeat([]byte("x"), 32<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
	}
	require.NoError(t, New(Options{URL: endless(200).URL})(t.Context(), request))
	err := New(Options{URL: endless(500).URL, MaxResponse: 1000})(t.Context(), request)
	var e *StatusError
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Answer, 1000)
	require.Less(t, len(err.Error()), 500)
}

// A 2xx counts from its first line on; what follows may hang.
func TestAnswerThatHangs(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	require.NoError(t, New(Options{URL: s.URL, Timeout: 50 * time.Millisecond})(t.Context(), request))
}

func TestNoAnswer(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	err := New(Options{URL: s.URL + "/secret", Timeout: 50 * time.Millisecond})(t.Context(), request)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, "webhook "+s.URL+": no answer: nothing within 50ms: check the other side, or raise Timeout: context deadline exceeded")

	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, remediate.ErrStopping)
	defer cancel()
	err = New(Options{URL: s.URL, Timeout: -1})(ctx, request)
	require.ErrorIs(t, err, remediate.ErrStopping)

	err = New(Options{URL: s.URL})(ctx, request)
	require.ErrorIs(t, err, remediate.ErrStopping)
	require.ErrorContains(t, err, "not called")

	gone := httptest.NewServer(answer(200))
	gone.Close()
	var log bytes.Buffer
	req := request
	req.Log = slog.New(slog.NewTextHandler(&log, nil))
	err = New(Options{URL: strings.Replace(gone.URL, "//", "//user:hidden@", 1) + "/hidden?q=hidden"})(t.Context(), req)
	require.ErrorContains(t, err, "check that it can be reached")
	require.NotContains(t, err.Error()+log.String(), "hidden")
}

// Whatever fails, neither error nor log repeats the address.
func TestNoSecretInAnyError(t *testing.T) {
	for name, err := range map[string]error{
		"transport": New(Options{URL: "https://u:hidden@example.invalid/hidden?hidden#", Client: &http.Client{Transport: failing{}}})(t.Context(), request),
		"url":       Options{URL: "http://user:hid/den@host:hidden"}.Validate(),
		"escape":    Options{URL: "http://host/%zzhidden"}.Validate(),
		"scheme":    Options{URL: "ftp://u:hidden@host"}.Validate(),
		"fragment":  Options{URL: "https://host/#hidden"}.Validate(),
		"header":    Options{URL: "https://host", Header: http.Header{"A": {"hidden\n"}}}.Validate(),
		"action":    New(Options{URL: "http://host/%zzhidden"})(t.Context(), request),
	} {
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hid", name)
	}
	o := Options{URL: "https://u:hidden@host/hidden?hidden", Secret: "hidden", Header: http.Header{"Authorization": {"hidden"}}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "o", o)
	for _, s := range []string{fmt.Sprint(o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprintf("%+v", &o), log.String()} {
		require.Contains(t, s, "POST https://host")
		require.NotContains(t, s, "hidden")
	}
	require.Equal(t, "PUT (unreadable address)", Options{Method: "PUT", URL: "%"}.String())
}

func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	var s *httptest.Server
	var hops atomic.Int64
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := r.URL.Query().Get("to")
		switch r.URL.Path {
		case "/final":
			body, _ := io.ReadAll(r.Body)
			_, _, auth := r.BasicAuth()
			if r.Method != http.MethodPost || len(body) == 0 || !auth || r.Header.Get("Idempotency-Key") == "" || r.Header.Get("Selfheal-Signature") == "" {
				w.WriteHeader(http.StatusTeapot)
			}
		case "/loop":
			hops.Add(1)
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		default:
			var status int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
			w.Header().Set("Location", to)
			w.WriteHeader(status)
		}
	})
	call := func(path string) error {
		return New(Options{URL: strings.Replace(s.URL, "//", "//u:p@", 1) + path, Secret: "x"})(t.Context(), request)
	}
	require.NoError(t, call("/307?to=/final"))
	require.NoError(t, call("/308?to="+s.URL+"/final"), "the same host, spelled out")
	for _, path := range []string{
		"/301?to=/final", "/302?to=/final", "/303?to=/final", "/307?to=" + other.URL, "/308?to=" + other.URL,
		"/307?to=//example.invalid/", "/307?to=" + strings.Replace(s.URL, "http:", "https:", 1), "/307?to=%25zzhidden", "/308",
		"/307?to=" + strings.Replace(s.URL, "//", "//x:y@", 1),
	} {
		err := call(path)
		var e *StatusError
		require.ErrorAs(t, err, &e, path)
		require.Equal(t, path[1:4], fmt.Sprint(e.Status))
		require.NotContains(t, err.Error(), "hidden")
	}
	require.Zero(t, elsewhere.Load(), "nothing went to another host")
	err := call("/loop")
	require.EqualError(t, err, "webhook "+s.URL+": it redirects again and again: set URL to the address that answers")
	require.EqualValues(t, 1+maxRedirects, hops.Load())
}

// The action is as good with a client that does anything for it.
func TestRedirectsWithAGivenClient(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("called") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	c := s.Client()
	defer c.CloseIdleConnections()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
	var e *StatusError
	require.ErrorAs(t, New(Options{URL: s.URL, Client: c})(t.Context(), request), &e)
}

func TestOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(answer(200))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	err := New(Options{URL: s.URL})(t.Context(), request)
	require.ErrorContains(t, err, "certificate", "system roots do not know it")
	c := s.Client()
	defer c.CloseIdleConnections()
	require.NoError(t, New(Options{URL: s.URL, Client: c})(t.Context(), request))
}

// Ours is no part of what other code may change for the whole process.
func TestGlobalClientIsNotUsed(t *testing.T) {
	s := serve(t, answer(200))
	client, transport := *http.DefaultClient, http.DefaultTransport
	defer func() { *http.DefaultClient, http.DefaultTransport = client, transport }()
	http.DefaultClient.Transport, http.DefaultTransport = failing{}, failing{}
	require.NoError(t, New(Options{URL: s.URL})(t.Context(), request))
	require.NoError(t, New(Options{URL: s.URL, Client: &http.Client{}})(t.Context(), request))
}

func TestHeaderKey(t *testing.T) {
	require.Equal(t, "orders-7/shed/2/run", headerKey("orders-7/shed/2/run"))
	require.Equal(t, "a%20b%25%0A%C3%9F", headerKey("a b%\nß"))
	long := headerKey(strings.Repeat("x", 300))
	require.Len(t, long, maxKey)
	require.NotEqual(t, long, headerKey(strings.Repeat("x", 301)))
}

func FuzzHeaderKey(f *testing.F) {
	f.Add("orders-7/shed/1/run", "a b")
	f.Add("\r\nX-Evil: 1", "%0D%0AX-Evil: 1")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, k := range []string{headerKey(a), headerKey(b)} {
			require.LessOrEqual(t, len(k), maxKey)
			require.False(t, strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r >= 0x7f }))
		}
		require.Equal(t, a == b, headerKey(a) == headerKey(b), "different keys stay different")
	})
}

func TestValidate(t *testing.T) {
	require.NoError(t, Options{URL: "https://host/path?x=1"}.Validate())
	require.NoError(t, Options{URL: "http://u:p@[::1]:8080", Method: "PATCH", Timeout: -1, Header: http.Header{"X-A": {"b\tc"}}}.Validate())
	for want, change := range map[string]func(*Options){
		"not an http or https address":    func(o *Options) { o.URL = "" },
		"an http or https":                func(o *Options) { o.URL = "https:///path" },
		"http or https address with":      func(o *Options) { o.URL = "https://:80" },
		"or https address with a host":    func(o *Options) { o.URL = "host/path" },
		"URL cannot be read":              func(o *Options) { o.URL = "http://[::1" },
		"URL has a fragment":              func(o *Options) { o.URL += "#x" },
		"beside an Authorization header":  func(o *Options) { o.URL = "http://u@h"; o.Header = http.Header{"Authorization": {"x"}} },
		`Method is "GET"`:                 func(o *Options) { o.Method = "GET" },
		"Header Idempotency-Key is set":   func(o *Options) { o.Header = http.Header{"Idempotency-Key": {"x"}} },
		"Header selfheal-signature is":    func(o *Options) { o.Header = http.Header{"selfheal-signature": {"x"}} },
		`Header "a b" cannot name`:        func(o *Options) { o.Header = http.Header{"a b": nil} },
		`Header "" cannot name`:           func(o *Options) { o.Header = http.Header{"": nil} },
		"has a value with a control char": func(o *Options) { o.Header = http.Header{"A": {"b\r\nC: d"}} },
		"Timeout is -2ns":                 func(o *Options) { o.Timeout = -2 },
		"MaxResponse is -1":               func(o *Options) { o.MaxResponse = -1 },
	} {
		o := Options{URL: "https://host/"}
		change(&o)
		err := o.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "only one")
	}
	all := Options{URL: "x", Method: "GET", Timeout: -5, MaxResponse: -5}.Validate()
	require.Equal(t, 3, strings.Count(all.Error(), "\n"), "%v", all)
	require.ErrorContains(t, New(Options{URL: "x"})(t.Context(), request), "webhook: not called, its options are wrong")
}

func TestSameOrigin(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"https://a.example/x", "https://A.example:443/y"}: true,
		{"http://a.example:80", "http://a.example"}:        true,
		{"http://a.example", "https://a.example"}:          false,
		{"https://a.example", "https://a.example:8443"}:    false,
		{"https://a.example", "https://b.a.example"}:       false,
		{"https://a.example", "https://a.example.evil"}:    false,
		{"https://a.example", "https://u@a.example"}:       false,
		{"http://[::1]:8080", "http://[::1]:8080/x"}:       true,
	} {
		a, err := url.Parse(pair[0])
		require.NoError(t, err)
		b, err := url.Parse(pair[1])
		require.NoError(t, err)
		require.Equal(t, want, sameOrigin(a, b), "%v", pair)
	}
}
