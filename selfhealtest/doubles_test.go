package selfhealtest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func TestGaugeFailsUntilItIsSet(t *testing.T) {
	g := NewGauge(1.5)
	boom := errors.New("boom")
	read := func() (float64, error) { return g.Read(t.Context()) }
	g.Fail(boom)
	_, err := read()
	require.ErrorIs(t, err, boom)
	g.Fail(nil)
	v, err := read()
	require.NoError(t, err)
	assert.Equal(t, 1.5, v)
	g.Fail(boom)
	g.Set(2)
	v, err = read()
	require.NoError(t, err)
	assert.Equal(t, 2.0, v)
}

func TestScriptRepeatsItsLastFrame(t *testing.T) {
	boom := errors.New("boom")
	d := Script(Frame{}, Frame{Findings: []detect.Finding{{Key: "a"}}}, Frame{Err: boom})
	ask := func() (int, error) { fs, err := d.Detect(t.Context()); return len(fs), err }
	for _, want := range []struct {
		n   int
		err error
	}{{0, nil}, {1, nil}, {0, boom}, {0, boom}} {
		n, err := ask()
		assert.Equal(t, want.n, n)
		assert.Equal(t, want.err, err)
	}
	fs, err := Script().Detect(t.Context())
	assert.NoError(t, err)
	assert.Empty(t, fs)
}

func TestPagerTellsCallsFromResolves(t *testing.T) {
	var p Pager
	for _, k := range []escalate.Kind{escalate.Trigger, escalate.Update, escalate.Ask, escalate.Resolve} {
		require.NoError(t, p.Notify(t.Context(), escalate.Notification{Kind: k}))
	}
	assert.Len(t, p.Pages(), 3)
	assert.Len(t, p.Resolved(), 1)
	p.Fail(errBroken)
	require.ErrorIs(t, p.Notify(t.Context(), escalate.Notification{}), errBroken)
	p.Fail(nil)
	require.NoError(t, p.Notify(t.Context(), escalate.Notification{}))
	assert.Len(t, p.Pages(), 4)
}

func TestActorPlaysItsTurns(t *testing.T) {
	done := 0
	a := Play(
		Turn{Err: remediate.ErrSkip},
		Turn{Do: func() { done++ }, Panic: "boom"},
		Turn{Do: func() { done++ }},
	)
	act := func(n int) error { return a.Act(t.Context(), remediate.Request{Attempt: n}) }
	require.ErrorIs(t, act(1), remediate.ErrSkip)
	require.PanicsWithValue(t, "boom", func() { _ = act(2) })
	require.NoError(t, act(3))
	require.NoError(t, act(4))
	assert.Equal(t, 3, done)
	require.Len(t, a.Requests(), 4)
	assert.Equal(t, 2, a.Requests()[1].Attempt)
	require.NoError(t, Play().Act(t.Context(), remediate.Request{}))
}

func TestActorTakesItsTime(t *testing.T) {
	a := Play(Turn{Takes: time.Hour, Err: errBroken}) // made outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.ErrorIs(t, a.Act(t.Context(), remediate.Request{}), errBroken)
		assert.Equal(t, time.Hour, time.Since(began))

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(remediate.ErrStopping) })
		require.ErrorIs(t, a.Act(ctx, remediate.Request{}), remediate.ErrStopping)
		assert.Equal(t, time.Hour+time.Minute, time.Since(began))
	})
}

func TestActorHangsUntilReleased(t *testing.T) {
	a := Play(Turn{Hang: true, Err: errBroken})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ended := make(chan error, 1)
		go func() { ended <- a.Act(ctx, remediate.Request{}) }()
		time.Sleep(time.Hour)
		assert.Empty(t, ended)
		a.Release()
		assert.Equal(t, errBroken, <-ended)
		a.Release()
		assert.Equal(t, errBroken, a.Act(ctx, remediate.Request{}))
	})
}

func TestWorldHasPartsAndMeasures(t *testing.T) {
	var w World
	ask := func(step, part string, attempt int) remediate.Request {
		return remediate.Request{Incident: "i" + part, Step: step, Attempt: attempt, Finding: detect.Finding{Key: part}}
	}
	w.Cures("restart")
	w.Cures("failover", "eu", "us")
	w.Sicken("eu", "us", "ap")
	w.Sicken()
	assert.Equal(t, []string{"", "ap", "eu", "us"}, w.Sick())
	fs, err := w.Detect(t.Context())
	require.NoError(t, err)
	require.Len(t, fs, 4)
	assert.Equal(t, "the service is sick", fs[0].Summary)
	assert.Equal(t, detect.Finding{Key: "ap", Summary: "ap is sick"}, fs[1])

	require.NoError(t, w.Run(t.Context(), ask("scale", "ap", 1)))
	assert.Len(t, w.Sick(), 4, "nothing is known of scale")
	require.NoError(t, w.Run(t.Context(), ask("restart", "ap", 2)))
	require.NoError(t, w.Run(t.Context(), ask("restart", "ap", 2)))
	require.NoError(t, w.Run(t.Context(), ask("failover", "", 1)))
	assert.Equal(t, []string{""}, w.Sick())
	assert.Equal(t, []string{"failover", "restart[ap]", "scale[ap]"}, w.InForce())
	require.NoError(t, w.Undo(t.Context(), ask("scale", "ap", 1)))
	require.NoError(t, w.Undo(t.Context(), ask("scale", "ap", 1)))
	assert.Equal(t, []string{"failover", "restart[ap]"}, w.InForce())
	assert.Equal(t, []string{"run scale[ap]", "run restart[ap]", "run failover", "undo scale[ap]"}, w.History())

	w.Heal()
	w.Blind(errBroken)
	_, err = w.Detect(t.Context())
	require.ErrorIs(t, err, errBroken)
	w.Blind(nil)
	fs, err = w.Detect(t.Context())
	require.NoError(t, err)
	assert.Empty(t, fs)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(remediate.ErrStopping)
	require.ErrorIs(t, w.Run(ctx, ask("scale", "", 3)), remediate.ErrStopping)
	require.ErrorIs(t, w.Undo(ctx, ask("failover", "", 1)), remediate.ErrStopping)
}

func TestOneLineEscapes(t *testing.T) {
	assert.Equal(t, `a\nb\x1b\u2028é\u202e "q" \ �`, oneLine("a\nb\x1b\u2028é\u202e \"q\" \\ \xff"))
}
