package selfhealtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/detect"
)

// sensor is a detector that keeps the whole contract, but for its flaw.
type sensor struct {
	flaw  string
	quit  <-chan struct{}
	busy  atomic.Int32
	label map[string]string

	mu           sync.Mutex
	sick, broken bool
	hung         bool
	looks, times int
	wake         func()
	lastWake     func()
	woken, told  bool
}

var errBroken = errors.New("the sensor is broken")

func (s *sensor) Validate() error {
	if s.flaw == "valid" {
		return errors.New("the limit is missing")
	}
	return nil
}

func (s *sensor) set(sick, broken bool) {
	s.mu.Lock()
	if sick && !s.sick {
		s.times++
	}
	s.sick, s.broken, s.told = sick, broken, false
	wake := s.wake
	switch {
	case s.flaw == "wake":
		wake = nil
	case s.flaw == "wake-nil" && wake == nil:
		wake = s.lastWake
	}
	reckless := s.flaw == "wake-nil/panic" && s.lastWake != nil
	s.mu.Unlock()
	if wake != nil || reckless {
		wake()
	}
}

func (s *sensor) OnWake(wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flaw == "wake-again" && s.woken && wake != nil {
		return
	}
	s.woken = s.woken || wake != nil
	if s.wake = wake; wake != nil {
		s.lastWake = wake
	}
}

func (s *sensor) Detect(ctx context.Context) ([]detect.Finding, error) {
	s.mu.Lock()
	sick, broken, hung, times := s.sick, s.broken, s.hung, s.times
	s.looks++
	looks := s.looks
	told := s.told
	s.told = s.told || sick
	s.mu.Unlock()

	if err := ctx.Err(); err != nil {
		switch s.flaw {
		case "cancelled":
			return []detect.Finding{{Summary: "context canceled"}}, nil
		case "cancelled/slow":
			<-s.quit
		case "cancelled/after":
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
		}
		return nil, err
	}
	if hung {
		return s.wait(ctx)
	}
	switch s.flaw {
	case "concurrent":
		if s.busy.Add(1) > 1 {
			s.busy.Add(-1)
			return nil, errors.New("busy")
		}
		time.Sleep(10 * time.Microsecond)
		defer s.busy.Add(-1)
	case "no-leak":
		go func() { <-s.quit }()
	case "healthy":
		if looks == 1 && !sick {
			return nil, errors.New("warming up")
		}
	}
	if broken {
		return s.blind(sick)
	}
	if !sick {
		return s.well(times)
	}
	if s.flaw == "level" && told || s.flaw == "again" && times > 1 {
		return nil, nil
	}
	if s.flaw == "sick" {
		return s.findings(looks), errors.New("and an error")
	}
	return s.findings(looks), nil
}

func (s *sensor) well(times int) ([]detect.Finding, error) {
	switch s.flaw {
	case "heals":
		if times > 0 {
			return []detect.Finding{{Summary: "was sick"}}, nil
		}
	case "allocs":
		return make([]detect.Finding, 0, 1), nil
	}
	return nil, nil
}

func (s *sensor) blind(sick bool) ([]detect.Finding, error) {
	switch {
	case s.flaw == "blind" && !sick, s.flaw == "blind-heals-nothing" && sick:
		return nil, nil
	case s.flaw == "blind/panic" && !sick:
		panic("nil map")
	case s.flaw == "blind-opens-nothing":
		return []detect.Finding{{Summary: "cannot read"}}, errBroken
	}
	return nil, errBroken
}

func (s *sensor) wait(ctx context.Context) ([]detect.Finding, error) {
	<-ctx.Done()
	midway := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case s.flaw == "cancel-midway/slow" && midway, s.flaw == "deadline/slow" && !midway:
		<-s.quit
	case s.flaw == "cancel-midway" && midway, s.flaw == "deadline" && !midway:
		return nil, nil
	case s.flaw == "no-leak/stopped":
		go func() { <-s.quit }()
	}
	return nil, ctx.Err()
}

func (s *sensor) findings(looks int) []detect.Finding {
	f := detect.Finding{
		Key: "a", Summary: "a is sick", Value: 2, Limit: 1,
		Labels: map[string]string{"part": "a"}, Evidence: []slog.Attr{slog.Int("value", 2)},
	}
	fs := []detect.Finding{f, {Key: "b", Summary: "b is sick"}}
	switch s.flaw {
	case "keys-unique":
		fs[1].Key = "a"
	case "keys-stable":
		fs[1].Key = fmt.Sprint("b", looks)
	case "keys-printable":
		fs[1].Key = "b\n"
	case "keys-printable/long":
		fs[1].Key = strings.Repeat("b", 600)
	case "summary":
		fs[1].Summary = " "
	case "summary/control":
		fs[1].Summary = "b is \x1b[31msick"
	case "summary/lines":
		fs[1].Summary = "b\nis sick"
	case "summary/utf8":
		fs[1].Summary = "b is sick\xff"
	case "numbers":
		fs[0].Value = math.NaN()
	case "numbers/limit":
		fs[0].Limit = math.Inf(1)
	case "severity":
		fs[0].Severity = 7
	case "kept":
		s.mu.Lock()
		if s.label == nil {
			s.label = map[string]string{}
		}
		s.label["looks"] = fmt.Sprint(looks)
		fs[0].Labels = s.label
		s.mu.Unlock()
	}
	return fs
}

func TestDetectorSuiteIsSharp(t *testing.T) {
	var only *sensor
	sharp(t, detectorSuite(), []string{
		"fixture", "valid", "healthy", "sick", "again", "level", "heals", "keys-unique", "keys-stable", "keys-printable",
		"keys-printable/long", "summary", "summary/control", "summary/lines", "summary/utf8", "numbers", "numbers/limit",
		"severity", "kept", "blind", "blind/panic", "blind-opens-nothing", "blind-heals-nothing", "cancelled", "cancelled/slow",
		"cancelled/after", "cancel-midway", "cancel-midway/slow", "deadline", "deadline/slow", "concurrent", "no-leak",
		"no-leak/stopped", "allocs", "wake", "wake-nil", "wake-nil/panic", "wake-again",
	}, func(t *testing.T, flaw string) DetectorFixture {
		s := &sensor{flaw: flaw, quit: quitter(t)}
		f := DetectorFixture{
			Detector: s, Patience: short,
			Sicken: func() { s.set(true, false) },
			Heal:   func() { s.set(false, false) },
			Break:  func() { s.mu.Lock(); defer s.mu.Unlock(); s.broken = true },
			Hang:   func() { s.mu.Lock(); defer s.mu.Unlock(); s.hung = true },
			// A goroutine that leaks is an allocation as well.
			AllowAllocs: flaw == "no-leak",
		}
		if flaw == "fixture" {
			if only == nil {
				only = s
				only.flaw = ""
			}
			f.Detector = only
			s = only
			s.mu.Lock()
			s.sick, s.broken, s.hung, s.times, s.wake, s.lastWake = false, false, false, 0, nil, nil
			s.mu.Unlock()
		}
		return f
	})
}

// Every ready detector that a user may wrap keeps the contract.
func TestDetectorOnReadyDetectors(t *testing.T) {
	gauge := func(t *testing.T, d func(g *Gauge[int]) detect.Detector) DetectorFixture {
		g := NewGauge(1)
		return DetectorFixture{
			Detector: d(g),
			Sicken:   func() { g.Set(10) },
			Heal:     func() { g.Set(1) },
			Break:    func() { g.Fail(errBroken) },
		}
	}
	t.Run("Above", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			return gauge(t, func(g *Gauge[int]) detect.Detector { return detect.Above(g.Read, 5).ClearBelow(2) })
		})
	})
	t.Run("Confirm", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			f := gauge(t, func(g *Gauge[int]) detect.Detector {
				return detect.Confirm(detect.ConfirmOptions{Detector: detect.Above(g.Read, 5)})
			})
			f.Within = 100 * time.Millisecond
			f.Skip = map[string]string{"wake": "what it confirms is no Waker", "wake-again": "likewise"}
			return f
		})
	})
	t.Run("Probe", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			g := NewGauge(0)
			hung := make(chan struct{})
			return DetectorFixture{
				Detector: detect.Probe(func(ctx context.Context) error {
					select {
					case <-hung:
						<-ctx.Done()
						return ctx.Err()
					default:
					}
					if v, _ := g.Read(ctx); v > 0 {
						return errors.New("connection refused")
					}
					return nil
				}),
				Sicken: func() { g.Set(1) },
				Heal:   func() { g.Set(0) },
				Hang:   func() { close(hung) },
			}
		})
	})
	t.Run("Mailbox", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			m := detect.NewMailbox()
			return DetectorFixture{
				Detector: m,
				Sicken:   func() { m.Report(detect.Finding{Key: "a", Summary: "a is down"}) },
				Heal:     func() { m.Clear("a") },
			}
		})
	})
	t.Run("Heartbeat", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			beat := detect.Heartbeat(300 * time.Millisecond)
			var dead atomic.Bool
			stop := quitter(t)
			go func() {
				for {
					if !dead.Load() {
						beat.Beat()
					}
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			}()
			return DetectorFixture{
				Detector: beat, Within: 5 * time.Second,
				Sicken: func() { dead.Store(true) },
				Heal:   func() { dead.Store(false) },
			}
		})
	})
	t.Run("World", func(t *testing.T) {
		t.Parallel()
		TestDetector(t, func(t *testing.T) DetectorFixture {
			var w World
			return DetectorFixture{
				Detector: &w,
				Sicken:   func() { w.Blind(nil); w.Sicken("a", "b") },
				Heal:     func() { w.Blind(nil); w.Heal("a", "b") },
				Break:    func() { w.Blind(errBroken) },
			}
		})
	})
}

func TestDetectorFixtureSaysWhatItLacks(t *testing.T) {
	o := judge(t, detectorSuite(), func(*testing.T) DetectorFixture {
		return DetectorFixture{Skip: map[string]string{"levle": "a typo", "level": " "}}
	})
	assert.Equal(t, []string{"fixture"}, o.broken)
	assert.ElementsMatch(t, []string{
		"it lacks a Detector", "it lacks Sicken", "it lacks Heal",
		`Skip names the rule "levle", which TestDetector does not have`,
		`Skip says no reason for the rule "level"`,
	}, o.breaches["fixture"])
}

func TestSkipSkips(t *testing.T) {
	s := detectorSuite()
	for _, ru := range s.all() {
		if ru.name != "level" {
			continue
		}
		r := s.examine(t, ru, func(t *testing.T) DetectorFixture {
			d := &sensor{flaw: "level"}
			return DetectorFixture{
				Detector: d, Sicken: func() { d.set(true, false) }, Heal: func() { d.set(false, false) },
				Skip: map[string]string{"level": "it is an edge by design"},
			}
		})
		assert.Empty(t, r.breaches)
		assert.Equal(t, "the fixture says: it is an edge by design", r.skipped)
	}
}
