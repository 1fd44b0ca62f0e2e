package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

// A disk is a store that takes its time.
type disk struct {
	mu      sync.Mutex
	takes   time.Duration // -1: for ever
	fails   error
	panics  bool
	records []Record
	lots    int
}

func (d *disk) Append(rs []Record, done func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lots++
	if d.panics {
		panic("a bad disk")
	}
	err := d.fails
	kept := func() {
		d.mu.Lock()
		if err == nil {
			d.records = append(d.records, rs...)
		}
		d.mu.Unlock()
		done(err)
		done(errors.New("twice"))
	}
	switch {
	case d.takes < 0:
	case d.takes == 0:
		if err == nil {
			d.records = append(d.records, rs...)
		}
		done(err)
	default:
		time.AfterFunc(d.takes, kept)
	}
}

func (d *disk) all() []Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Record(nil), d.records...)
}

func TestACallWaitsForItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := newTape(), &disk{takes: 300 * time.Millisecond}
		d := NewDriver(DriverOptions{
			Store: store,
			Deliver: func(_ context.Context, target string, n escalate.Notification) error {
				found := false
				for _, r := range store.all() {
					if r.Key == n.DedupKey && r.Entry != nil {
						for _, l := range r.Entry.Lanes {
							for _, it := range l.Owed {
								found = found || it.Notification.ID == n.ID
							}
						}
					}
				}
				if !found {
					t.Errorf("%s is called before its record is kept", target)
				}
				p.write("%s has %s of %s", target, n.Kind, n.DedupKey)
				return nil
			},
		})
		d.Input(Escalate{Notification: trigger("k1"), Plan: to("a")})
		d.Input(Escalate{Notification: trigger("k2"), Plan: to("b")})
		d.Input(Escalate{Notification: trigger("k3"), Plan: to("c")})
		time.Sleep(2 * time.Second)
		require.ElementsMatch(t, []string{"300ms a has trigger of k1", "600ms b has trigger of k2", "600ms c has trigger of k3"}, p.take())
		store.mu.Lock()
		lots := store.lots
		store.mu.Unlock()
		require.LessOrEqual(t, lots, 4, "what comes while it writes is one lot")
		d.Input(Resolve{DedupKey: "k1"})
		require.NoError(t, d.Drain(t.Context()))
		require.Empty(t, d.Stats().Unstored)
		state := map[string]*Entry{}
		for _, r := range store.all() {
			state[r.Key] = r.Entry
		}
		require.Nil(t, state["k1"], "forgotten")
		require.True(t, state["k2"].Lanes[0].Delivered)
	})
}

func TestAStoreThatFailsOrHangsSilencesNobody(t *testing.T) {
	for _, test := range []struct {
		name  string
		store *disk
		at    string
	}{
		{"fails", &disk{fails: errors.New("no space left on device")}, "0s"},
		{"panics", &disk{panics: true}, "0s"},
		{"hangs", &disk{takes: -1}, "2s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTape()
				var log strings.Builder
				d := NewDriver(DriverOptions{
					Store: test.store, Log: slog.New(slog.NewTextHandler(&log, nil)),
					Deliver: func(_ context.Context, target string, n escalate.Notification) error {
						p.write("%s has %s", target, n.Kind)
						return nil
					},
				})
				d.Input(Escalate{Notification: trigger("k1"), Plan: to("a")})
				time.Sleep(time.Minute)
				require.Equal(t, []string{test.at + " a has trigger"}, p.take())
				require.NotZero(t, d.Stats().Unstored)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				d.Input(Resolve{DedupKey: "k1"})
				_ = d.Drain(ctx)
				require.Contains(t, log.String(), "it is sent all the same")
				require.Len(t, p.take(), 1, "the resolve, before or at the end of its wait")
			})
		})
	}
}

func TestWhatIsOwedAtTheEndIsForTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := &disk{}, newTape()
		var told []string
		life := func(deliver func(string, escalate.Notification) error) *Driver {
			return NewDriver(DriverOptions{
				Machine: Options{IDPrefix: fmt.Sprint(time.Now().UnixNano(), "-")}, Store: store,
				Deliver: func(_ context.Context, target string, n escalate.Notification) error { return deliver(target, n) },
				On: func(e Effect) {
					if u, ok := e.(Undeliverable); ok {
						t.Errorf("undeliverable: %+v", u)
					}
				},
			})
		}
		one := life(func(_ string, n escalate.Notification) error {
			told = append(told, n.ID)
			return errors.New("down")
		})
		one.Input(Escalate{Notification: trigger("k"), Plan: Plan{Levels: []Level{{To: []string{"a"}}, {After: time.Hour, To: []string{"b"}}}}})
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, one.Drain(ctx), "nothing is lost")
		require.Equal(t, 1, one.Stats().Kept)
		id := told[0]

		time.Sleep(30 * time.Minute)
		two := life(func(target string, n escalate.Notification) error {
			p.write("%s has %s %v", target, n.Kind, n.ID == id)
			return nil
		})
		two.Restore(store.all())
		synctest.Wait()
		require.Equal(t, []string{"31m1s a has trigger true"}, p.take(), "at once, under its id")
		time.Sleep(time.Hour)
		require.Equal(t, []string{"1h0m0s b has trigger false"}, p.take(), "its delay went on")
		two.Input(Resolve{DedupKey: "k"})
		require.NoError(t, two.Drain(t.Context()))
		require.Len(t, p.take(), 2)

		three := life(func(string, escalate.Notification) error { t.Error("nothing is owed"); return nil })
		three.Restore(store.all())
		require.Empty(t, three.Records())
		require.NoError(t, three.Drain(t.Context()))
	})
}

func TestDrainWithCallsThatWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDriver(DriverOptions{
			Store:   &disk{takes: -1},
			Deliver: func(context.Context, string, escalate.Notification) error { t.Error("called"); return nil },
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, d.Drain(ctx))
		d.Input(Escalate{Notification: trigger("k"), Plan: to("a")})
		time.Sleep(time.Minute)
	})
}

func TestOnceReturnsTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		d := NewDriver(DriverOptions{
			Deliver: func(_ context.Context, target string, n escalate.Notification) error {
				switch target {
				case "refuses":
					return escalate.Permanent(errors.New("no such channel"))
				case "hangs":
					<-let
				}
				return nil
			},
		})
		once := func(ctx context.Context, target string) error {
			return d.Once(ctx, target, trigger(target))
		}
		require.NoError(t, once(t.Context(), "a"))
		err := once(t.Context(), "refuses")
		require.ErrorContains(t, err, "no such channel")
		require.True(t, escalate.IsPermanent(err))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			require.ErrorContains(t, once(ctx, "hangs"), "under way")
		}()
		require.ErrorIs(t, once(ctx, "hangs"), context.DeadlineExceeded)
		require.ErrorIs(t, once(ctx, "a"), context.DeadlineExceeded)
		close(let)
		synctest.Wait()
		require.Zero(t, d.Stats().Owed)
		require.NoError(t, d.Drain(t.Context()))
		require.ErrorIs(t, once(t.Context(), "a"), ErrStopped)
	})
}

func TestWhatAnErrorSaysIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTape()
		d := NewDriver(DriverOptions{
			Deliver: func(_ context.Context, target string, n escalate.Notification) error {
				p.write("%s", target)
				switch target {
				case "limited":
					return fmt.Errorf("wrapped: %w", escalate.RetryAfter(errors.New("slow down"), 5*time.Minute))
				case "rude":
					return rude{}
				}
				return nil
			},
		})
		d.Input(Escalate{Notification: trigger("k"), Plan: to("limited")})
		time.Sleep(9 * time.Minute)
		require.Equal(t, []string{"0s limited", "5m0s limited"}, p.take())
		d.Input(Escalate{Notification: trigger("k2"), Plan: to("rude")})
		synctest.Wait()
		require.EqualValues(t, 1, d.Stats().Panics)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = d.Drain(ctx)
	})
}

// rude panics when it is asked what it is.
type rude struct{}

func (rude) Error() string   { return "rude" }
func (rude) Unwrap() []error { panic("none of your business") }
