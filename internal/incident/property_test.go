package incident

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

func nothingToDo(context.Context, remediate.Request) error { return nil }

// randomInputs is how many inputs random scripts feed to the engine: enough
// for a million in CI, which SELFHEAL_LONG multiplies.
func randomInputs() int {
	switch {
	case os.Getenv("SELFHEAL_LONG") != "":
		return 20_000_000
	case testing.Short(), slow:
		return 100_000
	}
	return 1_000_000
}

// Whatever happens, the invariants hold; and when the world is healthy again,
// everything returns to rest.
func TestInvariantsUnderRandomScripts(t *testing.T) {
	inputs, seed := 0, 0
	for began := time.Now(); inputs < randomInputs(); seed++ {
		inputs += playSeed(t, uint64(seed))
		if seed%1000 == 999 {
			t.Logf("%d scripts, %d inputs, %v", seed+1, inputs, time.Since(began).Round(time.Millisecond))
		}
	}
	t.Logf("%d inputs in %d scripts", inputs, seed)
}

func playSeed(t testing.TB, seed uint64) int {
	d := splitmix(seed)
	s := newScript(&d)
	s.play()
	if s.failed != "" {
		again := splitmix(seed)
		t.Fatalf("seed %d: %s: %s\n%s", seed, s.failed, s.monitor.detail, story(&again))
	}
	return s.inputs
}

// The same seed gives the same decisions, byte for byte; and so does a replay
// of the recorded inputs in another engine.
func TestTheSameInputsGiveTheSameDecisions(t *testing.T) {
	for seed := range uint64(60) {
		play := func() (string, []recorded, Options) {
			d := splitmix(seed)
			s := newScript(&d)
			s.trace = &strings.Builder{}
			s.record = &[]recorded{}
			s.play()
			require.Empty(t, s.failed, s.monitor.detail)
			return s.trace.String(), *s.record, s.o
		}
		first, inputs, o := play()
		second, _, _ := play()
		require.Equal(t, first, second, "seed %d", seed)

		e := New(o)
		var b strings.Builder
		for _, r := range inputs {
			ds := e.replay(r)
			for n := range ds {
				b.WriteString(tell(r.at, &ds[n]))
			}
		}
		require.Equal(t, first, b.String(), "replay of seed %d", seed)
	}
}

func (e *Engine) replay(r recorded) []Decision {
	if r.arbitrate {
		return e.Arbitrate(r.at)
	}
	return e.Step(r.at, r.ins...)
}

func FuzzEngine(f *testing.F) {
	for n := range 8 {
		f.Add([]byte(strings.Repeat(fmt.Sprint(n), 40*n)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScript(&fuzzed{data: data[:min(len(data), 1024)]})
		s.play()
		if s.failed != "" {
			t.Fatalf("%s: %s\n%s", s.failed, s.monitor.detail, story(&fuzzed{data: data[:min(len(data), 1024)]}))
		}
	})
}
