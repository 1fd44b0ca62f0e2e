package remediate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func returns(err error) Action { return func(context.Context, Request) error { return err } }

func counted(n *atomic.Int64, err error) Action {
	return func(context.Context, Request) error { n.Add(1); return err }
}

func skip(context.Context, Request) error { return fmt.Errorf("not here: %w", ErrSkip) }

// Both ways to put actions together agree on what a skip means: the undo is
// owed unless nothing at all was done.
func TestSkipsInsideOfCombinations(t *testing.T) {
	boom := errors.New("boom")
	for name, combine := range map[string]func(...Action) Action{"Sequence": Sequence, "All": All} {
		for _, c := range []struct {
			what    string
			actions []Action
			is, not error
		}{
			{"nothing to do", nil, ErrSkip, nil},
			{"all skip", []Action{skip, returns(ErrSkip)}, ErrSkip, nil},
			{"one applies", []Action{skip, noop, skip}, nil, ErrSkip},
			{"one fails", []Action{skip, returns(boom)}, boom, ErrSkip},
			{"one applies and one fails", []Action{noop, skip, returns(boom)}, boom, ErrSkip},
			{"escalate", []Action{skip, returns(ErrEscalate)}, ErrEscalate, ErrSkip},
			{"nil", []Action{nil}, errNil, ErrSkip},
		} {
			t.Run(name+"/"+c.what, func(t *testing.T) {
				err := combine(c.actions...)(t.Context(), Request{})
				if c.is == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, c.is)
				if c.not != nil {
					require.NotErrorIs(t, err, c.not)
				}
			})
		}
	}
}

func TestCombinationsKeepTheirOwnList(t *testing.T) {
	for name, combine := range map[string]func(...Action) Action{"Sequence": Sequence, "All": All} {
		list := []Action{noop, noop}
		a := combine(list...)
		list[0] = func(context.Context, Request) error { panic("changed from outside") }
		require.NoError(t, a(t.Context(), Request{}), name)
	}
}

func TestSequence(t *testing.T) {
	var ran []string
	step := func(name string, err error) Action {
		return func(_ context.Context, req Request) error {
			require.Equal(t, "i-1", req.Incident)
			ran = append(ran, name)
			return err
		}
	}
	err := Sequence(step("a", nil), step("b", ErrSkip), step("c", errBusy), step("d", nil))(t.Context(), Request{Incident: "i-1"})
	require.EqualError(t, err, "sequence: action 3 of 4: busy")
	require.Equal(t, []string{"a", "b", "c"}, ran)

	ctx, cancel := context.WithCancelCause(t.Context())
	ran = nil
	err = Sequence(step("a", nil), func(context.Context, Request) error { cancel(ErrStopping); return nil }, step("c", nil))(ctx, Request{Incident: "i-1"})
	require.ErrorIs(t, err, ErrStopping)
	require.EqualError(t, err, "sequence: stopped before action 3 of 3: remediate: the supervisor is stopping")
	require.Equal(t, []string{"a"}, ran)
}

func TestAllRunsBoundedAndWaitsForEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, done atomic.Int64
		actions := make([]Action, 20)
		for i := range actions {
			actions[i] = func(context.Context, Request) error {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				now.Add(-1)
				done.Add(1)
				if i%10 == 0 {
					return fmt.Errorf("failed %d", i)
				}
				return nil
			}
		}
		began := time.Now()
		err := All(actions...)(t.Context(), Request{})
		require.EqualError(t, err, "all: action 1 of 20: failed 0\nall: action 11 of 20: failed 10")
		require.EqualValues(t, 20, done.Load(), "an error of one does not stop the others")
		require.EqualValues(t, maxAtOnce, most.Load())
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

func TestAllStartsNothingAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrStopping)
		defer cancel()
		var started atomic.Int64
		actions := make([]Action, 12)
		for i := range actions {
			actions[i] = func(ctx context.Context, _ Request) error {
				started.Add(1)
				<-ctx.Done()
				time.Sleep(time.Second) // slow to end, and waited for
				return nil
			}
		}
		began := time.Now()
		err := All(actions...)(ctx, Request{})
		require.ErrorIs(t, err, ErrStopping)
		require.ErrorContains(t, err, "all: action 12 of 12: not started")
		require.EqualValues(t, maxAtOnce, started.Load())
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func explode(context.Context, Request) error { panic(fmt.Errorf("no config: %w", ErrSkip)) }

func TestAllContainsPanics(t *testing.T) {
	var others atomic.Int64
	err := All(counted(&others, nil), explode, counted(&others, nil))(t.Context(), Request{})
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "action 2 of 3 of All", p.Where)
	require.Contains(t, string(p.Stack), "remediate.explode", "the stack is that of the member")
	require.EqualError(t, err, "all: action 2 of 3: panic in action 2 of 3 of All: no config: remediate: step does not apply: see the stack")
	require.NotErrorIs(t, err, ErrSkip, "a panic with ErrSkip is no skip")
	require.EqualValues(t, 2, others.Load())

	err = All(func(context.Context, Request) error { runtime.Goexit(); return nil })(t.Context(), Request{})
	require.ErrorContains(t, err, "ended its goroutine: return an error")
}

func TestOnce(t *testing.T) {
	var runs atomic.Int64
	a := Once(counted(&runs, nil))
	req := Request{Incident: "i-1", Step: "purge", Attempt: 1, Try: 1}
	require.NoError(t, a(t.Context(), req))
	req.Try = 2
	require.NoError(t, a(t.Context(), req))
	require.EqualValues(t, 1, runs.Load(), "another try has the same key")
	for _, other := range []Request{
		{Incident: "i-1", Step: "purge", Attempt: 2},
		{Incident: "i-1", Step: "purge", Attempt: 1, Phase: Undo},
		{Incident: "i-2", Step: "purge", Attempt: 1},
	} {
		require.NoError(t, a(t.Context(), other))
	}
	require.EqualValues(t, 4, runs.Load())
	require.ErrorIs(t, Once(nil)(t.Context(), req), errNil)
}

func TestOnceForgetsFailures(t *testing.T) {
	for _, err := range []error{errBusy, ErrSkip, ErrEscalate} {
		var runs atomic.Int64
		a := Once(counted(&runs, err))
		for range 3 {
			require.Equal(t, err, a(t.Context(), Request{}))
		}
		require.EqualValues(t, 3, runs.Load())
	}
}

func TestOnceIsReleasedByAPanic(t *testing.T) {
	var runs atomic.Int64
	a := Once(func(context.Context, Request) error {
		if runs.Add(1) == 1 {
			panic("boom")
		}
		return nil
	})
	require.PanicsWithValue(t, "boom", func() { _ = a(t.Context(), Request{}) })
	require.NoError(t, a(t.Context(), Request{}), "not locked for ever")
	require.EqualValues(t, 2, runs.Load())
}

func TestOnceNeverOverlapsUnderOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		a := Once(func(context.Context, Request) error {
			time.Sleep(time.Minute)
			if runs.Add(1) == 1 {
				return errBusy
			}
			return nil
		})
		results := make(chan error, 10)
		for range 10 {
			go func() { results <- a(t.Context(), Request{}) }()
		}
		synctest.Wait() // one runs, nine wait
		impatient, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrStopping)
		defer cancel()
		err := a(impatient, Request{Phase: Run})
		require.ErrorIs(t, err, ErrStopping)
		require.ErrorContains(t, err, `still runs`)
		other := make(chan error)
		go func() { other <- a(t.Context(), Request{Phase: Undo}) }()
		failed := 0
		for range 10 {
			if err := <-results; err != nil {
				require.Equal(t, errBusy, err)
				failed++
			}
		}
		<-other
		require.LessOrEqual(t, failed, 1, "whoever waited tried itself when the first failed")
		require.EqualValues(t, 3, runs.Load())
	})
}

func TestOnceIsBounded(t *testing.T) {
	var runs atomic.Int64
	o := &once{done: map[string]bool{}, busy: map[string]chan struct{}{}}
	do := func(i int) {
		require.NoError(t, o.run(t.Context(), counted(&runs, nil), Request{Attempt: i}))
	}
	for i := range 3 * onceKeys {
		do(i)
		require.LessOrEqual(t, len(o.done), onceKeys)
	}
	require.Len(t, o.oldest, onceKeys)
	require.Empty(t, o.busy)
	before := runs.Load()
	for i := 2 * onceKeys; i < 3*onceKeys; i++ {
		do(i)
	}
	require.Equal(t, before, runs.Load(), "the latest are remembered")
}

func TestRecycle(t *testing.T) {
	for code, want := range map[int]int{3: 3, 1: 1, 255: 255, 0: 1, -1: 1, 256: 1} {
		err := Recycle(code)(t.Context(), Request{})
		got, ok := Recycling(fmt.Errorf("step: %w", err))
		require.True(t, ok)
		require.Equal(t, want, got, "code %d", code)
	}
	_, ok := Recycling(errBusy)
	require.False(t, ok)
	_, ok = Recycling(nil)
	require.False(t, ok)
	code, ok := Recycling(Sequence(noop, Recycle(75))(t.Context(), Request{}))
	require.True(t, ok)
	require.Equal(t, 75, code)
	require.EqualError(t, Recycle(75)(t.Context(), Request{}), "remediate: the process is to be replaced: exit with code 75")
}
