package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestModuleConforms(t *testing.T) {
	for name, o := range map[string]func() queue.Options{
		"zero": func() queue.Options { return queue.Options{} },
		"full": func() queue.Options {
			c := make(chan int, 10)
			return queue.Options{Queues: []queue.Queue{
				queue.Channel("jobs", c),
				{
					Name: "mail", Meter: queue.NewMeter(queue.CoDelOptions{}), Pool: queue.NewPool(queue.PoolOptions{Work: idle}),
					Gate: queue.NewGate(queue.GateOptions{}), Pause: queue.NewPause(queue.PauseOptions{}),
				},
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestModule(t, func(*testing.T) selfheal.Module { return queue.Module(o()) })
		})
	}
}

// Rungs that no queue can use are not in the ladder, and a queue skips what only
// others have.
func TestTheLadderHasWhatTheQueuesHave(t *testing.T) {
	q := queue.Queue{Name: "q", Len: func() int { return 0 }}
	ladder := func() (steps []remediate.Step, names string) {
		steps = queue.Backlog(queue.Options{Queues: []queue.Queue{q, {Name: "bare", Len: q.Len}}}).Playbook.Steps
		for _, s := range steps {
			require.Empty(t, s.Validate())
			names += s.Name + " "
		}
		return steps, names
	}
	_, names := ladder()
	require.Empty(t, names)
	q.Gate = queue.NewGate(queue.GateOptions{})
	_, names = ladder()
	require.Equal(t, "shed-load ", names)
	q.Pool, q.Pause = queue.NewPool(queue.PoolOptions{Work: idle}), queue.NewPause(queue.PauseOptions{})
	steps, names := ladder()
	require.Equal(t, "scale-workers pause-producers shed-load ", names)
	for _, key := range []string{"bare", "", "unknown\n"} {
		for _, s := range steps {
			req := request("i")
			req.Finding = detect.Finding{Key: key}
			require.ErrorIs(t, s.Run(t.Context(), req), remediate.ErrSkip)
			require.NoError(t, s.Undo(t.Context(), req))
		}
	}
}

func TestAWarningIsASymptomOfABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(1000)
		trial := selfhealtest.Start(t, watches(queue.Module(queue.Options{Queues: []queue.Queue{{Name: "jobs", Depth: depth.Read, MaxDepth: 100}}}))...)
		time.Sleep(20 * time.Minute)
		depth.Set(80)
		time.Sleep(20 * time.Minute)
		depth.Set(40)
		time.Sleep(20 * time.Minute)
		trial.Want(`
			10s open queue/backlog[jobs]: 1000 items wait, above 100
			10s page queue/backlog[jobs] exhausted
			10m0s open queue/warning[jobs]: 1000 items wait, above 75
			10m0s hold queue/warning[jobs] escalation: cause first
			45m0s resolve queue/backlog[jobs]
			45m0s close queue/backlog[jobs]
			45m0s close queue/warning[jobs]`)
	})
}

// plant is a small service in virtual time: users send jobs through the gate, an
// importer adds 20 a second unless it is paused, and a pool of workers does them,
// 10 a second each.
type plant struct {
	jobs  chan queue.Stamp
	meter *queue.Meter
	pool  *queue.Pool
	gate  *queue.Gate
	pause *queue.Pause
	users atomic.Int64 // requests a second
	lost  atomic.Int64
}

func newPlant(t *testing.T, workers, most int, adaptive bool) *plant {
	p := &plant{
		jobs: make(chan queue.Stamp, 1000), meter: queue.NewMeter(queue.CoDelOptions{Target: time.Second, Interval: 5 * time.Second}),
		pause: queue.NewPause(queue.PauseOptions{}),
	}
	var o queue.GateOptions
	if adaptive {
		o.Overloaded = p.meter.Overloaded
	}
	p.gate = queue.NewGate(o)
	p.pool = queue.NewPool(queue.PoolOptions{Size: workers, Max: most, Work: queue.Each(p.jobs, func(ctx context.Context, s queue.Stamp) error {
		p.meter.Leave(s)
		select {
		case <-time.After(100 * ms):
		case <-ctx.Done():
		}
		return nil
	})})
	running(t, p.pool)
	ctx, cancel := context.WithCancel(t.Context())
	var feeders sync.WaitGroup
	t.Cleanup(func() { cancel(); feeders.Wait() })
	put := func() {
		s := p.meter.Enter()
		select {
		case p.jobs <- s:
		default:
			p.lost.Add(1)
			p.meter.Withdraw(s)
		}
	}
	feeders.Go(func() {
		for ctx.Err() == nil {
			for range p.users.Load() {
				if p.gate.Admit(queue.Normal) {
					put()
				}
			}
			time.Sleep(time.Second)
		}
	})
	feeders.Go(func() {
		for p.pause.Wait(ctx) == nil {
			put()
			time.Sleep(50 * ms)
		}
	})
	return p
}

func (p *plant) watches() []selfheal.Watch {
	q := queue.Channel("jobs", p.jobs)
	q.Meter, q.Pool, q.Gate, q.Pause = p.meter, p.pool, p.gate, p.pause
	return watches(queue.Module(queue.Options{Queues: []queue.Queue{q}}))
}

// watches are those of the module, as Install names them.
func watches(m selfheal.Module) []selfheal.Watch {
	for i := range m.Watches {
		m.Watches[i].Name = m.Name + "/" + m.Watches[i].Name
		for j := range m.Watches[i].After {
			m.Watches[i].After[j] = m.Name + "/" + m.Watches[i].After[j]
		}
	}
	return m.Watches
}

// told is the timeline with the words of the findings cut off, which depend on
// the moment.
func told(trial *selfhealtest.Trial) string {
	var lines []string
	for line := range strings.Lines(trial.Timeline()) {
		line = strings.TrimSpace(line)
		if what, _, ok := strings.Cut(line, ": "); ok && strings.Contains(line, " open ") {
			line = what
		}
		lines = append(lines, strings.ReplaceAll(line, "queue/backlog[jobs]", "jobs"))
	}
	return strings.Join(lines, "\n")
}

func TestMoreWorkersHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 16, false) // 40 a second
		trial := selfhealtest.Start(t, p.watches()...)
		p.users.Store(10)
		time.Sleep(10 * time.Minute)
		trial.Want("")
		p.users.Store(25) // 45 come, 40 leave
		time.Sleep(2 * time.Minute)
		require.Equal(t, queue.PoolState{Target: 8, Running: 8}, p.pool.State())
		p.users.Store(10)
		time.Sleep(10 * time.Minute)
		require.Regexp(t, `^10m\d+s open jobs
11m\d+s step scale-workers: healed
16m\d+s undo scale-workers
16m\d+s close$`, told(trial))
		require.Equal(t, queue.PoolState{Target: 4, Running: 4}, p.pool.State())
		require.Empty(t, trial.Pager().Pages())
		require.Zero(t, p.lost.Load())
	})
}

func TestTheWholeLadderAndTheWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 8, false)
		trial := selfhealtest.Start(t, p.watches()...)
		p.users.Store(110) // and 20: more than 80 even without the importer
		time.Sleep(4 * time.Minute)
		require.Equal(t, "100% of background, 50% of normal", p.gate.State().String())
		require.Equal(t, 8, p.pool.State().Running)
		require.True(t, p.pause.State().Paused)
		p.users.Store(10)
		time.Sleep(20 * time.Minute)
		require.Regexp(t, `^1\ds open jobs
1m1\ds step jobs scale-workers: no effect
2m1\ds step jobs pause-producers: no effect
2m\d+s blip queue/warning\[jobs\]
3m1\ds step jobs shed-load: healed
8m\d+s undo jobs shed-load
8m\d+s undo jobs pause-producers
8m\d+s undo jobs scale-workers
8m\d+s close jobs$`, told(trial))
		require.Equal(t, "nothing", p.gate.State().String())
		require.Equal(t, queue.PauseState{}, p.pause.State())
		require.Equal(t, queue.PoolState{Target: 4, Running: 4}, p.pool.State())
		require.Empty(t, trial.Pager().Pages())
	})
}

// What nothing helps against is undone and told, with what was tried.
func TestWhatDoesNotHelpIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 1, 2, false)
		trial := selfhealtest.Start(t, p.watches()...)
		p.users.Store(500)
		time.Sleep(9 * time.Minute)
		require.Regexp(t, `^1\ds open jobs
1m1\ds step scale-workers: no effect
2m1\ds step pause-producers: no effect
3m1\ds step shed-load: no effect
3m3\ds undo shed-load
3m4\ds undo pause-producers
3m4\ds undo scale-workers
3m4\ds page exhausted$`, told(trial))
		text := trial.Pager().Pages()[0].Incident.Text()
		require.Contains(t, text, "items wait, above 800")
		require.Contains(t, text, "shed-load: no effect")
	})
}

// An adaptive gate keeps the service busy for as long as there is too much, and
// opens by itself when that is over; that there is too much is told.
func TestAnAdaptiveGateInTheLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 4, true) // 40 a second, and no more workers
		trial := selfhealtest.Start(t, p.watches()...)
		p.users.Store(100)
		time.Sleep(3 * time.Minute)
		before := p.meter.State().Out - uint64(p.lost.Load())
		lost := p.lost.Load()
		time.Sleep(30 * time.Minute)
		served := float64(p.meter.State().Out-uint64(p.lost.Load())-before) / 1800
		require.InDelta(t, 38, served, 2)
		require.Less(t, float64(p.lost.Load()-lost)/1800, 1.0, "what is too much is refused, not lost")
		require.Contains(t, told(trial), "step jobs scale-workers: skipped")
		require.NotEmpty(t, trial.Pager().Pages())
		p.users.Store(5)
		time.Sleep(10 * time.Minute)
		require.Equal(t, "nothing", p.gate.State().String())
		require.False(t, p.pause.State().Paused)
		require.True(t, strings.HasSuffix(told(trial), "close jobs"), told(trial))
	})
}

// untouched fails the test where a measure is in force.
func (p *plant) untouched(t *testing.T) {
	t.Helper()
	require.Equal(t, 4, p.pool.State().Target)
	require.Equal(t, "nothing", p.gate.State().String())
	require.False(t, p.pause.State().Paused)
}

func TestAHaltedSupervisorTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 8, false)
		trial := selfhealtest.Start(t, p.watches()...)
		require.NoError(t, trial.Supervisor().Halt("ann", "a deploy"))
		p.users.Store(110)
		time.Sleep(5 * time.Minute)
		p.untouched(t)
		require.Equal(t, escalate.Halted, trial.Pager().Pages()[0].Incident.Reason)
	})
}

func TestAShadowTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 8, false)
		trial := selfhealtest.StartWith(t, selfheal.Options{Mode: selfheal.Shadow}, p.watches()...)
		p.users.Store(110)
		time.Sleep(5 * time.Minute)
		p.untouched(t)
		require.Contains(t, told(trial), "would step shed-load")
	})
}

func TestABurstIsABlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 4, 8, false)
		trial := selfhealtest.Start(t, p.watches()...)
		p.users.Store(150) // 150 at once, and then 8 s of quiet
		time.Sleep(500 * ms)
		p.users.Store(0)
		time.Sleep(5 * time.Minute)
		p.untouched(t)
		require.NotContains(t, told(trial), "open")
	})
}

// A queue that cannot be read is no reason to act, however deep it was.
func TestABlindQueueIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth, gate := selfhealtest.NewGauge(1), queue.NewGate(queue.GateOptions{})
		trial := selfhealtest.Start(t, watches(queue.Module(queue.Options{Queues: []queue.Queue{{Name: "jobs", Depth: depth.Read, MaxDepth: 100, Gate: gate}}}))...)
		time.Sleep(time.Minute)
		depth.Set(1000)
		time.Sleep(5 * time.Second)
		depth.Fail(errors.New("connection refused"))
		time.Sleep(10 * time.Minute)
		require.Equal(t, "nothing", gate.State().String())
		require.NotContains(t, told(trial), "step")
		require.Equal(t, 2, strings.Count(told(trial), "depth: connection refused"), "once for each watch: "+told(trial))
		require.Contains(t, told(trial), "page queue/warning blind")
	})
}

// Many queues sick at once have a shared cause: nobody is shed, one page.
func TestAStormOfQueuesIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth, gate := selfhealtest.NewGauge(1), queue.NewGate(queue.GateOptions{})
		var queues []queue.Queue
		for _, name := range strings.Fields("a b c d e f g h i j k l") {
			queues = append(queues, queue.Queue{Name: name, Depth: depth.Read, MaxDepth: 100, Gate: gate})
		}
		trial := selfhealtest.Start(t, watches(queue.Module(queue.Options{Queues: queues}))...)
		time.Sleep(time.Minute)
		depth.Set(1000)
		time.Sleep(2 * time.Minute)
		require.Equal(t, "nothing", gate.State().String())
		require.True(t, trial.Supervisor().Status().Storm)
		require.Len(t, trial.Pager().Pages(), 1)
		require.Equal(t, escalate.Storm, trial.Pager().Pages()[0].Incident.Reason)
	})
}

// The application's own veto.
func TestAVetoedLadderTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, veto := newPlant(t, 4, 8, false), &selfhealtest.Gate{}
		veto.Shut(errors.New("a deploy runs"))
		trial := selfhealtest.StartWith(t, selfheal.Options{Gate: veto.Ask}, p.watches()...)
		p.users.Store(110)
		time.Sleep(5 * time.Minute)
		p.untouched(t)
		require.Contains(t, told(trial), "hold scale-workers: gate")
	})
}
