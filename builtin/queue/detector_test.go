package queue_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// said is what a watch says now, a line a finding.
func said(w selfheal.Watch) string {
	found, err := w.Detector.Detect(context.Background())
	var lines []string
	for _, f := range found {
		lines = append(lines, f.Key+": "+f.Summary)
	}
	if err != nil {
		lines = append(lines, "blind: "+err.Error())
	}
	return strings.Join(lines, "\n")
}

// length is a Len() int that a test sets.
type length struct{ n atomic.Int64 }

func (l *length) Len() int { return int(l.n.Load()) }

func TestDepthOfAChannelAndOfALen(t *testing.T) {
	c := make(chan int, 10)
	var l length
	w := queue.Depth(queue.Options{Queues: []queue.Queue{
		queue.Channel("jobs", c),
		{Name: "mail", Len: l.Len, MaxDepth: 100},
		{Name: "unlimited", Len: l.Len},
	}})
	require.NoError(t, w.Detector.(detect.Validator).Validate())
	for range 8 {
		c <- 1
	}
	l.n.Store(100)
	require.Empty(t, said(w), "as much as is allowed")
	c <- 1
	l.n.Store(101)
	require.Equal(t, "jobs: 9 items wait, above 8\nmail: 101 items wait, above 100", said(w))
	for range 5 {
		<-c
	}
	l.n.Store(50)
	require.Equal(t, "jobs: 4 items wait, not yet below 4\nmail: 50 items wait, not yet below 50", said(w))
	<-c
	l.n.Store(49)
	require.Empty(t, said(w))
	l.n.Store(99)
	require.Empty(t, said(w), "between the two it stays as it was")
	l.n.Store(-1)
	require.Equal(t, "blind: queue \"mail\": depth: it is negative, which is no number of items: correct what Len or Depth returns\n"+
		"queue \"unlimited\": depth: it is negative, which is no number of items: correct what Len or Depth returns", said(w))
}

// A queue that cannot be read is blind and does not hide the others.
func TestOneBlindQueue(t *testing.T) {
	depth, age := selfhealtest.NewGauge(5), selfhealtest.NewGauge(time.Second)
	counts := func(context.Context) (queue.Counts, error) { return queue.Counts{}, errors.New("no counts") }
	w := queue.Backlog(queue.Options{Queues: []queue.Queue{
		{Name: "a", Depth: depth.Read, MaxDepth: 10, Age: age.Read},
		{Name: "b", Len: func() int { return 11 }, MaxDepth: 10},
		{Name: "c", Counts: counts},
	}})
	require.Equal(t, "b: 11 items wait, above 10\nblind: queue \"c\": counts: no counts", said(w))
	depth.Fail(errors.New("gone"))
	require.Equal(t, "b: 11 items wait, above 10\nblind: queue \"a\": depth: gone\nqueue \"c\": counts: no counts", said(w))
	depth.Set(11)
	age.Set(-time.Second)
	require.Contains(t, said(w), "queue \"a\": age: it is negative")
	age.Fail(errors.New("lost"))
	require.Contains(t, said(w), "queue \"a\": age: lost")
	age.Set(0)
	require.Contains(t, said(w), "a: 11 items wait, above 10\nb: 11")
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		age, m := selfhealtest.NewGauge(30*time.Second), queue.NewMeter(queue.CoDelOptions{})
		w := queue.Wait(queue.Options{Queues: []queue.Queue{
			{Name: "aged", Age: age.Read},
			{Name: "metered", Meter: m, MaxWait: time.Minute},
			{Name: "patient", Age: age.Read, MaxWait: -1},
		}})
		s := m.Enter()
		require.Empty(t, said(w))
		age.Set(31 * time.Second)
		require.Equal(t, "aged: the head has waited 31s, above 30s", said(w))
		age.Set(15 * time.Second)
		require.Equal(t, "aged: the head has waited 15s, not yet below 15s", said(w))
		age.Set(0)
		time.Sleep(61 * time.Second)
		require.Equal(t, "metered: nothing was taken for 1m1s, above 1m", said(w))
		m.Leave(s)
		require.Empty(t, said(w))
	})
}

func TestSojourn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, off := queue.NewMeter(queue.CoDelOptions{}), queue.NewMeter(queue.CoDelOptions{Target: -1})
		w := queue.Sojourn(queue.Options{Queues: []queue.Queue{{Name: "q", Meter: m}, {Name: "off", Meter: off}, {Name: "other", Len: func() int { return 1e6 }}}})
		off.Enter()
		for range 10 {
			m.Enter()
		}
		s := m.Enter()
		m.Enter()
		time.Sleep(20 * ms)
		m.Leave(s)
		require.Empty(t, said(w), "not for an interval")
		time.Sleep(100 * ms)
		m.Leave(s)
		require.Equal(t, "q: each item waits 20ms or more, a standing queue above 5ms", said(w))
		m.Leave(m.Enter())
		require.Empty(t, said(w))
	})
}

// flow moves a queue by so many in and out a second.
func flow(m *queue.Meter, stamps *[]queue.Stamp, in, out int) {
	for range in {
		*stamps = append(*stamps, m.Enter())
	}
	for range min(out, len(*stamps)) {
		m.Leave((*stamps)[0])
		*stamps = (*stamps)[1:]
	}
	time.Sleep(time.Second)
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{Target: -1})
		w := queue.Drain(queue.Options{Queues: []queue.Queue{{Name: "q", Meter: m}}})
		var stamps []queue.Stamp
		look := func(in, out, seconds int) (last string) {
			for range seconds {
				flow(m, &stamps, in, out)
				last = said(w)
			}
			return last
		}
		require.Empty(t, look(10, 10, 120), "at full load a short queue never drains, and nobody waits")
		require.Empty(t, look(30, 10, 7), "140 items: 14 s, that is nothing yet")
		require.Regexp(t, `^q: it never drains, above 5m \(\d+(\.\d)?/s come, 10/s leave\)$`, look(30, 10, 20))
		require.Empty(t, look(0, 30, 20), "and now it is gone")
		require.Zero(t, len(stamps))

		look(1000, 10, 1)
		require.Equal(t, "q: draining takes 7m59s, above 5m (8/s come, 10/s leave)", look(8, 10, 16))
		require.Empty(t, look(0, 100, 60))
	})
}

// What a new item will wait is known before it has waited: Little's law.
func TestWaitByLittlesLaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, out, depth atomic.Int64
		w := queue.Wait(queue.Options{Queues: []queue.Queue{{
			Name: "broker", Depth: func(context.Context) (int, error) { return int(depth.Load()), nil },
			Counts: func(context.Context) (queue.Counts, error) {
				return queue.Counts{In: uint64(in.Load()), Out: uint64(out.Load())}, nil
			},
		}}})
		second := func() string {
			time.Sleep(time.Second)
			out.Add(20)
			in.Add(20)
			return said(w)
		}
		depth.Store(1)
		for range 60 { // one item a look, always: no wait
			require.Empty(t, second())
		}
		depth.Store(700)
		require.Equal(t, "broker: a new item waits 35s, above 30s", second())
		in.Store(0) // the broker restarted: nothing compares
		out.Store(0)
		require.Empty(t, second())
		for range 15 {
			second()
		}
		require.Equal(t, "broker: a new item waits 35s, above 30s", second())
		depth.Store(0)
		require.Empty(t, second())
		depth.Store(700)
		require.Empty(t, second(), "after it was empty the rate says nothing about what the consumers can do")
	})
}

// One overload is one finding, with all that is wrong, and a value that compares.
func TestBacklogIsOneFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{})
		pool, gate, pause := queue.NewPool(queue.PoolOptions{Work: idle}), queue.NewGate(queue.GateOptions{}), queue.NewPause(queue.PauseOptions{})
		w := queue.Backlog(queue.Options{Queues: []queue.Queue{{Name: "q", Meter: m, Cap: 100, Pool: pool, Gate: gate, Pause: pause}}})
		for range 90 {
			m.Enter()
		}
		time.Sleep(time.Minute)
		found, err := w.Detector.Detect(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		f := found[0]
		require.Equal(t, "90 items wait, above 80; nothing was taken for 1m, above 30s; each item waits 1m or more, a standing queue above 5ms", f.Summary)
		require.Equal(t, detect.Critical, f.Severity)
		require.Equal(t, []any{0.0, 0.0, ""}, []any{f.Value, f.Limit, f.Unit}, "a surge is not the doing of a rung")
		found, err = queue.Warning(queue.Options{Queues: []queue.Queue{{Name: "q", Meter: m, Cap: 100, Gate: gate}}}).Detector.Detect(t.Context())
		require.NoError(t, err)
		require.Equal(t, []any{90.0, 60.0, "items"}, []any{found[0].Value, found[0].Limit, found[0].Unit})
		require.Equal(t, detect.Warning, found[0].Severity)
		var keys []string
		for _, a := range f.Evidence {
			keys = append(keys, a.Key)
		}
		require.Equal(t, []string{"depth", "capacity", "age", "workers", "workers_target", "refused", "producers_paused", "producers_waiting"}, keys)
	})
}

func TestWarningComesBeforeAndClearsWithTheRest(t *testing.T) {
	var l length
	w := queue.Warning(queue.Options{Queues: []queue.Queue{{Name: "q", Len: l.Len, MaxDepth: 100}}})
	l.n.Store(75)
	require.Empty(t, said(w))
	l.n.Store(76)
	require.Equal(t, "q: 76 items wait, above 75", said(w))
	l.n.Store(50)
	require.Equal(t, "q: 50 items wait, not yet below 50", said(w))
	l.n.Store(49)
	require.Empty(t, said(w))
}

func TestWithoutQueuesItIsBlind(t *testing.T) {
	for _, w := range queue.Module(queue.Options{}).Watches {
		require.Equal(t, "blind: queue: there is no queue to watch: set Options.Queues, or do not install the module", said(w))
	}
}

func TestOptions(t *testing.T) {
	ok := queue.Queue{Name: "q", Len: func() int { return 0 }}
	with := func(change func(*queue.Queue)) queue.Options {
		q := ok
		change(&q)
		return queue.Options{Queues: []queue.Queue{q}}
	}
	require.NoError(t, queue.Options{Queues: []queue.Queue{ok}}.Validate())
	depth := func(context.Context) (int, error) { return 0, nil }
	for want, o := range map[string]queue.Options{
		"Options.MaxWait is -2ns":   {MaxWait: -2},
		"Options.MaxDrain is -1s":   {MaxDrain: -time.Second},
		"Options.For is -1s":        {For: -time.Second},
		"Options.WarnFor is -1s":    {WarnFor: -time.Second},
		"Options.KeepFor is -1s":    {KeepFor: -time.Second},
		"Options.Settle is -1s":     {Settle: -time.Second},
		"Options.Every is -1s":      {Every: -time.Second},
		"Options.Window is -1s":     {Window: -time.Second},
		"Options.Window is 1s":      {Window: time.Second},
		"Options.Clear is 0.9":      {Clear: 0.9},
		"Clear is 0 and Warn 1.5":   {Warn: 1.5},
		"Clear is NaN":              {Clear: math.NaN()},
		"both named \"q\"":          {Queues: []queue.Queue{ok, ok}},
		"no name":                   with(func(q *queue.Queue) { q.Name = "" }),
		"cannot stand in a line":    with(func(q *queue.Queue) { q.Name = "a\nb" }),
		"both Len and Depth":        with(func(q *queue.Queue) { q.Depth = depth }),
		"nothing can be seen of it": with(func(q *queue.Queue) { q.Len = nil }),
		"Cap is -1":                 with(func(q *queue.Queue) { q.Cap = -1 }),
		"MaxDepth is -2":            with(func(q *queue.Queue) { q.MaxDepth = -2 }),
		"never be above it":         with(func(q *queue.Queue) { q.MaxDepth, q.Cap = 10, 10 }),
		"MaxWait is -2ns":           with(func(q *queue.Queue) { q.MaxWait = -2 }),
		"MaxDrain is -2ns":          with(func(q *queue.Queue) { q.MaxDrain = -2 }),
		"without a buffer":          {Queues: []queue.Queue{queue.Channel("c", make(chan int))}},
		"CoDel's Target is -2ns":    with(func(q *queue.Queue) { q.Meter = queue.NewMeter(queue.CoDelOptions{Target: -2}) }),
		"PoolOptions.Work is nil":   with(func(q *queue.Queue) { q.Pool = queue.NewPool(queue.PoolOptions{}) }),
		"GateOptions.Ramp is -1ns":  with(func(q *queue.Queue) { q.Gate = queue.NewGate(queue.GateOptions{Ramp: -1}) }),
		"PauseOptions.Ramp is -2ns": with(func(q *queue.Queue) { q.Pause = queue.NewPause(queue.PauseOptions{Ramp: -2}) }),
	} {
		require.ErrorContains(t, o.Validate(), want, want)
		for _, w := range append(queue.Module(o).Watches, queue.Depth(o), queue.Wait(o), queue.Sojourn(o), queue.Drain(o)) {
			require.ErrorContains(t, w.Detector.(detect.Validator).Validate(), want)
			found, err := w.Detector.Detect(t.Context())
			require.Empty(t, found)
			require.ErrorContains(t, err, want)
		}
		sup := selfheal.New(selfheal.Options{})
		sup.Install(queue.Module(o))
		require.ErrorContains(t, sup.Validate(), want)
	}
	var nobody chan int
	require.ErrorContains(t, queue.Options{Queues: []queue.Queue{queue.Channel("nil", nobody)}}.Validate(), "without a buffer")
}

// The smallest channels: full must be above what is allowed.
func TestSmallChannels(t *testing.T) {
	for n := 1; n <= 12; n++ {
		c := make(chan int, n)
		w := queue.Depth(queue.Options{Queues: []queue.Queue{queue.Channel("c", c)}})
		require.NoError(t, w.Detector.(detect.Validator).Validate())
		require.Empty(t, said(w))
		for range n {
			c <- 1
		}
		if n == 1 {
			continue // either empty or full: full is how it works
		}
		require.NotEmpty(t, said(w), "capacity %d", n)
	}
}

func TestDetectorsConform(t *testing.T) {
	for name, watch := range map[string]func(queue.Options) selfheal.Watch{"Backlog": queue.Backlog, "Warning": queue.Warning, "Depth": queue.Depth} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(*testing.T) selfhealtest.DetectorFixture {
				depth := selfhealtest.NewGauge(1)
				var hang atomic.Bool
				read := func(ctx context.Context) (int, error) {
					if hang.Load() {
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return depth.Read(ctx)
				}
				m := queue.NewMeter(queue.CoDelOptions{})
				return selfhealtest.DetectorFixture{
					Detector: watch(queue.Options{Queues: []queue.Queue{{Name: "a", Depth: read, MaxDepth: 10}, {Name: "b", Meter: m, Cap: 10}}}).Detector,
					Sicken:   func() { depth.Set(100) },
					Heal:     func() { depth.Set(1) },
					Break:    func() { depth.Fail(errors.New("refused")) },
					Hang:     func() { hang.Store(true) },
				}
			})
		})
	}
	t.Run("Sojourn", func(t *testing.T) {
		selfhealtest.TestDetector(t, func(*testing.T) selfhealtest.DetectorFixture {
			m := queue.NewMeter(queue.CoDelOptions{Target: 2 * ms, Interval: 2 * ms})
			return selfhealtest.DetectorFixture{
				Detector: queue.Sojourn(queue.Options{Queues: []queue.Queue{{Name: "q", Meter: m}}}).Detector,
				Sicken:   func() { m.Enter() },
				Heal:     func() { m.Observe(0, 0) },
				Within:   50 * ms,
			}
		})
	})
}
