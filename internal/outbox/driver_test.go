package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

// A tape writes down calls and effects with their time.
type tape struct {
	mu    sync.Mutex
	born  time.Time
	lines []string
}

func newTape() *tape { return &tape{born: time.Now()} }

func (p *tape) write(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, time.Since(p.born).String()+" "+fmt.Sprintf(format, args...))
}

func (p *tape) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

func trigger(key string) escalate.Notification {
	n := note(escalate.Trigger)
	n.DedupKey = key
	return n
}

func to(names ...string) Plan { return Plan{Levels: []Level{{To: names}}} }

func TestTheFirstCallIsAtTheInstantOfItsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, told := newTape(), newTape()
		d := NewDriver(DriverOptions{
			Deliver: func(ctx context.Context, target string, n escalate.Notification) error {
				end, ok := ctx.Deadline()
				calls.write("%s %s %v %v", target, n.Kind, ok, time.Until(end))
				return nil
			},
			On: func(e Effect) { told.write("%T", e) },
		})
		time.Sleep(time.Hour)
		d.Input(Escalate{Notification: trigger("k"), Plan: Plan{Levels: []Level{{To: []string{"a"}}, {After: 15 * time.Minute, To: []string{"b"}}}}})
		require.True(t, d.Told("k"), "at once")
		require.Equal(t, 1, d.Stats().InFlight)
		synctest.Wait()
		time.Sleep(20 * time.Minute)
		d.Input(Resolve{DedupKey: "k"})
		synctest.Wait()
		require.ElementsMatch(t, []string{
			"1h0m0s a trigger true 10s", "1h15m0s b trigger true 10s", "1h20m0s a resolve true 10s", "1h20m0s b resolve true 10s",
		}, calls.take())
		require.Equal(t, []string{
			"1h0m0s outbox.Told", "1h0m0s outbox.Delivered", "1h15m0s outbox.Told", "1h15m0s outbox.Delivered",
			"1h20m0s outbox.Told", "1h20m0s outbox.Delivered", "1h20m0s outbox.Delivered",
		}, told.take())
		require.Zero(t, d.Stats().Entries)
		// The bubble ends only when no goroutine is left, without any Drain.
	})
}

func TestOneBadNotifierDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, let := newTape(), make(chan struct{})
		var running sync.Map
		d := NewDriver(DriverOptions{
			Deliver: func(ctx context.Context, target string, n escalate.Notification) error {
				if _, twice := running.LoadOrStore(target, true); twice {
					t.Errorf("%s is called twice at once", target)
				}
				defer running.Delete(target)
				switch target {
				case "hangs":
					<-let
				case "slow":
					<-ctx.Done()
					return ctx.Err()
				case "panics":
					panic("oh\nno")
				case "exits":
					runtime.Goexit()
				default:
					p.write("%s has %s", target, n.DedupKey)
				}
				return nil
			},
		})
		targets := []string{"hangs", "slow", "panics", "exits", "good"}
		d.Input(Escalate{Notification: trigger("k1"), Plan: to(targets...)})
		d.Input(Escalate{Notification: trigger("k2"), Plan: to(targets...)})
		synctest.Wait()
		require.Equal(t, []string{"0s good has k1", "0s good has k2"}, p.take())

		time.Sleep(time.Minute)
		s := d.Stats()
		require.Equal(t, []string{"hangs"}, s.Stuck)
		require.Equal(t, 1, s.Abandoned)
		require.EqualValues(t, 1, s.GivenUp)
		require.Greater(t, s.Panics, uint64(2), "tried again")
		require.Equal(t, 8, s.Owed)
		errs := map[string]error{}
		for _, o := range d.Snapshot() {
			if o.DedupKey == "k1" {
				errs[o.Target] = o.Err
			}
		}
		require.ErrorIs(t, errs["hangs"], ErrAbandoned)
		require.ErrorIs(t, errs["slow"], context.DeadlineExceeded)
		require.ErrorIs(t, errs["exits"], errExit)
		var panicked *Panic
		require.ErrorAs(t, errs["panics"], &panicked)
		require.Contains(t, string(panicked.Stack), "TestOneBadNotifierDelaysNobody")

		close(let)
		time.Sleep(3 * time.Minute)
		s = d.Stats()
		require.Empty(t, s.Stuck)
		require.Zero(t, s.Abandoned)
		require.Equal(t, 6, s.Owed, "the one that hung has both now")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorContains(t, d.Drain(ctx), "6 notifications")
	})
}

func TestAbandonedIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, let := newTape(), make(chan struct{})
		d := NewDriver(DriverOptions{
			Timeout: 5 * time.Second,
			Deliver: func(context.Context, string, escalate.Notification) error { <-let; return nil },
			On:      func(e Effect) { p.write("%T", e) },
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		time.Sleep(time.Minute)
		close(let)
		synctest.Wait()
		require.Equal(t, []string{"0s outbox.Told", "6s outbox.Stuck", "1m0s outbox.Unstuck", "1m0s outbox.Delivered"}, p.take())
	})
}

func TestCallbacksMayCallTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *Driver
		all := func() {
			d.Told("k")
			d.Stats()
			d.Snapshot()
			d.Input(Refresh{DedupKey: "k"})
		}
		d = NewDriver(DriverOptions{
			Deliver: func(context.Context, string, escalate.Notification) error {
				all()
				d.Input(Ack{DedupKey: "k", By: "the notifier"})
				return nil
			},
			On: func(e Effect) {
				all()
				if _, ok := e.(Delivered); ok {
					d.Input(Resolve{DedupKey: "k"})
				}
			},
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		synctest.Wait()
		require.Zero(t, d.Stats().Entries)
		require.EqualValues(t, 2, d.Stats().Delivered)
	})
}

func TestASlowObserverDelaysNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, let := newTape(), make(chan struct{})
		var seen []Effect
		d := NewDriver(DriverOptions{
			Machine: Options{MaxEntries: 20_000},
			Deliver: func(context.Context, string, escalate.Notification) error { return nil },
			On: func(e Effect) {
				<-let
				seen = append(seen, e)
				if len(seen) == 1 {
					panic("an observer too")
				}
			},
		})
		for i := range 6_000 {
			d.Input(Escalate{Notification: trigger(fmt.Sprint("k", i)), Plan: to("a")})
		}
		synctest.Wait()
		require.EqualValues(t, 6_000, d.Stats().Delivered)
		close(let)
		synctest.Wait()
		s := d.Stats()
		require.EqualValues(t, 1, s.Panics)
		require.Positive(t, s.Unseen)
		require.EqualValues(t, 12_000, uint64(len(seen))+s.Unseen)
		require.Empty(t, p.take())
	})
}

func TestDrainDeliversWhatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, started := newTape(), time.Now()
		d := NewDriver(DriverOptions{
			Deliver: func(ctx context.Context, target string, n escalate.Notification) error {
				if time.Since(started) < 65*time.Second {
					return errors.New("down")
				}
				p.write("%s has %s", target, n.Kind)
				return nil
			},
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: Plan{Levels: []Level{{To: []string{"a"}}, {After: time.Hour, To: []string{"b"}}}}})
		time.Sleep(time.Minute + 6*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.NoError(t, d.Drain(ctx))
		require.Equal(t, []string{"1m6s a has trigger"}, p.take(), "tried at once, not after its pause")
		require.NoError(t, d.Drain(ctx), "again")
		d.Input(Resolve{DedupKey: "k"})
		require.EqualValues(t, 1, d.Stats().Late)
	})
}

func TestDrainEndsWhatWillNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, let := newTape(), make(chan struct{})
		d := NewDriver(DriverOptions{
			Timeout: time.Hour,
			Deliver: func(ctx context.Context, target string, n escalate.Notification) error {
				if target == "hangs" {
					<-let
					return nil
				}
				<-ctx.Done()
				p.write("%s: %v", target, context.Cause(ctx))
				return ctx.Err()
			},
			On: func(e Effect) {
				if u, ok := e.(Undeliverable); ok {
					p.write("%s: %v: %v", u.Target, u.Why, u.Last)
				}
			},
		})
		d.Input(Escalate{Notification: trigger("k1"), Plan: to("hangs", "slow")})
		d.Input(Escalate{Notification: trigger("k2"), Plan: to("hangs", "slow")})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := d.Drain(ctx)
		require.ErrorContains(t, err, "4 notifications stayed undelivered")
		require.ErrorContains(t, err, "1 calls of notifiers still run")
		require.Equal(t, 11*time.Second, time.Since(p.born), "ctx and a second")
		lines := p.take()
		require.ElementsMatch(t, []string{
			"10s slow: " + ErrStopped.Error(),
			"10s slow: " + ErrStopped.Error() + ": context canceled",
			"10s slow: " + ErrStopped.Error() + ": <nil>",
			"11s hangs: " + ErrStopped.Error() + ": " + ErrAbandoned.Error(),
			"10s hangs: " + ErrStopped.Error() + ": <nil>",
		}, lines)
		require.Equal(t, 1, d.Stats().Abandoned)
		close(let)
		synctest.Wait()
		require.Zero(t, d.Stats().Abandoned)
	})
}

func TestDrainDoesNotWaitForAnObserverForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		d := NewDriver(DriverOptions{
			Deliver: func(context.Context, string, escalate.Notification) error { return nil },
			On:      func(Effect) { <-let },
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		started := time.Now()
		require.ErrorContains(t, d.Drain(t.Context()), "observer")
		require.Equal(t, time.Second, time.Since(started))
		close(let)
	})
}

func TestGoroutinesEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	var n sync.WaitGroup
	d := NewDriver(DriverOptions{
		Deliver: func(context.Context, string, escalate.Notification) error { return nil },
		On:      func(Effect) {},
		Log:     slog.New(slog.DiscardHandler),
	})
	for i := range 8 {
		n.Go(func() {
			for j := range 50 {
				key := fmt.Sprint(i, "/", j)
				d.Input(Escalate{Notification: trigger(key), Plan: to("a", "b", fmt.Sprint(i))})
				d.Snapshot()
				d.Input(Resolve{DedupKey: key})
			}
		})
	}
	n.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, d.Drain(ctx))
	s := d.Stats()
	require.Zero(t, s.Entries)
	require.Zero(t, s.Owed)
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

func TestWhatWentWrongForGoodIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		d := NewDriver(DriverOptions{
			Deliver: func(context.Context, string, escalate.Notification) error { return nil },
			Log:     slog.New(slog.NewTextHandler(&b, nil)),
		})
		d.Input(Escalate{Notification: trigger("k")})
		synctest.Wait()
		require.Contains(t, b.String(), `level=ERROR msg="selfheal: a notification is undeliverable"`)
		require.Contains(t, b.String(), "incident=1 watch=w")
		require.Contains(t, b.String(), ErrNobody.Error())
	})
}

func TestAStuckNotifierIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		let := make(chan struct{})
		d := NewDriver(DriverOptions{
			Deliver: func(context.Context, string, escalate.Notification) error { <-let; return nil },
			Log:     slog.New(slog.NewTextHandler(&b, nil)),
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		time.Sleep(20 * time.Second)
		close(let)
		synctest.Wait()
		require.Contains(t, b.String(), `level=ERROR msg="selfheal: a notifier ignores its context; it is not called before it returns" target=a`)
		require.Contains(t, b.String(), `level=INFO msg="selfheal: a notifier that was given up has returned" target=a after=9s`)
	})
}

func TestTwoDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDriver(DriverOptions{
			Deliver: func(context.Context, string, escalate.Notification) error { return &Panic{Value: "as an error"} },
			On:      func(Effect) {},
		})
		require.Nil(t, d.Snapshot())
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		first := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			first <- d.Drain(ctx)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, d.Drain(ctx), context.DeadlineExceeded)
		go func() { require.ErrorContains(t, <-first, "1 notifications") }()
		require.NoError(t, d.Drain(t.Context()), "waits for the first")
		require.Equal(t, time.Minute.String(), time.Since(d.born).String())
		require.ErrorContains(t, &Panic{Value: "x"}, "panic in a notifier: x")
	})
}

func BenchmarkDriverIncident(b *testing.B) {
	done := make(chan struct{}, 1)
	d := NewDriver(DriverOptions{
		Deliver: func(_ context.Context, _ string, n escalate.Notification) error {
			if n.Kind == escalate.Resolve {
				done <- struct{}{}
			}
			return nil
		},
		On: func(Effect) {},
	})
	b.ReportAllocs()
	for b.Loop() {
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		d.Input(Resolve{DedupKey: "k"})
		<-done
	}
}
