package goruntime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

var acute = detect.Finding{Severity: detect.Critical, Summary: "memory is short"}

func request() remediate.Request {
	return remediate.Request{Incident: "i", Step: "s", Attempt: 1, Try: 1, Finding: acute}
}

// limited sets GOMEMLIMIT for a test.
func limited(t *testing.T, limit int64) {
	before := debug.SetMemoryLimit(limit)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

const gib = 1 << 30

func TestRaiseLimitIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		limited(t, 4*gib)
		root := tree(t, v2(fmt.Sprint(16*gib), fmt.Sprint(5*gib)))
		build := func() remediate.Step { return RaiseLimit(RaiseOptions{Root: root}) }
		limit := "sys/fs/cgroup/pod/app/memory.max"
		return selfhealtest.StepFixture{
			Step: build(), Restart: build, Finding: acute,
			State:        func() string { return fmt.Sprint(limitNow()) },
			Inapplicable: func() { write(t, root, limit, "max") },
			Break: func() func() {
				write(t, root, limit, "lots")
				return func() { write(t, root, limit, fmt.Sprint(16*gib)) }
			},
		}
	})
}

func TestTheLimitIsRaisedOnlyIntoWhatIsLeft(t *testing.T) {
	o := RaiseOptions{By: 0.2, Reserve: 0.05}
	f := fullness{used: 900, limit: 1000, grouped: true, headroom: 10_000, group: grip{limit: 20_000}}
	p, why := o.plan(f)
	require.Empty(t, why)
	require.Equal(t, raised{1000, 1200}, p)

	f.headroom = 1150 // 1000 of the group's 20,000 stay free
	p, why = o.plan(f)
	require.Empty(t, why)
	require.Equal(t, raised{1000, 1050}, p)

	f.headroom = 1050
	_, why = o.plan(f)
	require.Contains(t, why, "left")
	f.grouped = false
	_, why = o.plan(f)
	require.Contains(t, why, "no control group")
	f.limit = 0
	_, why = o.plan(f)
	require.Contains(t, why, "no GOMEMLIMIT")
}

func TestALimitThatSomebodyElseSetIsLeftAlone(t *testing.T) {
	limited(t, 4*gib)
	s := RaiseLimit(RaiseOptions{Root: tree(t, v2(fmt.Sprint(16*gib), fmt.Sprint(5*gib)))})
	req := request()
	req.Save = func(memo []byte) error { req.Memo = memo; return nil }
	require.NoError(t, s.Run(context.Background(), req))
	require.EqualValues(t, 4*gib*6/5, limitNow())
	debug.SetMemoryLimit(7 * gib)
	require.NoError(t, s.Undo(context.Background(), req))
	require.EqualValues(t, 7*gib, limitNow())
}

func TestShrinkCachesIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		var caches Caches
		var full, broken, hangs atomic.Bool
		full.Store(true)
		remove := caches.OnPressure("pages", func(ctx context.Context, p Pressure) error {
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			if broken.Load() {
				return errors.New("broken")
			}
			full.Store(false)
			return nil
		})
		return selfhealtest.StepFixture{
			Step: ShrinkCaches(&caches), State: func() string { return fmt.Sprint(full.Load()) },
			Inapplicable: remove,
			Break:        func() func() { broken.Store(true); return func() { broken.Store(false) } },
			Hang:         func() { hangs.Store(true) },
		}
	})
}

func TestEveryCacheIsAskedAndToldHowBadItIs(t *testing.T) {
	var caches Caches
	var asked []string
	caches.OnPressure("a", func(_ context.Context, p Pressure) error { asked = append(asked, "a "+p.Severity.String()); return nil })
	caches.OnPressure("b", func(context.Context, Pressure) error { panic("ouch") })
	caches.OnPressure("c", nil)
	caches.OnPressure("d", func(context.Context, Pressure) error { asked = append(asked, "d"); return remediate.ErrSkip })
	err := caches.Shrink(context.Background(), request())
	require.Equal(t, []string{"a critical", "d"}, asked)
	var p *remediate.PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "ouch", p.Value)
	require.ErrorContains(t, err, "cache c: its function is nil")
	require.NotErrorIs(t, err, remediate.ErrSkip)

	require.ErrorIs(t, (*Caches)(nil).Shrink(context.Background(), request()), remediate.ErrSkip)
	var idle Caches
	idle.OnPressure("e", func(context.Context, Pressure) error { return remediate.ErrSkip })
	require.ErrorIs(t, idle.Shrink(context.Background(), request()), remediate.ErrSkip)
}

func TestFreeMemoryRunsOnceInTenMinutes(t *testing.T) {
	s := FreeMemory()
	before := forced()
	require.NoError(t, s.Run(context.Background(), request()))
	require.Greater(t, forced(), before)
	after := forced()
	require.NoError(t, s.Run(context.Background(), request()), "the same key is done")
	next := request()
	next.Attempt = 2
	require.ErrorIs(t, s.Run(context.Background(), next), remediate.ErrSkip)
	require.Equal(t, after, forced())
	require.Empty(t, s.Validate())
}

func forced() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

func TestTheProcessIsReplacedOnlyWithItsStacksInTheLog(t *testing.T) {
	req := request()
	var log bytes.Buffer
	req.Log = slog.New(slog.NewTextHandler(&log, nil))
	code, ok := remediate.Recycling(Recycle(75).Run(context.Background(), req))
	require.True(t, ok)
	require.Equal(t, 75, code)
	require.Contains(t, log.String(), "goroutines before the process is replaced")
}

func TestGuardsOfSteps(t *testing.T) {
	ran := 0
	step := remediate.Step{Name: "s", Run: func(context.Context, remediate.Request) error { ran++; return nil }}
	warning := request()
	warning.Finding.Severity = detect.Warning
	assert.ErrorIs(t, onlyAcute(step).Run(context.Background(), warning), remediate.ErrSkip)
	assert.NoError(t, onlyAcute(step).Run(context.Background(), request()))
	assert.ErrorIs(t, OnlyProven(step).Run(context.Background(), request()), remediate.ErrSkip)
	proven := request()
	proven.Finding.Labels = map[string]string{"verdict": Proven}
	assert.NoError(t, OnlyProven(step).Run(context.Background(), proven))
	assert.Equal(t, 2, ran)
	assert.Nil(t, OnlyProven(remediate.Step{}).Run)
}

// The detector looks about once in a window: a verdict sooner would be on the old
// reading.
func TestAStepAgainstALeakIsGivenTimeToShow(t *testing.T) {
	own := []remediate.Step{{Name: "cancel"}, {Name: "cap", Settle: time.Second}}
	steps := GoroutineLeak(Options{StopLeak: own}).Playbook.Steps
	assert.Equal(t, 12*time.Second, steps[0].Settle)
	assert.Equal(t, time.Second, steps[1].Settle)
	assert.Zero(t, own[0].Settle, "the application's own slice stays as it is")
	wrong := GoroutineLeak(Options{StopLeak: own, Leak: LeakOptions{Window: -1}}).Playbook.Steps
	assert.Zero(t, wrong[0].Settle, "Validate tells")
}
