package escalate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

var note = escalate.Log(nil)

func TestPing(t *testing.T) {
	var method atomic.Value
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method.Store(r.Method + " " + r.URL.Path)
		w.WriteHeader(status)
	}))
	defer server.Close()
	d := escalate.DeadMan{URL: escalate.Secret(server.URL + "/canary")}
	require.NoError(t, d.Ping(t.Context()))
	require.Equal(t, "GET /canary", method.Load())
	d.Method, d.Client = http.MethodPost, server.Client()
	require.NoError(t, d.Ping(t.Context()))
	require.Equal(t, "POST /canary", method.Load())
	status = http.StatusGone
	require.ErrorContains(t, d.Ping(t.Context()), "410")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server.Close()
	for _, err := range []error{d.Ping(ctx), d.Ping(t.Context()), escalate.DeadMan{URL: "http://canary\x7f"}.Ping(t.Context())} {
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	}
	require.ErrorIs(t, d.Ping(ctx), context.Canceled)
}

func TestDeadManMistakes(t *testing.T) {
	require.False(t, escalate.DeadMan{}.On())
	require.False(t, escalate.DeadMan{To: escalate.Named("x", nil)}.On())
	require.True(t, escalate.DeadMan{To: note}.On())
	require.Empty(t, escalate.DeadMan{URL: "https://example.test/x", To: note, Every: time.Second}.Validate())
	for want, d := range map[string]escalate.DeadMan{
		"URL is no address":       {URL: "canary"},
		"not shown":               {URL: "ftp://canary/"},
		"Method is \"PUT\"":       {URL: "https://example.test/", Method: "PUT"},
		"Every is -1s":            {Every: -time.Second},
		"use at least 1 s":        {Every: time.Millisecond},
		"To is nil":               {URL: "https://example.test/", To: escalate.Named("x", nil)},
		"To is named \"\"":        {To: escalate.Named("", note)},
		"set both N and Per":      {To: escalate.Limit(note, escalate.Rate{N: 1})},
		"has a limit of -1 in 1s": {To: escalate.Limit(note, escalate.Rate{N: -1, Per: time.Second})},
	} {
		errs := d.Validate()
		require.NotEmpty(t, errs, want)
		require.ErrorContains(t, errs[0], want)
		require.NotContains(t, errs[0].Error(), "canary")
	}
}

type rated struct{ escalate.Notifier }

func (rated) Rate() escalate.Rate { return escalate.Rate{N: 120, Per: time.Minute} }

func TestLimit(t *testing.T) {
	n := escalate.Named("pager", rated{note})
	require.Equal(t, escalate.Rate{N: 120, Per: time.Minute}, escalate.RateOf(n))
	slow := escalate.Rate{N: 1, Per: time.Second}
	for _, l := range []escalate.Notifier{escalate.Limit(n, slow), escalate.Named("pager", escalate.Limit(rated{note}, slow))} {
		require.Equal(t, slow, escalate.RateOf(l))
		require.Equal(t, "pager", escalate.Name(l))
	}
	require.Zero(t, escalate.RateOf(escalate.Limit(n, escalate.Rate{})), "no bound")
	require.Equal(t, n, escalate.Unwrap(escalate.Limit(n, slow)))
	require.Nil(t, escalate.Unwrap(note))
	require.False(t, escalate.To(escalate.Limit(nil, slow)).Pages())
	require.NotEmpty(t, escalate.To(escalate.Limit(nil, slow)).Validate())
}

func TestATestSaysSo(t *testing.T) {
	n := escalate.Notification{Kind: escalate.Resolve, Test: true, Incident: escalate.Incident{Watch: "w"}}
	require.True(t, strings.HasPrefix(n.Title(), "test: resolved: w"))
}

// A provider that takes one call a second, whatever its notifier believes.
func ExampleLimit() {
	chat := escalate.Limit(escalate.Named("chat", escalate.Log(nil)), escalate.Rate{N: 1, Per: time.Second})
	fmt.Println(escalate.Name(chat), escalate.RateOf(chat).N, "in", escalate.RateOf(chat).Per)
	// Output: chat 1 in 1s
}

// A check at a service that calls people when it is not called for long.
func ExampleDeadMan() {
	checks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fmt.Println("alive") }))
	defer checks.Close()
	d := escalate.DeadMan{URL: escalate.Secret(checks.URL + "/ping/0f3a"), Every: time.Minute}
	fmt.Println(d.Ping(context.Background()))
	fmt.Println(d.URL)
	// Output:
	// alive
	// <nil>
	// ***
}
