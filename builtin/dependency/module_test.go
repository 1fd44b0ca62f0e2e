package dependency

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestTheModuleKeepsItsContract(t *testing.T) {
	server := newFaulty(t)
	for name, o := range map[string]Options{
		"a target": {Targets: []Target{{Name: "payments", URL: server.URL}}},
		"everything": {
			Targets: []Target{
				{Name: "payments", URL: server.URL, Client: NewClient(ClientOptions{})},
				{Name: "mail", Addr: server.Listener.Addr().String()},
				{Name: "db", Check: works},
				{Name: "calls", Client: NewClient(ClientOptions{})},
			},
			Every: 50 * time.Millisecond, Phi: &detect.PhiOptions{},
			Witness: func(context.Context, string) (Opinion, error) { return Opinion{}, nil },
			Unready: func(context.Context, bool) error { return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestModule(t, func(*testing.T) selfheal.Module { return Module(o) })
		})
	}
}

// No step of the pack reaches further than this process without a fleet, and none
// ends the process.
func TestTheNeverList(t *testing.T) {
	m := Module(Options{
		Targets: []Target{{Name: "payments", Check: works}},
		Witness: func(context.Context, string) (Opinion, error) { return Opinion{}, nil },
		Unready: func(context.Context, bool) error { return nil },
	})
	var names []string
	for _, w := range m.Watches {
		for _, s := range w.Playbook.Steps {
			names = append(names, s.Name)
			assert.Equal(t, s.Name == "unready", s.Scope.NeedsFleet(), s.Name)
			assert.NotEqual(t, remediate.Destructive, s.Risk, s.Name)
			assert.False(t, s.Lasting, "%s leaves nothing behind", s.Name)
			err := s.Run(t.Context(), request(s.Name))
			_, recycles := remediate.Recycling(err)
			assert.False(t, recycles, s.Name)
		}
	}
	assert.Equal(t, []string{"break", "cut-concurrency", "stop-retries", "unready", "wait"}, names)
}

// The dependency is down for twenty minutes, and nobody calls it in that time but
// the probe.
func TestTheLadderOfADependencyThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stand
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Down(Options{Targets: []Target{{Name: "payments", Check: s.check, Client: c}}}))
		time.Sleep(10 * time.Second)
		s.set(true, false)
		time.Sleep(20 * time.Second)
		assert.ErrorIs(t, c.Do(t.Context(), works), ErrOpen, "who calls is refused at once")
		time.Sleep(20*time.Minute - 30*time.Second)
		assert.NotErrorIs(t, c.Do(t.Context(), works), ErrOpen, "the ladder is over: the breaker judges by itself")
		s.set(false, false)
		time.Sleep(10 * time.Minute)
		trial.Want(`
			22s open down[payments]: connection refused
			52s step break: no effect
			1m22s step cut-concurrency: no effect
			1m52s step stop-retries: no effect
			11m52s step wait: no effect
			11m52s undo stop-retries
			11m52s undo cut-concurrency
			11m52s undo break
			11m52s page exhausted
			25m7s resolve
			25m7s close`)
		require.Len(t, trial.Pager().Pages(), 1)
		attempts := trial.Pager().Pages()[0].Incident.Attempts
		assert.Len(t, attempts, 4)
		time.Sleep(10 * time.Minute)
		st := c.Status()
		assert.Equal(t, "breaker closed", st.String())
	})
}

// It comes back while callers are kept away: they return one, some, all, and
// nobody is called.
func TestALadderThatHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stand
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Down(Options{Targets: []Target{{Name: "payments", Check: s.check, Client: c}}}))
		s.set(true, false)
		time.Sleep(30 * time.Second)
		require.True(t, c.Status().Broken)
		s.set(false, false)
		time.Sleep(5*time.Minute + 15*time.Second)
		require.False(t, c.Status().Broken)
		require.Equal(t, HalfOpen, c.Status().State)
		require.NoError(t, c.Do(t.Context(), works))
		require.Equal(t, Returning, c.Status().State)
		time.Sleep(4 * time.Minute)
		require.Equal(t, Closed, c.Status().State)
		assert.Empty(t, trial.Pager().Pages())
		assert.Contains(t, trial.Timeline(), "step break: healed")
	})
}

// A probe that fails while the calls work is no reason to refuse them.
func TestCallsThatWorkAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stand
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Down(Options{Targets: []Target{{Name: "payments", Check: s.check, Client: c}}}))
		s.set(true, false)
		for range 120 {
			require.NoError(t, c.Do(t.Context(), works))
			time.Sleep(time.Second)
		}
		assert.Contains(t, trial.Timeline(), "step break: skipped")
		assert.False(t, c.Status().Broken)
	})
}

// The calls fail and there is no probe: the breaker tells.
func TestABreakerIsASign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Down(Options{Targets: []Target{{Name: "payments", Client: c}}}))
		var down atomic.Bool
		down.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				_ = c.Do(ctx, func(context.Context) error {
					if down.Load() {
						return errDown
					}
					return nil
				})
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		down.Store(false)
		time.Sleep(15 * time.Minute)
		cancel()
		time.Sleep(time.Second)
		line := trial.Timeline()
		assert.Contains(t, line, "2s open down[payments]: 5 calls failed or hung in a row")
		assert.Contains(t, line, "step break: skipped", "the breaker is open already")
		assert.Contains(t, line, "close")
		assert.Empty(t, trial.Pager().Pages())
		assert.Equal(t, Closed, c.Status().State)
	})
}

func TestDegradedTellsWhatTheBreakerBears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Degraded(Options{Targets: []Target{{Name: "payments", Client: c}}}))
		for i := range 10 * 600 {
			call := works
			if i%4 == 0 {
				call = fails
			}
			_ = c.Do(t.Context(), call)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		line := trial.Timeline()
		assert.Contains(t, line, "5m2s open degraded[payments]: 25% of ")
		assert.Contains(t, line, "5m2s page exhausted")
		assert.Contains(t, line, "close")
		assert.Zero(t, c.Status().Trips)
	})
}

// Down, back, down, back, down: a person is called at the second relapse.
func TestRelapseTellsAtTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Name: "payments"})
		trial := selfhealtest.Start(t, Relapse(Options{Targets: []Target{{Name: "payments", Client: c}}}))
		trip(t, c)
		for n := range 2 {
			untilHalfOpen(t, c)
			require.NoError(t, c.Do(t.Context(), works))
			time.Sleep(10 * time.Second)
			require.Empty(t, trial.Pager().Pages(), "after %d relapses", n)
			trip(t, c)
		}
		time.Sleep(10 * time.Second)
		require.Len(t, trial.Pager().Pages(), 1)
		untilHalfOpen(t, c)
		require.NoError(t, c.Do(t.Context(), works))
		time.Sleep(10 * time.Minute)
		assert.Len(t, trial.Pager().Resolved(), 1)
	})
}

func TestUnreadyOnlyWhereTheFaultIsHere(t *testing.T) {
	var opinion Opinion
	var failed error
	ready := true
	o := Options{
		Targets: []Target{{Name: "payments", Check: fails}},
		Witness: func(context.Context, string) (Opinion, error) { return opinion, failed },
		Unready: func(_ context.Context, unready bool) error { ready = !unready; return nil },
	}
	step := Down(o).Playbook.Steps[3]
	require.Equal(t, "unready", step.Name)
	for _, all := range []Opinion{{}, {Asked: 3, Sick: 3}, {Asked: 4, Sick: 2}} {
		opinion = all
		assert.ErrorIs(t, step.Run(t.Context(), request("unready")), remediate.ErrSkip, "%+v", all)
	}
	opinion, failed = Opinion{Asked: 3}, errors.New("no peers")
	assert.ErrorIs(t, step.Run(t.Context(), request("unready")), remediate.ErrSkip)
	require.True(t, ready)
	failed = nil
	require.NoError(t, step.Run(t.Context(), request("unready")))
	require.False(t, ready)
	require.NoError(t, step.Undo(t.Context(), request("unready")))
	require.True(t, ready)

	// Without a fleet it is held, and people are told.
	synctest.Test(t, func(t *testing.T) {
		trial := selfhealtest.Start(t, Down(o))
		time.Sleep(time.Hour)
		assert.Contains(t, trial.Timeline(), "hold unready: scope")
		assert.NotEmpty(t, trial.Pager().Pages())
		assert.True(t, ready)
	})
}

// The rails hold the ladder, and the breaker goes on by itself.
func TestMustNotAct(t *testing.T) {
	target := func(name string, s *stand, c *Client) Target { return Target{Name: name, Check: s.check, Client: c} }
	t.Run("halt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var s stand
			c := NewClient(ClientOptions{})
			trial := selfhealtest.Start(t, Down(Options{Targets: []Target{target("payments", &s, c)}}))
			require.NoError(t, trial.Supervisor().Halt("ops", "maintenance"))
			s.set(true, false)
			time.Sleep(5 * time.Minute)
			assert.False(t, c.Status().Broken)
			assert.Contains(t, trial.Timeline(), "hold break: halt")
			trip(t, c)
			assert.ErrorIs(t, c.Do(t.Context(), works), ErrOpen)
		})
	})
	t.Run("storm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var s stand
			var targets []Target
			var clients []*Client
			for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
				clients = append(clients, NewClient(ClientOptions{Name: name}))
				targets = append(targets, target(name, &s, clients[len(clients)-1]))
			}
			trial := selfhealtest.Start(t, Down(Options{Targets: targets}))
			time.Sleep(time.Minute)
			s.set(true, false)
			time.Sleep(5 * time.Minute)
			for _, c := range clients {
				assert.False(t, c.Status().Broken, "all are down at once: it is more likely us")
			}
			assert.Contains(t, trial.Timeline(), "storm")
		})
	})
	t.Run("blind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var s stand
			c := NewClient(ClientOptions{})
			trial := selfhealtest.Start(t, Down(Options{Targets: []Target{target("payments", &s, c)}}))
			time.Sleep(10 * time.Second)
			s.set(false, true)
			time.Sleep(10 * time.Minute)
			assert.False(t, c.Status().Broken)
			assert.NotContains(t, trial.Timeline(), "open")
			assert.Contains(t, trial.Timeline(), "blind: dependency: target payments: panic in the check of target payments")
		})
	})
	t.Run("shadow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var s stand
			c := NewClient(ClientOptions{})
			trial := selfhealtest.StartWith(t, selfheal.Options{Mode: selfheal.Shadow}, Down(Options{Targets: []Target{target("payments", &s, c)}}))
			s.set(true, false)
			time.Sleep(5 * time.Minute)
			assert.False(t, c.Status().Broken)
			assert.Contains(t, trial.Timeline(), "would step break")
		})
	})
}

// Each step of the ladder, for the target that was found.
func TestTheStepsOfTheLadder(t *testing.T) {
	for i := range 3 {
		selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
			c := NewClient(ClientOptions{})
			w := Down(Options{Targets: []Target{{Name: "payments", Check: works, Client: c}, {Name: "bare", Check: works}}})
			step := w.Playbook.Steps[i]
			return selfhealtest.StepFixture{
				Step:    step,
				Finding: detect.Finding{Key: "payments"},
				State: func() string {
					s := c.Status()
					s.Trips = 0
					return map[bool]string{true: "taken", false: "free"}[s.Broken || s.Cut || s.Muted]
				},
				Inapplicable: func() {
					req := request("other")
					require.NoError(t, step.Run(t.Context(), req))
				},
			}
		})
	}
	step := Down(Options{Targets: []Target{{Name: "bare", Check: works}}}).Playbook.Steps[0]
	req := request("break")
	req.Finding.Key = "bare"
	assert.ErrorIs(t, step.Run(t.Context(), req), remediate.ErrSkip)
}
