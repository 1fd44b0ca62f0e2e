package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// opened is an engine with n incidents on one watch, which settle for long.
func opened(n int, steps ...remediate.Step) (*Engine, []detect.Finding) {
	e := New(Options{})
	e.Step(0, Input{Kind: InAdd, Add: &Watch{
		Name: "orders/queue-depth", Every: time.Second, KeepFor: time.Minute, Pages: true, Playbook: remediate.Ladder(steps...),
	}})
	var fs []detect.Finding
	for k := range n {
		fs = append(fs, detect.Finding{Key: fmt.Sprintf("k%04d", k), Value: 9000, Limit: 5000, Summary: "9000 is above 5000"})
	}
	e.Step(1, Input{Kind: InLook, Watch: "orders/queue-depth", Started: 1, Findings: fs})
	e.Arbitrate(1)
	return e, fs
}

func lasting(name string) remediate.Step {
	s := risky(name)
	s.Settle = 100 * time.Hour
	return s
}

// BenchmarkEngineStep is what a look costs that changes nothing.
func BenchmarkEngineStep(b *testing.B) {
	look := func(fs []detect.Finding, e *Engine, every At) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			ins := []Input{{Kind: InLook, Watch: "orders/queue-depth", Findings: fs}}
			at := e.now
			for b.Loop() {
				at += every
				ins[0].Started = at
				e.Step(at, ins...)
				if e.Pending() {
					e.Arbitrate(at)
				}
			}
		}
	}
	e, fs := opened(1, lasting("shed"))
	b.Run("open", look(fs, e, 1))
	e, _ = opened(1, lasting("shed"))
	e.Step(2, Input{Kind: InRan, Watch: "orders/queue-depth", Incident: "1", Attempt: 1, Try: 1})
	b.Run("well", look(nil, e, 1)) // while a step settles
	e, fs = opened(1000, lasting("shed"))
	b.Run("1000-waiting", look(fs, e, 1))
	b.Run("tick", func(b *testing.B) {
		b.ReportAllocs()
		at := e.now
		for b.Loop() {
			at++
			e.Step(at, Input{Kind: InTick})
		}
	})
	b.Run("1000-arbitrate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.dirty = true
			e.Arbitrate(e.now)
		}
	})
}

// A finding on an open incident that changes nothing costs nothing to collect.
func TestAFindingThatChangesNothingAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 1000} {
		e, fs := opened(n, lasting("shed"))
		at := e.now
		ins := []Input{{Kind: InLook, Watch: "orders/queue-depth", Findings: fs}}
		require.Zero(t, testing.AllocsPerRun(100, func() {
			at += time.Second
			ins[0].Started = at
			e.Step(at, ins...)
			if e.Pending() {
				e.Arbitrate(at)
			}
		}), "%d incidents", n)
	}
}
