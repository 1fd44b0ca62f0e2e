package disk

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func policy() escalate.Policy { return escalate.To(&selfhealtest.Pager{}) }
func quiet() *slog.Logger     { return slog.New(slog.DiscardHandler) }

// hooks are switches that remember.
type hooks struct {
	said []string
	on   func(name string, on bool)
}

func (h *hooks) turn(name string) func(context.Context, bool) error {
	return func(_ context.Context, on bool) error {
		if on {
			h.said = append(h.said, name+" on")
		} else {
			h.said = append(h.said, name+" off")
		}
		if h.on != nil {
			h.on(name, on)
		}
		return nil
	}
}

func TestTheSwitchesAreTurnedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("/a")
		h := &hooks{}
		h.on = func(name string, on bool) {
			if name == "read-only" && on {
				w.left("/a", 500, 900)
			}
		}
		o := w.options("/a")
		o.QuietLogs, o.ReadOnly = h.turn("quiet"), h.turn("read-only")
		w.left("/a", 50, 900) // before the look at 0 s, which would race it
		trial := selfhealtest.Start(t, Space(o))
		time.Sleep(20 * time.Minute)
		trial.Want(`
			20s open space[/a]: 5 % of 1000 B left, below 10 %
			40s step quiet-logs: no effect
			1m0s step read-only: healed
			6m0s undo read-only
			6m0s undo quiet-logs
			6m0s close`)
		require.Equal(t, []string{"quiet on", "read-only on", "read-only off", "quiet off"}, h.said)
		require.Empty(t, trial.Pager().Pages())
	})
}

func TestAWarningActsOnNothingAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("/a", "/b")
		h := &hooks{}
		o := w.options("/a", "/b")
		o.QuietLogs, o.ReadOnly = h.turn("quiet"), h.turn("read-only")
		o.DeletedAbove = -1
		w.left("/a", 130, 900)
		w.left("/b", 900, 130)
		trial := selfhealtest.Start(t, Module(o).Watches...)
		time.Sleep(10 * time.Minute)
		trial.Want(`
			5m0s open inodes-low[/b]: 13 % of 1000 inodes left, below 15 %
			5m0s page inodes-low[/b] exhausted
			5m0s open space-low[/a]: 13 % of 1000 B left, below 15 %
			5m0s page space-low[/a] exhausted`)
		require.Empty(t, h.said)
	})
}

// What follows must not act: blind, hanging, halted, in a storm, on a blip, in
// shadow. TestAStoppedProcessHolds shows the tilt, which takes a process that is
// really late.
func TestWhenNothingMayBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*world)                                  // Start, so that no look races it
		during func(*testing.T, *world, *selfhealtest.Trial) // the time that passes
		also   func() []selfheal.Watch                       // beside it
		change func(*selfheal.Watch)                         // of the watch
		want   string                                        // a line of the timeline,
		whole  string                                        // or all of it
	}{
		"blind": {
			before: func(w *world) { w.left("/a", 1, 1); w.fail(errors.New("I/O error")) },
			whole: `
				0s blind: disk: statfs of /a: I/O error
				1m0s page blind`,
		},
		"a hang": {
			before: func(w *world) { w.left("/a", 1, 1); w.stall() },
			during: func(_ *testing.T, w *world, trial *selfhealtest.Trial) {
				time.Sleep(10 * time.Minute)
				trial.Stop() // although the call still hangs
				w.answer()
			},
			want: "blind: disk: statfs of /a does not answer: its mount hangs",
		},
		"halt": {
			during: func(t *testing.T, w *world, trial *selfhealtest.Trial) {
				require.NoError(t, trial.Supervisor().Halt("ann", "migration"))
				w.left("/a", 1, 1)
				time.Sleep(10 * time.Minute)
			},
			want: "hold read-only: halt",
		},
		"storm": {
			before: func(w *world) { w.left("/a", 1, 1) },
			also: func() (others []selfheal.Watch) {
				depth := selfhealtest.NewGauge(9)
				for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
					o := newWorld("/x").options("/x")
					o.ReadOnly = (&hooks{}).turn("x")
					watch := Space(o)
					watch.Name, watch.Detector = name, detect.Above(depth.Read, 5)
					others = append(others, watch)
				}
				return others
			},
			during: func(*testing.T, *world, *selfhealtest.Trial) {
				time.Sleep(4 * time.Minute) // a storm ends 5 min after the last new one
			},
			want: "hold space[/a] read-only: storm",
		},
		"a blip": {
			before: func(w *world) { w.left("/a", 1, 1) },
			during: func(_ *testing.T, w *world, _ *selfhealtest.Trial) {
				time.Sleep(12 * time.Second)
				w.left("/a", 900, 900)
				time.Sleep(time.Minute)
			},
			whole: `15s blip`,
		},
		"shadow": {
			before: func(w *world) { w.left("/a", 1, 1) },
			change: func(w *selfheal.Watch) { w.Mode = selfheal.Shadow },
			want:   "would step read-only",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, h := newWorld("/a"), &hooks{}
				o := w.options("/a")
				o.ReadOnly = h.turn("read-only")
				watch := Space(o)
				if c.change != nil {
					c.change(&watch)
				}
				if c.before != nil {
					c.before(w)
				}
				watches := []selfheal.Watch{watch}
				if c.also != nil {
					watches = append(watches, c.also()...)
				}
				trial := selfhealtest.Start(t, watches...)
				if c.during != nil {
					c.during(t, w, trial)
				} else {
					time.Sleep(10 * time.Minute)
				}
				if c.whole != "" {
					trial.Want(c.whole)
				}
				require.Contains(t, trial.Timeline(), c.want)
				require.Empty(t, h.said)
			})
		})
	}
}

func TestTheModule(t *testing.T) {
	t.Run("zero", func(t *testing.T) {
		selfhealtest.TestModule(t, func(*testing.T) selfheal.Module {
			return Module(Options{Space: Levels{Warn: 0.2, Act: 0.1}, Inodes: Levels{Warn: 0.2, Act: 0.1}})
		})
	})
	t.Run("everything", func(t *testing.T) {
		dir := t.TempDir()
		selfhealtest.TestModule(t, func(*testing.T) selfheal.Module {
			h := &hooks{}
			return Module(Options{
				Paths: []string{dir}, Space: Levels{Warn: 0.2, Act: 0.1}, Inodes: Levels{Warn: 0.2, Act: 0.1},
				Clean:     JanitorOptions{Dirs: []string{dir + "/cache"}},
				Logs:      LogOptions{Files: []string{dir + "/log/app.log"}, Reopen: func(context.Context) error { return nil }},
				Ballast:   BallastOptions{Path: dir + "/ballast"},
				QuietLogs: h.turn("quiet"), ReadOnly: h.turn("read-only"),
			})
		})
	})
	t.Run("names", func(t *testing.T) {
		var all []string
		for _, w := range Module(Options{Space: Levels{Warn: -1}, DeletedAbove: -1}).Watches {
			all = append(all, w.Name)
			require.Empty(t, slices.DeleteFunc(w.After, func(a string) bool { return a == "inodes" }))
		}
		require.Equal(t, []string{"space", "inodes-low", "inodes"}, all)
	})
}
