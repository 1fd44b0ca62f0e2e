package receivetest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Receiver is what all receivers of alerts have in common.
type Receiver interface {
	http.Handler
	Alerts(name string, match ...string) detect.Detector
	All() detect.Detector
	Forget(ctx context.Context, key string) error
	Stats() detect.ReceiverStats
}

// Options are the parts of a Config that the suite sets.
type Options struct {
	Store     detect.Store
	Expiry    time.Duration
	Lag       time.Duration
	MaxAlerts int
	MaxBody   int64
}

// States of an [Alert].
const (
	Firing   = "firing"
	Resolved = "resolved"
	NoData   = "no data"
)

// An Alert is what a fixture puts into a body.
type Alert struct {
	Name, Instance string
	State          string
	// Start is since when it fires or has no data, End when it was resolved.
	Start, End time.Time
	// Data says that it is NoData that was resolved, where the sender keeps that
	// apart.
	Data bool
}

// A Fixture is a receiver under test.
type Fixture struct {
	// New makes a receiver that demands a proof of origin.
	New func(t testing.TB, o Options) (Receiver, error)
	// Request makes a request with a proof; now is what it may sign.
	Request func(t testing.TB, a Alert, now time.Time) *http.Request
	// Instance is the label that has Alert.Instance.
	Instance string
	// Garbage makes a request with a proof whose body is no JSON, nil where that
	// cannot be.
	Garbage func(t testing.TB) *http.Request
	// NoNoData says that the sender has no such state.
	NoNoData bool
}

// Quiet is a logger that says nothing.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Send hands a request over and returns the status.
func Send(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// world is a receiver in a bubble.
type world struct {
	t testing.TB
	f Fixture
	r Receiver
}

func start(t testing.TB, f Fixture, o Options) *world {
	t.Helper()
	r, err := f.New(t, o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return &world{t, f, r}
}

// say sends an alert and wants 2xx.
func (w *world) say(a Alert) {
	w.t.Helper()
	if code := w.send(a); code/100 != 2 {
		w.t.Fatalf("%+v was answered %d, want 2xx; %+v", a, code, w.r.Stats())
	}
}

func (w *world) send(a Alert) int {
	w.t.Helper()
	return Send(w.r, w.f.Request(w.t, a, time.Now()))
}

// want compares what a detector says: instances that are found, and those that
// are stale.
func (w *world) want(d detect.Detector, found, stale string) {
	w.t.Helper()
	fs, err := d.Detect(w.t.Context())
	var in, old []string
	for _, f := range fs {
		in = append(in, f.Labels[w.f.Instance])
	}
	for _, s := range detect.StaleOf(err) {
		old = append(old, s.Finding.Labels[w.f.Instance])
	}
	if got := strings.Join(in, " "); got != found {
		w.t.Fatalf("found %q, want %q (error: %v)", got, found, err)
	}
	if got := strings.Join(old, " "); got != stale {
		w.t.Fatalf("stale %q, want %q (error: %v)", got, stale, err)
	}
	if err != nil && stale == "" {
		w.t.Fatalf("blind: %v", err)
	}
}

// blind wants an error that says nothing of any alert.
func (w *world) blind(d detect.Detector) {
	w.t.Helper()
	fs, err := d.Detect(w.t.Context())
	if err == nil || len(fs) > 0 || detect.StaleOf(err) != nil {
		w.t.Fatalf("found %v, error %v; want to be blind", fs, err)
	}
}

func (w *world) counted(reason string, m map[string]uint64, n uint64) {
	w.t.Helper()
	if m[reason] != n {
		w.t.Fatalf("%q was counted %d times, want %d: %+v", reason, m[reason], n, w.r.Stats())
	}
}

const (
	disk = "DiskFull"
	hour = time.Hour
)

func fires(instance string, at time.Time) Alert {
	return Alert{Name: disk, Instance: instance, State: Firing, Start: at}
}

func ends(instance string, start, end time.Time) Alert {
	return Alert{Name: disk, Instance: instance, State: Resolved, Start: start, End: end}
}

// Test runs the suite.
func Test(t *testing.T, f Fixture) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, f) })
		})
	}
	t.Run("posts at once", func(t *testing.T) { atOnce(t, f) })
	t.Run("a healthy look allocates nothing", func(t *testing.T) { healthyLook(t, f) })
}

// BrokenStore is a Store that does as it is told.
type BrokenStore struct {
	detect.MemoryStore
	Err   error
	Panic bool
	Hang  chan struct{} // waits for it, ignoring ctx
	Puts  int
}

// Put fails, panics or hangs as told.
func (s *BrokenStore) Put(ctx context.Context, es ...detect.Entry) error {
	s.Puts++
	if s.Hang != nil {
		<-s.Hang
	}
	if s.Panic {
		panic("the store is broken")
	}
	if s.Err != nil {
		return s.Err
	}
	return s.MemoryStore.Put(ctx, es...)
}

var errDisk = errors.New("no space left on device")

// Fuzzed sends a request with any body, and checks what must be so whatever it
// says.
func Fuzzed(t *testing.T, r Receiver, q *http.Request, proved bool) {
	t.Helper()
	all := r.All()
	code := Send(r, q)
	found, err := all.Detect(t.Context())
	s := r.Stats()
	switch {
	case !proved && (code/100 != 4 || len(found) > 0 || s.Taken > 0):
		t.Fatalf("without a proof: answered %d, found %v", code, found)
	case proved && code >= 500:
		t.Fatalf("answered %d", code)
	case len(found) != s.Firing && err == nil:
		t.Fatalf("%d found, %d said to fire", len(found), s.Firing)
	case s.Firing > 5:
		t.Fatalf("%d fire, and 5 may", s.Firing)
	}
	for i, f := range found {
		if f.Key == "" || f.Summary == "" || strings.ContainsAny(f.Summary, "\n\r\x1b") || len(f.Summary) > 1000 {
			t.Fatalf("%q has the summary %q", f.Key, f.Summary)
		}
		if i > 0 && found[i-1].Key >= f.Key {
			t.Fatalf("%q and %q are out of order", found[i-1].Key, f.Key)
		}
	}
}
