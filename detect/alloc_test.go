package detect_test

import (
	"context"
	"iter"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/detect"
)

// healthyDetectors is one of each kind, in the state that it is in nearly all of
// the time.
func healthyDetectors() map[string]detect.Detector {
	read := func(context.Context) (float64, error) { return 1, nil }
	above := func() detect.Detector { return detect.Above(read, 5).ClearBelow(2) }
	values := map[string]float64{"a": 1, "b": 2, "c": 3}
	each := maps.All(values)
	level := detect.Level[float64]{Limit: 5, Clear: 4}
	levels := map[string]detect.Level[float64]{"a": {Limit: 7}}

	beat := detect.Heartbeat(time.Hour)
	beat.Beat()
	phi := detect.PhiAccrual(detect.PhiOptions{FirstGap: time.Hour})
	phi.Beat()
	burn := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: func(context.Context) (detect.Events, error) {
		return detect.Events{Total: 1000, Bad: 1}, nil
	}})
	cleared := detect.NewMailbox()
	cleared.Report(report("a", "down"))
	cleared.Clear("a")
	return map[string]detect.Detector{
		"Func":         detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil }),
		"Above":        above(),
		"Below":        detect.Below(read, 0).ClearAbove(0),
		"Probe":        detect.Probe(func(context.Context) error { return nil }),
		"Heartbeat":    beat,
		"Exhaustion":   detect.Exhaustion(detect.ExhaustionOptions{Read: read, Limit: 100, Level: 60}),
		"Exhaustion/2": detect.Exhaustion(detect.ExhaustionOptions{Read: read, Limit: 100, Level: 0.5}), // beyond its level
		"Rate":         detect.Rate(detect.RateOptions{Read: read, Limit: 5}),
		"BurnRate":     burn,
		"PhiAccrual":   phi,
		"Any":          detect.Any(detect.AnyOptions{Detectors: []detect.Detector{above(), above()}}),
		"All":          detect.All(detect.AllOptions{Detectors: []detect.Detector{above(), above()}}),
		"Confirm":      detect.Confirm(detect.ConfirmOptions{Detector: above()}),
		"Keyed/map": detect.Keyed(detect.KeyedOptions[float64]{
			Map: func(context.Context) (map[string]float64, error) { return values, nil }, Level: level, Levels: levels,
		}),
		"Keyed/seq": detect.Keyed(detect.KeyedOptions[float64]{
			Seq: func(context.Context) (iter.Seq2[string, float64], error) { return each, nil }, Level: level, Levels: levels,
		}),
		"Mailbox":         detect.NewMailbox(),
		"Mailbox/cleared": cleared,
	}
}

func TestHealthyAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	for name, d := range healthyDetectors() {
		allocs := testing.AllocsPerRun(200, func() {
			if found, err := d.Detect(ctx); len(found) > 0 || err != nil {
				t.Fatal(name, found, err)
			}
		})
		assert.Zero(t, allocs, name)
	}
}

// What stays sick in the same way costs no garbage either, where the answer can
// stay the same.
func TestUnchangedSicknessAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	read := func(context.Context) (float64, error) { return 9, nil }
	above := func() detect.Detector { return detect.Above(read, 5).Unit("jobs") }
	box := detect.NewMailbox()
	box.Report(report("a", "down"))
	full := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: 1})
	full.Report(report("a", "down"))
	full.Report(report("b", "down"))
	values := map[string]float64{"a": 9, "b": 8}
	for name, d := range map[string]detect.Detector{
		"Above":        above(),
		"Any":          detect.Any(detect.AnyOptions{Detectors: []detect.Detector{above()}}),
		"Confirm":      detect.Confirm(detect.ConfirmOptions{Detector: above(), N: 1}),
		"Mailbox":      box,
		"Mailbox/full": full,
		"Keyed": detect.Keyed(detect.KeyedOptions[float64]{
			Map:   func(context.Context) (map[string]float64, error) { return values, nil },
			Level: detect.Level[float64]{Limit: 5},
		}),
	} {
		allocs := testing.AllocsPerRun(200, func() {
			if found, _ := d.Detect(ctx); len(found) == 0 {
				t.Fatal(name)
			}
		})
		assert.Zero(t, allocs, name)
	}
}

func TestReportersAllocateNothing(t *testing.T) {
	beat, burn := detect.Heartbeat(time.Hour), detect.BurnRate(detect.BurnRateOptions{SLO: 0.9})
	phi := detect.PhiAccrual(detect.PhiOptions{Gaps: 2})
	box := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: 1})
	woken := 0
	box.OnWake(func() { woken++ })
	held := detect.Finding{Key: "a", Summary: "down", Labels: map[string]string{"x": "y"}}
	box.Report(held)
	for name, f := range map[string]func(){
		"Beat":          beat.Beat,
		"Phi.Beat":      phi.Beat,
		"Record":        func() { burn.Record(false) },
		"restated":      func() { box.Report(held) },
		"dropped":       func() { box.Report(detect.Finding{Key: "b", Summary: "down"}) },
		"clear nothing": func() { box.Clear("c") },
	} {
		assert.Zero(t, testing.AllocsPerRun(200, f), name)
	}
}
