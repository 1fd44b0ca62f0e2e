package dependency

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// stand is a dependency of which a test says how it stands.
type stand struct{ err, blind, hang atomic.Value }

func (s *stand) check(ctx context.Context) error {
	if v, _ := s.hang.Load().(bool); v {
		<-ctx.Done()
		return ctx.Err()
	}
	if v, _ := s.blind.Load().(bool); v {
		panic("no check at all")
	}
	if v, _ := s.err.Load().(bool); v {
		return errDown
	}
	return nil
}

func (s *stand) set(sick, blind bool) { s.err.Store(sick); s.blind.Store(blind) }

func TestDownIsADetector(t *testing.T) {
	for name, phi := range map[string]*detect.PhiOptions{"in a row": nil, "phi": {FirstGap: time.Millisecond, MinDeviation: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				var s stand
				return selfhealtest.DetectorFixture{
					Detector:    Down(Options{Targets: []Target{{Name: "payments", Check: s.check}, {Name: "mail", Check: works}}, Phi: phi}).Detector,
					Sicken:      func() { s.set(true, false) },
					Heal:        func() { s.set(false, false) },
					Break:       func() { s.set(false, true) },
					Hang:        func() { s.hang.Store(true) },
					Within:      2 * time.Second,
					AllowAllocs: true, // a probe runs on a goroutine of its own
				}
			})
		})
	}
}

func TestTheOtherWatchesAreDetectors(t *testing.T) {
	t.Run("down by its breaker", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
			c := NewClient(ClientOptions{Name: "payments", OpenFor: time.Hour, MaxOpen: time.Hour, Ramp: 1})
			return selfhealtest.DetectorFixture{
				Detector: Down(Options{Targets: []Target{{Name: "payments", Client: c}}}).Detector,
				Sicken:   func() { trip(t, c) },
				Heal: func() {
					c.mu.Lock()
					c.breaker.until = 0
					c.mu.Unlock()
					require.NoError(t, c.Do(context.Background(), works))
				},
			}
		})
	})
	t.Run("degraded", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
			c := NewClient(ClientOptions{Window: 100 * time.Millisecond})
			return selfhealtest.DetectorFixture{
				Detector: Degraded(Options{Targets: []Target{{Name: "payments", Client: c}}}).Detector,
				Sicken: func() {
					for i := range 3000 {
						if i%4 == 0 {
							_ = c.Do(context.Background(), fails)
						} else {
							_ = c.Do(context.Background(), works)
						}
					}
				},
				Heal:   func() { time.Sleep(200 * time.Millisecond) },
				Within: time.Second,
				Skip:   map[string]string{"level": "the window slides on", "keys-stable": "the window slides on", "concurrent": "the window slides on"},
			}
		})
	})
	t.Run("relapse", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
			c := NewClient(ClientOptions{})
			set := func(n int) func() {
				return func() { c.mu.Lock(); defer c.mu.Unlock(); c.breaker.relapses = n }
			}
			return selfhealtest.DetectorFixture{
				Detector: Relapse(Options{Targets: []Target{{Name: "payments", Client: c}}}).Detector,
				Sicken:   set(2), Heal: set(1),
			}
		})
	})
}

func look(t *testing.T, d detect.Detector) []detect.Finding {
	t.Helper()
	found, err := d.Detect(t.Context())
	require.NoError(t, err)
	return found
}

func TestFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stand
		d := Down(Options{Targets: []Target{{Name: "payments", Check: s.check}}}).Detector
		require.Empty(t, look(t, d))
		s.set(true, false)
		require.Empty(t, look(t, d))
		require.Empty(t, look(t, d))
		s.set(false, false)
		require.Empty(t, look(t, d))
		s.set(true, false)
		require.Empty(t, look(t, d))
		require.Empty(t, look(t, d))
		found := look(t, d)
		require.Len(t, found, 1)
		assert.Equal(t, "payments", found[0].Key)
		assert.Equal(t, "connection refused", found[0].Summary)
		assert.Equal(t, "[probes_failed_in_a_row=3 targets_down=1 of 1]", fmt.Sprint(found[0].Evidence))
		s.set(false, false)
		require.Len(t, look(t, d), 1, "one answer is no recovery")
		require.Empty(t, look(t, d))
	})
}

func TestPhiJudgesByTheTargetsOwnRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stand
		d := Down(Options{Targets: []Target{{Name: "payments", Check: s.check}}, Phi: &detect.PhiOptions{}}).Detector
		tick := func() []detect.Finding { time.Sleep(defaultEvery); return look(t, d) }
		for range 10 {
			require.Empty(t, tick())
		}
		s.set(true, false)
		n := 0
		for len(tick()) == 0 {
			n++
		}
		assert.Equal(t, 2, n, "looks at which the silence was still likely")
		s.set(false, false)
		require.Len(t, tick(), 1)
		require.Empty(t, tick())
	})
}

// A check that ignores its context costs one goroutine, not one a look, holds up
// no other target, and is found.
func TestACheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, calls := make(chan struct{}), new(atomic.Int64)
		d := Down(Options{Targets: []Target{
			{Name: "hangs", Check: func(context.Context) error { calls.Add(1); <-hang; return nil }},
			{Name: "well", Check: works},
		}}).Detector
		before := runtime.NumGoroutine()
		for n := range 6 {
			began := time.Now()
			found := look(t, d)
			require.LessOrEqual(t, time.Since(began), defaultTimeout+patience)
			require.Equal(t, n >= 2, len(found) == 1, "look %d", n)
			if len(found) == 1 {
				assert.Equal(t, "no answer within 1s, and the check ignores that its time is over", found[0].Summary)
			}
			time.Sleep(defaultEvery)
		}
		assert.EqualValues(t, 1, calls.Load())
		synctest.Wait()
		// One, where one a look would be six; the runtime may have started some of its own.
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+3)
		close(hang)
		synctest.Wait()
		require.Len(t, look(t, d), 1)
		require.Empty(t, look(t, d))
		assert.EqualValues(t, 3, calls.Load())
	})
}

// A check that cannot tell is blind for its target, and for that only.
func TestAPanicOfACheckIsBlind(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			d := Down(Options{Targets: []Target{
				{Name: "broken", Check: func(context.Context) error { end(); return nil }},
				{Name: "down", Check: fails},
			}, Failures: 1}).Detector
			for range 3 {
				found, err := d.Detect(t.Context())
				require.Len(t, found, 1)
				assert.Equal(t, "down", found[0].Key)
				require.ErrorContains(t, err, "dependency: target broken: ")
				var p *selfheal.PanicError
				assert.Equal(t, name == "panic", errors.As(err, &p))
				if p != nil {
					assert.Contains(t, string(p.Stack), "prober_test.go")
				}
			}
		})
	}
}

func TestManyTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		var targets []Target
		for i := range 100 {
			targets = append(targets, Target{Name: fmt.Sprint("t", i), Check: func(ctx context.Context) error {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-ctx.Done() // each to its timeout
				return ctx.Err()
			}})
		}
		d := Down(Options{Targets: targets, Failures: 1}).Detector
		began := time.Now()
		found := look(t, d)
		assert.Len(t, found, 100)
		assert.Equal(t, "no answer within 1s", found[0].Summary)
		assert.Equal(t, 7*time.Second, time.Since(began))
		assert.LessOrEqual(t, most.Load(), int64(parallel))
		assert.Less(t, time.Since(began), Down(Options{Targets: targets}).Timeout)
	})
}

func TestWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var answer error
		d := Down(Options{
			Targets: []Target{{Name: "payments", Check: fails}}, Failures: 1,
			Witness: func(ctx context.Context, target string) (Opinion, error) {
				asked++
				assert.Equal(t, "payments", target)
				if _, ok := ctx.Deadline(); !ok {
					t.Error("no deadline")
				}
				return Opinion{Asked: 3, Sick: 2}, answer
			},
		}).Detector
		for range 6 {
			assert.Contains(t, fmt.Sprint(look(t, d)[0].Evidence), "witnesses=2 of 3 peers see it too")
			time.Sleep(defaultEvery)
		}
		assert.Equal(t, 1, asked, "in 30 s")
		answer = errors.New("no peers")
		time.Sleep(witnessEvery)
		assert.Contains(t, fmt.Sprint(look(t, d)[0].Evidence), "nobody could be asked: no peers")
	})
}

// Probes against real servers on loopback.
func TestProbesAtRealFaults(t *testing.T) {
	server := newFaulty(t)
	addr := server.Listener.Addr().String()
	o := Options{Targets: []Target{
		{Name: "http", URL: server.URL + "/health?token=secret"},
		{Name: "tcp", Addr: addr},
		{Name: "existing", Check: func(ctx context.Context) error { // as health check libraries have them
			req, err := http.NewRequestWithContext(ctx, http.MethodHead, server.URL, nil)
			if err != nil {
				return err
			}
			return HTTPCheck(HTTPOptions{URL: req.URL.String(), Method: req.Method, Header: http.Header{"X-Probe": {"1"}}, Well: func(r *http.Response) error {
				if r.StatusCode != http.StatusOK {
					return errors.New("not well")
				}
				return nil
			}})(ctx)
		}},
		{Name: "refused", Addr: refusing(t)},
	}, Failures: 1, Successes: 1, Timeout: 200 * time.Millisecond}
	d := Down(o).Detector
	sick := func() map[string]string {
		m := map[string]string{}
		for _, f := range look(t, d) {
			m[f.Key] = f.Summary
		}
		return m
	}
	s := sick()
	require.Len(t, s, 1)
	assert.Contains(t, s["refused"], "refused")
	for _, fault := range []struct{ name, says string }{
		{"failing", "it answers 503 Service Unavailable"},
		{"missing", "it answers 404 Not Found"},
		{"slow", "no answer within 200ms"},
		{"reset", "reset"},
	} {
		server.fault.Store(fault.name)
		one := sick()
		assert.Contains(t, one["http"], fault.says)
		assert.NotContains(t, one["http"], "secret")
		assert.Contains(t, one, "existing")
		assert.NotContains(t, one, "tcp", "it still accepts connections")
		if fault.name == "reset" {
			assert.Equal(t, one["http"], sick()["http"], "the text stays while the fault does")
		}
		server.fault.Store("")
		require.Len(t, sick(), 1, "it flaps back")
	}
	server.Close()
	assert.Len(t, sick(), 4)
}

func TestReasonsAreOneStableLine(t *testing.T) {
	inner := &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50123}, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: errors.New("reset")}
	assert.Equal(t, "Get: read tcp 127.0.0.1:80: reset", reason(fmt.Errorf("Get: %w", inner)))
	assert.Equal(t, "a b", reason(errors.New(" a\nb\n")))
	assert.Equal(t, "it failed without saying why", reason(errors.New("")))
}

func TestTargetsThatAreWrong(t *testing.T) {
	o := Options{
		Targets: []Target{
			{Check: works}, {Name: "a\nb", Check: works}, {Name: "twice", Check: works}, {Name: "twice", Check: works},
			{Name: "none"}, {Name: "two", Check: works, Addr: "h:1"}, {Name: "url", URL: "example.com"},
			{Name: "url2", URL: "http://u:pass%zz@h"}, {Name: "addr", Addr: "example.com"},
			{Name: "client", Client: NewClient(ClientOptions{CutTo: -1})},
		},
		Every: -1, Timeout: -1, Failures: -1, Successes: -1, WarnRate: 2, PageAfter: -1,
		Phi:     &detect.PhiOptions{Gaps: -1},
		Unready: func(context.Context, bool) error { return nil },
	}
	for _, w := range Module(o).Watches {
		err := w.Detector.(detect.Validator).Validate()
		for _, says := range []string{
			`Targets[0] "" has no Name`, "its Name contains", "same Name", "has no Check", "more than one of", "write it in full", "not host:port",
			"CutTo", "Every", "Timeout", "Failures", "Successes", "WarnRate", "PageAfter", "Phi", "without Witness", "cannot be parsed",
		} {
			assert.ErrorContains(t, err, says)
		}
		assert.NotContains(t, err.Error(), "pass%zz")
		_, blind := w.Detector.Detect(t.Context())
		assert.Equal(t, err, blind)
	}
	assert.ErrorContains(t, Down(Options{}).Detector.(detect.Validator).Validate(), "Targets is empty")
	assert.ErrorContains(t, Down(Options{Targets: make([]Target, maxTargets+1)}).Detector.(detect.Validator).Validate(), "at most 1000")
	assert.Len(t, Module(Options{WarnRate: -1}).Watches, 2)
}

func FuzzReason(f *testing.F) {
	f.Add("dial tcp: connection refused\n\x00", "a[b]")
	f.Fuzz(func(t *testing.T, text, name string) {
		if r := reason(errors.New(text)); r == "" || badName(r) != "" && len(r) <= 400 && !containsBracket(r) {
			t.Errorf("%q became %q: %s", text, r, badName(r))
		}
		if u := checkURL(text); u == nil {
			if err := HTTPCheck(HTTPOptions{URL: text, Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errDown })})(t.Context()); err == nil {
				t.Errorf("%q is well", text)
			}
		}
		_ = badName(name)
	})
}

func containsBracket(s string) bool {
	for _, r := range s {
		if r == '[' || r == ']' {
			return true
		}
	}
	return false
}
