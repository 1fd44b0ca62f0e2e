package goruntime

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// stage is a world without a runtime.
type stage struct {
	d       *LeakDetector
	now     time.Duration
	created float64
	sites   map[string]int
	stacks  map[string][]uintptr
	leaked  map[string]int // what the profile shows
	fail    error

	takes, proves int
	price         cost
	stopped       time.Duration
}

func newStage(o LeakOptions, able bool) *stage {
	s := &stage{d: NewLeakDetector(o), sites: map[string]int{}, leaked: map[string]int{}, stacks: map[string][]uintptr{}, price: cost{50 * time.Microsecond, 200 * time.Microsecond}}
	site := func(names *sites, key string) *site {
		if names.byKey[key] == nil {
			names.byKey[key] = &siteOf{key: key, function: key}
		}
		return names.byKey[key]
	}
	total := func() (n float64) {
		for _, c := range s.sites {
			n += float64(c)
		}
		return n
	}
	s.d.world = world{
		now:  func() time.Duration { return s.now },
		read: func() load { return load{count: total(), created: s.created} },
		take: func(_ int, names *sites) (snapshot, cost) {
			s.takes++
			s.stopped += s.price.stop
			shot := snapshot{counts: map[*siteOf]int{}, stacks: map[*siteOf]group{}}
			for key, n := range s.sites {
				shot.counts[site(names, key)] = n
			}
			return shot, s.price
		},
		release: func() {},
	}
	if able {
		s.d.world.prove = func() ([]group, cost, error) {
			s.proves++
			s.stopped += s.price.stop
			var groups []group
			for key, n := range s.leaked {
				groups = append(groups, group{n, stackOf(s.d.names, key)})
			}
			return groups, s.price, s.fail
		}
	}
	return s
}

type siteOf = site

// stackOf makes a stack whose site is the given one.
func stackOf(names *sites, key string) []uintptr {
	pc := make([]uintptr, 8)
	switch key {
	case "parked":
		return parkedStack()
	}
	n := callers(pc)
	at := names.of(pc[:n])
	names.byKey[at.key] = at
	return pc[:n]
}

// step lets time pass and looks.
func (s *stage) step(t *testing.T, by time.Duration) []detect.Finding {
	t.Helper()
	s.now += by
	found, err := s.d.Detect(context.Background())
	require.NoError(t, err)
	return found
}

// run looks each second and returns the first finding and when it came.
func (s *stage) run(t *testing.T, seconds int, change func(second int)) (first *detect.Finding, at int) {
	t.Helper()
	for i := range seconds {
		change(i)
		if found := s.step(t, time.Second); len(found) > 0 && first == nil {
			first, at = &found[0], i
		}
	}
	return first, at
}

func TestASteadyLeakIsSuspectedAfterFifteenWindows(t *testing.T) {
	s := newStage(LeakOptions{}, false)
	s.sites["healthy"] = 500
	f, at := s.run(t, 120, func(i int) { s.sites["leak"] += 2; s.created += 2; s.sites["healthy"] = 500 + i%3*100 })
	require.NotNil(t, f)
	require.Equal(t, "leak", f.Key)
	require.Equal(t, Suspected, f.Labels["verdict"])
	require.InDelta(t, 50, at, 4)
	require.Contains(t, f.Summary, "suspected goroutine leak")
}

func TestASlowLeakIsSuspectedThroughLongerWindows(t *testing.T) {
	s := newStage(LeakOptions{}, false)
	f, at := s.run(t, 4*3600, func(i int) {
		s.sites["healthy"] = 200 + i%7*40
		if i%200 == 0 {
			s.sites["leak"]++
		}
	})
	require.NotNil(t, f)
	require.Equal(t, "leak", f.Key)
	require.Less(t, at, 4*3600)
}

func TestWhatIsHealthyIsNotAccused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, change := range map[string]func(s *stage, i int){
		"bursts":            func(s *stage, i int) { s.sites["a"] = 10 + i/50%2*5000 },
		"breathing":         func(s *stage, i int) { s.sites["a"] = 10 + min(i%80, 80-i%80)*20 },
		"ramp of 40 s":      func(s *stage, i int) { s.sites["a"] = min(i, 40) * 25 },
		"noise":             func(s *stage, i int) { s.sites["a"] = 1000 + r.IntN(500) },
		"deploy waves":      func(s *stage, i int) { s.sites["a"] = 100 + min(i/100, 2)*300 },
		"saturating":        func(s *stage, i int) { s.sites["a"] = 800 * i / (i + 15) },
		"load":              func(s *stage, i int) { s.sites["a"] = 10 + i; s.created += float64(10 + i) },
		"busy and unsteady": func(s *stage, i int) { s.sites["a"] = r.IntN(1 + i%40*30); s.created += 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(LeakOptions{}, false)
			f, at := s.run(t, 900, func(i int) { change(s, i) })
			if f != nil {
				t.Fatalf("accused after %d s: %s", at, f.Summary)
			}
		})
	}
}

func TestASuspicionIsDroppedWhenItEnds(t *testing.T) {
	grow := func(s *stage) {
		f, _ := s.run(t, 80, func(int) { s.sites["a"] += 5 })
		require.NotNil(t, f)
	}
	t.Run("given back", func(t *testing.T) {
		s := newStage(LeakOptions{}, false)
		grow(s)
		s.sites["a"] = 30
		s.run(t, 5, func(int) {})
		require.Empty(t, s.step(t, time.Second))
	})
	t.Run("a steady state after all", func(t *testing.T) {
		s := newStage(LeakOptions{}, false)
		grow(s)
		s.run(t, 60, func(int) {})
		require.NotEmpty(t, s.step(t, time.Second), "a pause is no steady state")
		s.run(t, 200, func(int) {})
		require.Empty(t, s.step(t, time.Second))
	})
}

func TestALeakIsProvenByTwoRunsAndClearedByTwo(t *testing.T) {
	s := newStage(LeakOptions{}, true)
	s.leaked["x"] = 3
	s.sites["a"] = 10
	f, _ := s.run(t, 60, func(int) {})
	require.NotNil(t, f)
	require.Equal(t, Proven, f.Labels["verdict"])
	require.InDelta(t, 3, f.Value, 0)
	require.Contains(t, f.Summary, "proven goroutine leak: 3 goroutines")

	one := newStage(LeakOptions{}, true)
	one.leaked["x"] = 3
	for one.proves == 0 {
		require.Empty(t, one.step(t, time.Second))
	}
	require.Empty(t, one.step(t, 100*time.Millisecond), "one run proves nothing")
	delete(one.leaked, "x")
	f, _ = one.run(t, 600, func(int) {})
	require.Nil(t, f)

	// A leak may drop out of one reading.
	proves := s.proves
	delete(s.leaked, "x")
	for s.proves == proves {
		s.step(t, time.Second)
	}
	s.leaked["x"] = 3
	require.NotEmpty(t, s.step(t, 100*time.Millisecond))
	s.run(t, 60, func(int) {})
	require.NotEmpty(t, s.step(t, time.Second))
	delete(s.leaked, "x")
	s.run(t, 300, func(int) {})
	require.Empty(t, s.step(t, time.Second))
}

func TestAFewLeakedAreReportedFromMinLeakedOn(t *testing.T) {
	s := newStage(LeakOptions{MinLeaked: 5}, true)
	s.leaked["x"] = 4
	f, _ := s.run(t, 300, func(int) {})
	require.Nil(t, f)
	s.leaked["x"] = 5
	f, _ = s.run(t, 600, func(int) {})
	require.NotNil(t, f)
}

// select {} is how one writes that a goroutine should stay.
func TestWhatWasMeantToStayIsNoLeakUnlessItGrows(t *testing.T) {
	s := newStage(LeakOptions{}, true)
	s.leaked["parked"] = 3
	f, _ := s.run(t, 600, func(int) {})
	require.Nil(t, f)
	require.Positive(t, s.proves)
	f, _ = s.run(t, 600, func(int) { s.leaked["parked"]++ })
	require.NotNil(t, f)
	require.Equal(t, Proven, f.Labels["verdict"])
}

func TestAProofThatFailsIsAnErrorBesideTheFindings(t *testing.T) {
	s := newStage(LeakOptions{}, true)
	s.fail = errors.New("no")
	var err error
	for range 20 {
		s.now += time.Second
		if _, e := s.d.Detect(context.Background()); e != nil {
			err = e
		}
	}
	require.ErrorIs(t, err, s.fail)
}

func TestStopsStayWithinTheirShareWhateverTheyCost(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 4 {
		s := newStage(LeakOptions{}, true)
		worst := time.Duration(0)
		for i := range 1800 {
			s.sites["leak"] += 1 + r.IntN(4)
			s.leaked["x"] = s.sites["leak"]
			s.price = cost{time.Duration(r.IntN(int(20 * time.Millisecond))), time.Duration(r.IntN(int(50 * time.Millisecond)))}
			worst = max(worst, s.price.stop)
			s.step(t, time.Second)
			// One look of each kind may be a surprise.
			allowed := time.Duration(float64(s.now)*0.001) + 2*worst
			if s.stopped > allowed { // not require, which takes longer than the look
				t.Fatalf("stopped %v of %v after %d s", s.stopped, allowed, i)
			}
		}
		require.Positive(t, s.takes)
		require.Positive(t, s.proves)
	}
}

func TestAQuietProgramIsLeftAlone(t *testing.T) {
	s := newStage(LeakOptions{}, true)
	s.sites["a"] = 1000
	s.run(t, 3600, func(i int) { s.sites["a"] = 1000 + i%5*10 })
	require.Less(t, s.takes, 10)
	require.Less(t, s.proves, 20)
}

func TestAboveTheBoundTheRiseIsReportedWithoutASite(t *testing.T) {
	s := newStage(LeakOptions{MaxGoroutines: 1000}, true)
	s.sites["a"] = 2000
	f, _ := s.run(t, 200, func(int) { s.sites["a"] += 10 })
	require.NotNil(t, f)
	require.Empty(t, f.Key)
	require.Zero(t, s.takes+s.proves)
	s.run(t, 300, func(int) {})
	require.Empty(t, s.step(t, time.Second))
}

func TestWrongLeakOptionsAreReportedAllAtOnce(t *testing.T) {
	d := NewLeakDetector(LeakOptions{
		Window: -1, MinGrowth: 1, MinLeaked: -1, Critical: -2, ProofEvery: -2, MaxGoroutines: -2,
		StopShare: 2, CPUShare: -1, Ignore: []string{""},
	})
	err := d.Validate()
	require.Error(t, err)
	require.Len(t, strings.Split(err.Error(), "\n"), 9)
	_, blind := d.Detect(context.Background())
	require.Equal(t, err, blind)
	require.NoError(t, NewLeakDetector(LeakOptions{Critical: -1, ProofEvery: -1, MaxGoroutines: -1}).Validate())
}
