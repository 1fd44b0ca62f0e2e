package host

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// short is a v2 service whose tasks wait for memory for a share of the time.
type short struct {
	tr tree

	mu         sync.Mutex
	ended      bool
	some, full float64
}

func (s *short) wait(some, full float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.some, s.full = some, full
}

func newShort(t *testing.T) *short {
	s := &short{tr: recorded(t, "v2")}
	s.tr.set(v2Group+"memory.pressure", stalledFor(0, 0))
	const each = 100 * time.Millisecond
	var some, full time.Duration
	var timer *time.Timer
	s.mu.Lock()
	defer s.mu.Unlock()
	// No look is at the same instant.
	timer = time.AfterFunc(each+each/2, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ended {
			return
		}
		some += time.Duration(s.some * float64(each))
		full += time.Duration(s.full * float64(each))
		s.tr.set(v2Group+"memory.pressure", stalledFor(some, full))
		timer.Reset(each)
	})
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
		timer.Stop()
	})
	return s
}

func (s *short) options(h *switches) Options {
	return Options{Root: s.tr.root, DropCaches: h.run("drop"), Shed: h.turn("shed"), PauseBatch: h.turn("pause"), OOM: OOMOptions{}}
}

func TestTheLadderOfMemoryPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newShort(t), &switches{}
		h.do = func(said string) {
			if said == "pause on" {
				s.wait(0, 0)
			}
		}
		trial := selfhealtest.Start(t, MemoryPressure(s.options(h)))
		time.Sleep(time.Minute)
		s.wait(0.5, 0.2)
		time.Sleep(15 * time.Minute)
		trial.Want(`
			1m3s open memory-pressure: tasks of its control group waited for memory 15 % of the time, all of them 6 %, above 5 %
			1m18s step drop-caches: no effect
			1m33s step shed: no effect
			1m48s step pause-batch: healed
			6m48s undo pause-batch
			6m48s undo shed
			6m48s close`)
		require.Equal(t, []string{"drop", "shed on", "pause on", "pause off", "shed off"}, h.heard())
		require.Empty(t, trial.Pager().Pages())
	})
}

// A warning gives up caches and tells people; it sheds nothing and restarts nothing.
func TestAWarningDoesOnlyWhatNobodyNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newShort(t), &switches{}
		trial := selfhealtest.Start(t, MemoryPressure(s.options(h)))
		s.wait(0.3, 0)
		time.Sleep(5 * time.Minute)
		require.Equal(t, []string{"drop"}, h.heard())
		require.Len(t, trial.Pager().Pages(), 1)
		require.Equal(t, Early, trial.Pager().Pages()[0].Incident.Finding.Key)
	})
}

// A restart helps where the memory is ours, and not where a neighbour has it.
func TestARestartOnlyForMemoryOfOurOwn(t *testing.T) {
	s := recorded(t, "v2")
	w := MemoryPressure(Options{Root: s.root})
	step := w.Playbook.Steps[len(w.Playbook.Steps)-1]
	require.Equal(t, "recycle", step.Name)
	acute := remediate.Request{Finding: detect.Finding{Severity: detect.Critical}}
	run := func() error { return step.Run(context.Background(), acute) }
	require.ErrorIs(t, run(), remediate.ErrSkip)
	s.set(v2Group+"memory.current", "1063741824\n")
	code, ok := remediate.Recycling(run())
	require.True(t, ok)
	require.Equal(t, 75, code)
	s.set(v2Group+"memory.stat", "inactive_file 900000000\n")
	require.ErrorIs(t, run(), remediate.ErrSkip, "the page cache is not held by us")
	s.set(v2Group+"memory.max", "max\n")
	require.ErrorIs(t, run(), remediate.ErrSkip, "nothing says whose memory it is")
	s.set(v2Group+"memory.max", deadBeef)
	err := run()
	require.Error(t, err)
	require.NotErrorIs(t, err, remediate.ErrSkip)
}

// A kill: reduced for a day, then as before. A second one within the hour calls
// people at once, whatever is under way.
func TestAfterAKillTheServiceRunsReducedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, h := recorded(t, "v2"), &switches{}
		o := Options{Root: tr.root, Every: 20 * time.Second, DropCaches: h.run("drop"), Reduce: h.turn("reduce")}
		trial := selfhealtest.Start(t, OOM(o))
		time.Sleep(time.Minute)
		tr.set(v2Group+"memory.events", events(0, 1))
		time.Sleep(25 * time.Hour)
		trial.Want(`
			1m10s open oom: a process of this control group was killed for want of memory
			1m11s step drop-caches: no effect
			2m26s step reduce: healed
			1h1m10s page nobody told
			24h2m26s undo reduce
			24h2m26s resolve
			24h2m26s close`)
		require.Equal(t, []string{"drop", "reduce on", "reduce off"}, h.heard())
	})
	synctest.Test(t, func(t *testing.T) {
		tr, h := recorded(t, "v2"), &switches{}
		trial := selfhealtest.Start(t, OOM(Options{Root: tr.root, Reduce: h.turn("reduce")}))
		time.Sleep(time.Minute)
		tr.set(v2Group+"memory.events", events(0, 1))
		time.Sleep(10 * time.Second)
		tr.set(v2Group+"memory.events", events(0, 4))
		time.Sleep(10 * time.Second)
		require.Contains(t, trial.Timeline(), "1m11s page oom[again] escalated")
		require.Equal(t, []string{"reduce on"}, h.heard())
		p := trial.Pager().Pages()[0].Incident.Finding.Summary
		require.Equal(t, "3 processes of this control group were killed for want of memory, for the second time within 1h", p)
	})
}

// The host's own table: people at once, although this process has connections.
func TestTheHostsTableIsForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := recorded(t, "v2")
		a := NewAccepts()
		a.open = 10
		closed := 0
		o := Options{Root: tr.root, Descriptors: DescriptorOptions{Accepts: a, CloseIdle: func(context.Context) error { closed++; return nil }}}
		trial := selfhealtest.Start(t, Descriptors(o))
		time.Sleep(time.Minute)
		tr.set("proc/sys/fs/file-nr", "95\t0\t100\n")
		time.Sleep(time.Minute)
		trial.Want(`
			1m1s open descriptors[host file table]: 95 of 100 files of the whole host are open (95 %), above 90 %
			1m1s step close-idle: failed
			1m1s page escalated`)
		require.Zero(t, a.Most())
		require.Zero(t, closed)
	})
}

// Listeners take fewer connections while descriptors are short, and as many as before
// when they are not.
func TestTheLadderOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := recorded(t, "v2")
		have := func(n int) {
			tr.remove("proc/self/fd")
			for i := range n {
				tr.set("proc/self/fd/"+strconv.Itoa(i), "")
			}
		}
		a, h := NewAccepts(), &switches{}
		a.open = 8
		d := Descriptors(Options{Root: tr.root, Descriptors: DescriptorOptions{Accepts: a, CloseIdle: h.run("close")}})
		// A folder that is made anew is a new one: the detector keeps it open.
		share := selfhealtest.NewGauge(0.5)
		d.Detector = detect.Above(share.Read, 0.9).ClearBelow(0.7).Critical(0.9)
		have(3)
		trial := selfhealtest.Start(t, d)
		time.Sleep(time.Minute)
		share.Set(0.95)
		time.Sleep(15 * time.Second)
		require.Equal(t, 6, a.Most())
		share.Set(0.6)
		time.Sleep(5 * time.Minute)
		trial.Want(`
			1m1s open descriptors: 0.95 is above 0.9
			1m6s step close-idle: no effect
			1m21s step limit-accepts: healed
			3m21s undo limit-accepts
			3m21s close`)
		require.Zero(t, a.Most())
		require.Equal(t, []string{"close"}, h.heard())
	})
}

// What follows must not act: blind, halted, in a storm, in shadow, on a blip.
func TestWhenNothingMayBeDone(t *testing.T) {
	noisy := func(h *switches) []string {
		var all []string
		for _, s := range h.heard() {
			if s != "drop" {
				all = append(all, s)
			}
		}
		return all
	}
	t.Run("blind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &switches{}
			o := (&short{tr: recorded(t, "v1")}).options(h) // has no pressure files
			trial := selfhealtest.Start(t, MemoryPressure(o))
			time.Sleep(10 * time.Minute)
			require.Contains(t, trial.Timeline(), "0s blind: host: open ")
			require.Contains(t, trial.Timeline(), "page blind")
			require.Len(t, trial.Pager().Pages(), 1, "once, and not a storm of them")
			require.Empty(t, h.heard())
		})
	})
	t.Run("halt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, h := newShort(t), &switches{}
			trial := selfhealtest.Start(t, MemoryPressure(s.options(h)))
			require.NoError(t, trial.Supervisor().Halt("ann", "migration"))
			s.wait(0.5, 0.3)
			time.Sleep(10 * time.Minute)
			require.Contains(t, trial.Timeline(), "hold drop-caches: halt")
			require.Empty(t, h.heard())
		})
	})
	t.Run("storm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, h := newShort(t), &switches{}
			depth := selfhealtest.NewGauge(9)
			ws := []selfheal.Watch{MemoryPressure(s.options(h))}
			for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
				ws = append(ws, selfheal.Watch{Name: name, Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(remediate.Step{
					Name: "x", Lasting: true, Run: func(context.Context, remediate.Request) error { return nil },
				})})
			}
			s.wait(0.5, 0.3)
			trial := selfhealtest.Start(t, ws...)
			time.Sleep(4 * time.Minute)
			require.Contains(t, trial.Timeline(), "shed: storm")
			require.Empty(t, noisy(h))
			require.Contains(t, h.heard(), "drop", "what nobody notices is done in a storm too")
		})
	})
	t.Run("shadow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, h := newShort(t), &switches{}
			w := MemoryPressure(s.options(h))
			w.Mode = selfheal.Shadow
			trial := selfhealtest.Start(t, w)
			s.wait(0.5, 0.3)
			time.Sleep(10 * time.Minute)
			require.Contains(t, trial.Timeline(), "would step shed")
			require.Empty(t, h.heard())
		})
	})
	t.Run("a hook that fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, h := newShort(t), &switches{}
			o := s.options(h)
			o.DropCaches = func(context.Context) error { return errors.New("locked") }
			trial := selfhealtest.Start(t, MemoryPressure(o))
			s.wait(0.5, 0.3)
			time.Sleep(2 * time.Minute)
			require.Contains(t, trial.Timeline(), "drop-caches: failed")
			require.Contains(t, h.heard(), "shed on", "the next rung is climbed")
		})
	})
}

// A storm is an outage of DNS as well: last good answers are served all the same.
func TestLastGoodAnswersAreServedInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &flaky{well: true, err: errServfail}
		r := NewResolver(ResolverOptions{First: first.lookup})
		h := &switches{}
		ws := []selfheal.Watch{DNS(Options{DNS: DNSOptions{Names: []string{dbName}, Resolver: r, Reconnect: h.run("reconnect")}})}
		depth := selfhealtest.NewGauge(1)
		for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
			ws = append(ws, selfheal.Watch{Name: name, Detector: detect.Above(depth.Read, 5), Playbook: remediate.Ladder(remediate.Step{
				Name: "x", Lasting: true, Run: func(context.Context, remediate.Request) error { return nil },
			})})
		}
		trial := selfhealtest.Start(t, ws...)
		time.Sleep(time.Minute)
		first.turn(false, errServfail)
		time.Sleep(30 * time.Second)
		depth.Set(9)
		time.Sleep(time.Minute)
		require.Contains(t, trial.Timeline(), "step dns[db.test.] serve-last-good: healed")
		require.Contains(t, trial.Timeline(), "x: storm")
		require.Empty(t, h.heard())
	})
}
