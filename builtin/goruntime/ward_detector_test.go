package goruntime

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// minutes is a detector at which two minutes of looks pass in the first one after a
// change, and then one look in each; goroutines leak meanwhile while it is sick.
type minutes struct {
	*LeakDetector

	turn sync.Mutex // one after the other: time passes for one of them
	mu   sync.Mutex
	now  time.Duration
	soon bool          // something changed
	hold chan struct{} // nil while it is well
	held int
}

func (m *minutes) Detect(ctx context.Context) (found []detect.Finding, err error) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	looks := 1
	if m.soon {
		looks, m.soon = 40, false
	}
	m.mu.Unlock()
	for range looks {
		m.mu.Lock()
		m.now += 3 * time.Second
		if hold := m.hold; hold != nil {
			m.held += 2
			for range 2 {
				go func() { <-hold }()
			}
		}
		m.mu.Unlock()
		if found, err = m.LeakDetector.Detect(ctx); err != nil {
			break
		}
	}
	return found, err
}

func (m *minutes) sicken() {
	m.heal()
	m.mu.Lock()
	m.hold, m.soon = make(chan struct{}), true
	m.mu.Unlock()
}

func (m *minutes) heal() {
	m.mu.Lock()
	hold, held, before := m.hold, m.held, runtime.NumGoroutine()
	m.hold, m.held, m.soon = nil, 0, true
	m.mu.Unlock()
	if hold == nil {
		return
	}
	close(hold)
	for until := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before-held && time.Now().Before(until); {
		runtime.Gosched()
	}
}

func TestTheLeakDetectorIsADetector(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		m := &minutes{LeakDetector: NewLeakDetector(LeakOptions{ProofEvery: -1, StopShare: 0.1, CPUShare: 1})}
		m.world.now = func() time.Duration {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.now
		}
		t.Cleanup(m.heal)
		return selfhealtest.DetectorFixture{Detector: m, Sicken: m.sicken, Heal: m.heal}
	})
}

func TestLooksMayOverlap(t *testing.T) {
	d := NewLeakDetector(LeakOptions{Window: time.Millisecond, ProofEvery: time.Millisecond, StopShare: 0.1, CPUShare: 1})
	var looks sync.WaitGroup
	for range 4 {
		looks.Go(func() {
			for range 500 {
				if _, err := d.Detect(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	looks.Wait()
}

// A step against the source shows in the next window, however slowly the leak came.
func TestWhatHelpedShowsInTheNextWindow(t *testing.T) {
	s := newStage(LeakOptions{}, false)
	f, _ := s.run(t, 4*3600, func(i int) {
		if i%60 == 0 {
			s.sites["leak"]++
		}
	})
	require.NotNil(t, f)
	s.sites["leak"] = 0
	require.NotEmpty(t, s.step(t, 0))
	s.run(t, 4, func(int) {})
	require.Empty(t, s.step(t, time.Second))
}

// A pool that breathes is suspected once in a life.
func TestAWrongSuspicionIsNotRepeated(t *testing.T) {
	s := newStage(LeakOptions{}, false)
	risen := 0
	for i, was := 0, false; i < 8*3600; i++ {
		s.sites["pool"] = 20 + min(i%1200, 1200-i%1200)/4
		is := len(s.step(t, time.Second)) > 0
		if is && !was {
			risen++
		}
		was = is
	}
	require.Equal(t, 1, risen)
	f, _ := s.run(t, 3600, func(i int) { s.sites["pool"] = 170 + i/4 })
	require.NotNil(t, f, "a leak at the same site goes beyond that")
}
