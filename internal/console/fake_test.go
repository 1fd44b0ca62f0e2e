package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fake is a supervisor as the console sees it.
type fake struct {
	mu      sync.Mutex
	state   State
	reads   int
	history *History
	seq     uint64
	orders  []Order
	used    map[string]bool
	refused int
	fail    error
}

func newFake() *fake {
	born := time.Date(2026, 3, 1, 3, 24, 0, 0, time.UTC)
	return &fake{state: State{At: born, Service: "orders", Run: "running", Mode: "auto", Since: born, Week: Week{From: born}}, history: NewHistory(born), used: map[string]bool{}}
}

// fill makes it have much to say.
func (f *fake) fill(watches, open, closed int) *fake {
	at := f.state.At
	for n := range watches {
		w := Watch{Name: fmt.Sprintf("team-%d/queue-%05d", n%20, n), Site: "orders/heal.go:12", Mode: "auto", State: "healthy", Every: time.Second, Next: "scale"}
		if n%100 == 7 {
			w.State, w.Why = "blind", "dial tcp 10.0.0.1:5432: connection refused"
		}
		f.state.Watches = append(f.state.Watches, w)
	}
	for n := range open {
		f.state.Open = append(f.state.Open, fakeIncident(n, at))
	}
	for n := range closed {
		in := fakeIncident(open+n, at)
		in.State, in.HeldBy, in.Closed, in.Until = "closed", "", at.Add(time.Minute), time.Time{}
		in.Trail = fakeTrail(at)
		f.state.Closed = append(f.state.Closed, &in)
	}
	f.state.Week.Held = map[string]int{"budget": 3, "cooldown": 12}
	return f
}

func fakeIncident(n int, at time.Time) Incident {
	return Incident{
		ID: fmt.Sprintf("k3v9x2-%d", n), Watch: fmt.Sprintf("team-%d/queue-%05d", n%20, n), Key: "eu-1", State: "held", Severity: "critical",
		Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs", Found: at.Add(time.Duration(n) * time.Second), Opened: at,
		Ladder: []Rung{
			{Step: "scale-workers", Risk: "safe", Scope: "self", State: "done", Outcome: "no effect", Started: at, Ended: at.Add(time.Minute)},
			{Step: "shed-load", Risk: "disruptive", Scope: "self", State: "held", Undo: "owed"},
			{Step: "restart", Risk: "disruptive", Scope: "host", State: "later"},
			{Step: "page", Risk: "destructive", Scope: "shared", State: "later"},
		},
		HeldBy: "budget", Why: "30 steps above safe ran within the hour", Held: at, Until: at.Add(time.Hour), Told: true, Reason: "held too long",
		Detail: "look at the queue", Symptoms: []string{"checkout", "mail[eu-1]"}, Runbook: "https://runbooks.example/queue",
		Evidence: []Evidence{{Name: "goroutines", Type: "text/plain", Ref: "20260301T032400000Z-abcdefghijklmnopqrstuvwxyz/goroutines.txt", Bytes: 12345}},
		Trail:    Trail{Version: 1},
	}
}

func fakeTrail(at time.Time) (t Trail) {
	for n := range keptSamples {
		t.Samples = append(t.Samples, Sample{At: at.Add(time.Duration(n) * time.Second), Value: float64(9000 - 37*n%4000), Clear: n == 60})
	}
	for n, kind := range []string{"open", "start", "step", "start", "step", "undo", "page", "close"} {
		t.Marks = append(t.Marks, Mark{At: at.Add(time.Duration(n) * 15 * time.Second), Kind: kind, Text: kind + " shed-load: no effect"})
	}
	return t
}

func (f *fake) source() Source {
	return Source{
		State: func() *State {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.reads++
			st := f.state
			st.Watches = append([]Watch(nil), st.Watches...)
			st.Open = append([]Incident(nil), st.Open...)
			return &st
		},
		Status: func(brief bool) any { return map[string]any{"service": "orders", "brief": brief} },
		Trail:  func(id string) (Trail, bool) { return fakeTrail(f.state.At), true },
		Changed: func() (uint64, <-chan struct{}) {
			return f.history.Changed()
		},
		Lines: f.history.Lines, Journal: f.history.Journal,
		Do: func(_ context.Context, o Order) (*Plan, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.orders = append(f.orders, o)
			if f.fail != nil {
				return nil, f.fail
			}
			if o.Kind == Planning {
				return &Plan{Watch: o.Watch, Fingerprint: "0123456789abcdef", Mode: "auto", Steps: []PlanStep{{Step: "scale", Text: "scale: safe, self", Would: "run"}}, Limits: "limits: none"}, nil
			}
			return nil, nil
		},
		Used:    func(Control, string) {},
		Refused: func(Control, error) { f.mu.Lock(); f.refused++; f.mu.Unlock() },
		Use: func(id string, _ time.Time) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.used[id] {
				return ErrUsed
			}
			f.used[id] = true
			return nil
		},
		Evidence: func(string) (io.ReadSeekCloser, error) { return nil, errors.New("the store is gone") },
	}
}

// happen is an event.
func (f *fake) happen(text string) {
	f.mu.Lock()
	f.seq++
	l := Line{Seq: f.seq, Time: time.Now(), Watch: "selfheal", Text: text}
	f.mu.Unlock()
	f.history.Take(l, News{})
}

// count is how often everything was read since the last time.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.reads
	f.reads = 0
	return n
}

// change changes what there is, which nobody is told of.
func (f *fake) change(g func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g(&f.state)
}

func yes(*http.Request, Control) (string, error) { return "alice", nil }

func (f *fake) handler(t testing.TB, o Options) *Handler {
	o.Source = f.source()
	h, err := New(o)
	require.NoError(t, err)
	return h
}

// ask asks a handler as something on the same machine does.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	path, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery, r.Host = path, query, "localhost"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func page(h http.Handler, path string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, path, "", "Accept", "text/html,*/*")
}

func escapeQuery(s string) string { return url.QueryEscape(s) }
