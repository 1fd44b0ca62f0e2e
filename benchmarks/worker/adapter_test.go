package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thejerf/suture/v4"
	"golang.org/x/sync/errgroup"

	"github.com/selfheal-go/selfheal/builtin/worker"
)

// What a suture user changes: the supervisor and the call of Add. The services
// stay as they are, and so do the errors that they return.

func asSuture() worker.GroupOptions {
	return worker.GroupOptions{
		Done: suture.ErrDoNotRestart, End: suture.ErrTerminateSupervisorTree,
		Restart: worker.Restart{Delay: -1}, Logger: slog.New(slog.DiscardHandler),
	}
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// Every return of a service means the same on both sides.
func TestAServiceEndsAsUnderSuture(t *testing.T) {
	for _, c := range []struct {
		name  string
		ret   error
		again bool // it is started again
		ends  bool // the supervisor ends
	}{
		{"nil", nil, true, false},
		{"an error", errFault, true, false},
		{"a context's that is not its own", context.Canceled, true, false},
		{"do not restart", fmt.Errorf("done: %w", suture.ErrDoNotRestart), false, false},
		{"terminate", fmt.Errorf("lost: %w", suture.ErrTerminateSupervisorTree), false, true},
	} {
		for _, side := range []string{"selfheal", "suture"} {
			t.Run(c.name+"/"+side, func(t *testing.T) {
				var runs atomic.Int64
				s := &service{"s", func(ctx context.Context) error {
					if runs.Add(1) == 1 {
						return c.ret
					}
					<-ctx.Done()
					return nil
				}}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ended := make(chan error, 1)
				if side == "suture" {
					sup := suture.New("x", quietSuture())
					sup.Add(s)
					go func() { ended <- sup.Serve(ctx) }()
				} else {
					g := worker.NewGroup(asSuture())
					if err := g.Add(worker.Service("s", s)); err != nil {
						t.Fatal(err)
					}
					go func() { ended <- g.Serve(ctx) }()
				}
				switch {
				case c.again:
					within(t, "restarted", func() bool { return runs.Load() == 2 })
				case c.ends:
					select {
					case err := <-ended:
						if !errors.Is(err, suture.ErrTerminateSupervisorTree) {
							t.Errorf("it ended with %v", err)
						}
						ended <- nil
					case <-time.After(10 * time.Second):
						t.Fatal("it has not ended")
					}
				default:
					within(t, "run", func() bool { return runs.Load() == 1 })
					time.Sleep(20 * time.Millisecond)
					if n := runs.Load(); n != 1 {
						t.Errorf("it ran %d times", n)
					}
				}
				cancel()
				<-ended
			})
		}
	}
}

// A group may be a service of an existing suture tree, to move branch by branch.
func TestAGroupIsAServiceOfSuture(t *testing.T) {
	var runs atomic.Int64
	g := worker.NewGroup(asSuture())
	if err := g.Add(worker.Service("s", &service{"s", func(ctx context.Context) error {
		if runs.Add(1) == 1 {
			return errFault
		}
		<-ctx.Done()
		return nil
	}})); err != nil {
		t.Fatal(err)
	}
	sup := suture.New("tree", quietSuture())
	sup.Add(g)
	ctx, cancel := context.WithCancel(context.Background())
	ended := sup.ServeBackground(ctx)
	within(t, "restarted", func() bool { return runs.Load() == 2 })
	cancel()
	<-ended
	within(t, "ended with its tree", func() bool { return !g.Status().Running })
}

func TestAGroupDropsIntoAnErrgroup(t *testing.T) {
	g := worker.NewGroup(worker.GroupOptions{Logger: slog.New(slog.DiscardHandler), Restart: worker.Restart{Intensity: 1, Delay: -1}})
	if err := g.Add(worker.Spec{Name: "s", Essential: true, Run: func(context.Context, func()) error { return errFault }}); err != nil {
		t.Fatal(err)
	}
	eg, ctx := errgroup.WithContext(context.Background())
	eg.Go(func() error { return g.Run(ctx) })
	eg.Go(func() error { <-ctx.Done(); return nil })
	var gave *worker.GiveUpError
	if err := eg.Wait(); !errors.As(err, &gave) || !errors.Is(err, errFault) {
		t.Errorf("the errgroup ended with %v", err)
	}
}
