package host

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const dbName = "db.test."

// Each way in which a real server can fail is told apart.
func TestHowARealServerFails(t *testing.T) {
	s := newNameServer(t, map[string]string{dbName: "127.0.0.9"})
	lookup := Server(s.address())
	patience := 300 * time.Millisecond
	d := newDNS(Options{DNS: DNSOptions{Names: []string{dbName}, Lookup: lookup, Patience: patience, Fails: 1}}.effective())
	require.Empty(t, look(t, d))
	for mood, want := range map[string]string{
		"silent": "no answer within 300ms", "servfail": "the server fails", "nxdomain": "no such name", "empty": "has no address",
		"junk": "no answer within 300ms",
	} {
		s.turn(mood)
		found := look(t, d)
		require.Len(t, found, 1, mood)
		require.Equal(t, dbName, found[0].Key)
		require.Contains(t, found[0].Summary, want, mood)
	}
	s.turn("")
	require.Len(t, look(t, d), 1, "once is not twice")
	require.Empty(t, look(t, d))
}

func TestDNSConforms(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		var how atomic.Value
		how.Store("well")
		lookup := func(ctx context.Context, name string) ([]string, error) {
			switch how.Load() {
			case "sick":
				return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
			case "hang":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []string{"127.0.0.1"}, nil
		}
		return selfhealtest.DetectorFixture{
			Detector:    DNS(Options{DNS: DNSOptions{Names: []string{dbName, "a.test."}, Lookup: lookup, Fails: 1, Patience: time.Second}}).Detector,
			Sicken:      func() { how.Store("sick") },
			Heal:        func() { how.Store("well") },
			Hang:        func() { how.Store("hang") },
			Within:      50 * time.Millisecond,
			AllowAllocs: true,
		}
	})
}

// A lookup that panics, or ends its goroutine, is blind and takes nobody with it.
func TestALookupThatPanicsIsBlind(t *testing.T) {
	for want, fault := range map[string]func(){"look b. up: ": func() { panic("no") }, selfheal.ErrGoexit.Error(): runtime.Goexit} {
		d := DNS(Options{DNS: DNSOptions{Names: []string{"a.", "b."}, Lookup: func(_ context.Context, name string) ([]string, error) {
			if name == "b." {
				fault()
			}
			return []string{"10.0.0.1"}, nil
		}}}).Detector
		found, err := d.Detect(t.Context())
		require.ErrorContains(t, err, want)
		require.Empty(t, found)
	}
}

// What was before a fix does not count against it.
func TestHowManyFailuresMakeAFinding(t *testing.T) {
	var r resolved
	for i, c := range []struct {
		why  string
		sick bool
	}{{"", false}, {"x", false}, {"", false}, {"x", false}, {"x", true}, {"", true}, {"x", true}, {"", true}, {"", false}, {"x", false}, {"x", false}, {"x", true}} {
		r.take(c.why, 3, 5)
		require.Equal(t, c.sick, r.sick, i)
	}
}

// The first server dies; the service goes on with what it knew, then with the second
// server for what it did not know; both are put back when the first is well again.
func TestARealServerDiesAndTheServiceGoesOn(t *testing.T) {
	t.Parallel()
	first := newNameServer(t, map[string]string{dbName: "127.0.0.9", "new.test.": "127.0.0.8"})
	second := newNameServer(t, map[string]string{dbName: "127.0.0.9", "new.test.": "127.0.0.8"})
	r := NewResolver(ResolverOptions{First: Server(first.address()), Second: Server(second.address()), Patience: 100 * time.Millisecond})
	w := DNS(Options{DNS: DNSOptions{Names: []string{dbName}, Resolver: r, Every: 50 * time.Millisecond, Patience: 300 * time.Millisecond, Fails: 2}})
	w.KeepFor = 200 * time.Millisecond
	events := make(chan selfheal.Event, 1000)
	pager := &selfhealtest.Pager{}
	s := selfheal.New(selfheal.Options{Logger: quiet(), Escalate: policyOf(pager), Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
		select {
		case events <- e:
		default:
		}
	})})
	s.Watch(w)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	wait := func(text string) {
		t.Helper()
		for {
			select {
			case e := <-events:
				if strings.Contains(e.(interface{ String() string }).String(), text) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("never: %s", text)
			}
		}
	}
	require.Eventually(t, func() bool { return second.asked.Load() == 0 && first.asked.Load() > 2 }, 5*time.Second, time.Millisecond)
	first.turn("servfail")
	wait("serve-last-good: healed")
	got, err := r.LookupHost(ctx, "DB.test.")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.9"}, got)
	_, err = r.LookupHost(ctx, "new.test.")
	require.Error(t, err, "what was never known cannot be served")
	require.Zero(t, second.asked.Load())
	require.NoError(t, r.UseSecond().Run(ctx, remediate.Request{}))
	got, err = r.LookupHost(ctx, "new.test.")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.8"}, got)
	first.turn("")
	wait("close")
	require.Eventually(t, func() bool { stale, _, _ := r.modes(); return stale == off }, 10*time.Second, time.Millisecond)
	require.Empty(t, pager.Pages())
}

// flaky is a lookup that a test switches.
type flaky struct {
	mu    sync.Mutex
	well  bool
	asked int
	found []string
	err   error
}

func (f *flaky) lookup(context.Context, string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.well {
		return []string{"10.0.0.1"}, nil
	}
	return f.found, f.err
}

func (f *flaky) turn(well bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.well, f.err = well, err
}

var errServfail = &net.DNSError{Err: "server misbehaving", IsTemporary: true}

func TestTheLadderOfDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &flaky{well: true, err: errServfail}, &flaky{well: true}
		r := NewResolver(ResolverOptions{First: first.lookup, Second: second.lookup, MaxAge: 30 * time.Minute})
		h := &switches{}
		trial := selfhealtest.Start(t, DNS(Options{DNS: DNSOptions{Names: []string{dbName}, Resolver: r, Reconnect: h.run("reconnect")}}))
		time.Sleep(time.Minute)
		first.turn(false, errServfail)
		time.Sleep(9 * time.Minute)
		stale, _, _ := r.modes()
		require.Equal(t, leaving, stale, "it is put back, and goes on while the first server fails")
		time.Sleep(5 * time.Minute)
		first.turn(true, nil)
		time.Sleep(10 * time.Minute)
		trial.Want(`
			1m37s open dns[db.test.]: db.test. does not resolve: the server fails (SERVFAIL or alike)
			1m37s step dns[db.test.] triage: skipped
			2m22s step dns[db.test.] serve-last-good: healed
			7m22s undo dns[db.test.] serve-last-good
			7m22s close dns[db.test.]
			11m52s open dns[first server]: the first DNS server has failed for more than 10m, and a fallback answers in its place
			11m52s step dns[first server] triage: failed
			11m52s page dns[first server] escalated
			20m37s resolve dns[first server]
			20m37s close dns[first server]`)
		require.Zero(t, len(h.heard()))
	})
}

// Several names at once: people are called, and nothing is climbed for that.
func TestSeveralNamesCallPeopleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{err: errServfail}
		h := &switches{}
		r := NewResolver(ResolverOptions{First: f.lookup, MaxAge: -1})
		trial := selfhealtest.Start(t, DNS(Options{DNS: DNSOptions{Names: []string{"a.", "b.", "c."}, Resolver: r, Reconnect: h.run("reconnect")}}))
		time.Sleep(time.Minute)
		require.Contains(t, trial.Timeline(), "page dns[several names] escalated")
	})
}

func TestTheResolverNeverMakesItWorse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		first := &flaky{well: true}
		r := NewResolver(ResolverOptions{First: first.lookup, MaxAge: time.Hour, Most: 3})
		get := func(name string) []string { got, _ := r.LookupHost(ctx, name); return got }
		require.Len(t, get("a"), 1)
		first.turn(false, &net.DNSError{Err: "no such host", IsNotFound: true})
		require.Empty(t, get("a"), "without a fallback in force it answers as the server does")
		require.NoError(t, r.ServeLastGood().Run(ctx, remediate.Request{}))
		require.Len(t, get("a"), 1, "an answer that there is no such name is not taken for the truth while a step says so")
		require.Empty(t, get("never known"))
		first.turn(false, nil)
		time.Sleep(10 * time.Second)
		require.Len(t, get("a"), 1, "neither is an empty one")
		asked := first.asked
		for range 100 {
			get("a")
		}
		require.Equal(t, asked, first.asked, "not every caller waits for a server that fails")
		time.Sleep(time.Hour)
		require.Empty(t, get("a"), "an answer that is too old is none")

		first.turn(true, nil)
		for _, n := range []string{"1", "2", "3", "4", "5"} {
			get(n)
		}
		require.LessOrEqual(t, len(r.last), 3)
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		first.turn(false, context.Canceled)
		_, err := r.LookupHost(cancelled, "5")
		require.Error(t, err)
		require.False(t, r.failed && r.well == 0, "who leaves says nothing of the server")
		require.ErrorIs(t, r.UseSecond().Run(ctx, remediate.Request{}), remediate.ErrSkip, "there is none")
	})
}

func TestTheFallbackStepsConform(t *testing.T) {
	for name, step := range map[string]func(*Resolver) remediate.Step{"stale": (*Resolver).ServeLastGood, "second": (*Resolver).UseSecond} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
				r := NewResolver(ResolverOptions{First: (&flaky{well: true}).lookup, Second: (&flaky{well: true}).lookup})
				return selfhealtest.StepFixture{
					Step: step(r),
					State: func() string {
						a, b, _ := r.modes()
						return string([]byte{'0' + byte(a), '0' + byte(b)})
					},
				}
			})
		})
	}
}

func TestDialingByTheResolver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r := NewResolver(ResolverOptions{First: func(_ context.Context, name string) ([]string, error) {
		if name == "x" {
			return []string{"::1", "127.0.0.1"}, nil
		}
		return nil, errors.New("unknown")
	}})
	dial := r.DialContext(&net.Dialer{Timeout: 5 * time.Second})
	conn, err := dial(t.Context(), "tcp4", "x:"+port)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	conn, err = dial(t.Context(), "tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = dial(t.Context(), "tcp", "y:"+port)
	require.ErrorContains(t, err, "unknown")
	require.ErrorContains(t, NewResolver(ResolverOptions{Patience: -1, MaxAge: -5, Most: -1}).problem, "MaxAge")
}
