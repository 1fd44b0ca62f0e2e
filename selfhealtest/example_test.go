package selfhealtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// The trial of the package documentation.
func TestExampleTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := selfhealtest.NewGauge(9_000)
		shed := selfhealtest.Play(selfhealtest.Turn{Do: func() { depth.Set(100) }})
		restore := selfhealtest.Play()
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "orders/queue-depth", Detector: detect.Above(depth.Read, 5_000).ClearBelow(2_000),
			For: 2 * time.Minute, KeepFor: 5 * time.Minute,
			Playbook: remediate.Ladder(
				remediate.Step{Name: "shed-load", Run: shed.Act, Undo: restore.Act, Settle: time.Minute},
			),
		})
		time.Sleep(15 * time.Minute)
		trial.Want(`
			2m0s open orders/queue-depth: 9000 is above 5000
			3m0s step shed-load: healed
			8m0s undo shed-load
			8m0s close`)
		require.Empty(t, trial.Pager().Pages())
	})
}

// The conformance test of the package documentation.
func TestExampleConformance(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		depth := selfhealtest.NewGauge(100)
		return selfhealtest.DetectorFixture{
			Detector: detect.Above(depth.Read, 5_000).ClearBelow(2_000),
			Sicken:   func() { depth.Set(9_000) },
			Heal:     func() { depth.Set(100) },
			Break:    func() { depth.Fail(errors.New("connection refused")) },
		}
	})
}

// A ladder whose steps do not help ends with a call for a person, who gets what
// was tried.
func TestExampleEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w selfhealtest.World
		restart := selfhealtest.Play(selfhealtest.Turn{Err: errors.New("permission denied")})
		trial := selfhealtest.Start(t, selfheal.Watch{
			Name: "worker", Detector: &w,
			Playbook: remediate.Ladder(
				remediate.Step{Name: "shed-load", Run: w.Run, Undo: w.Undo},
				remediate.Step{Name: "restart", Run: restart.Act, Lasting: true},
			),
		})
		time.Sleep(10 * time.Second)
		w.Sicken()
		time.Sleep(time.Minute)
		w.Heal()
		time.Sleep(time.Hour)
		trial.Want(`
			10s open worker: the service is sick
			12s step shed-load: no effect
			12s step restart: failed
			12s undo shed-load
			12s page exhausted
			2m10s resolve
			2m10s close`)
		attempts := trial.Pager().Pages()[0].Incident.Attempts
		require.Len(t, attempts, 2)
		assert.EqualError(t, attempts[1].Err, "permission denied")
	})
}

func ExampleGauge() {
	depth := selfhealtest.NewGauge(9_000)
	d := detect.Above(depth.Read, 5_000)
	findings, err := d.Detect(context.Background())
	fmt.Println(findings[0].Summary, err)

	depth.Fail(errors.New("connection refused"))
	findings, err = d.Detect(context.Background())
	fmt.Println(len(findings), err != nil)
	// Output:
	// 9000 is above 5000 <nil>
	// 0 true
}

func ExampleScript() {
	d := selfhealtest.Script(
		selfhealtest.Frame{Findings: []detect.Finding{{Key: "eu", Summary: "eu is slow"}}},
		selfhealtest.Frame{Err: errors.New("no answer")},
		selfhealtest.Frame{}, // healthy from here on
	)
	for range 4 {
		findings, err := d.Detect(context.Background())
		fmt.Println(len(findings), err)
	}
	// Output:
	// 1 <nil>
	// 0 no answer
	// 0 <nil>
	// 0 <nil>
}

func ExamplePlay() {
	restart := selfhealtest.Play(
		selfhealtest.Turn{Err: errors.New("busy")},
		selfhealtest.Turn{Do: func() { fmt.Println("restarted") }},
	)
	step := remediate.Step{Name: "restart", Run: restart.Act, Lasting: true}
	for try := range 2 {
		fmt.Println(step.Run(context.Background(), remediate.Request{Step: step.Name, Try: try + 1}))
	}
	fmt.Println(len(restart.Requests()), "requests")
	// Output:
	// busy
	// restarted
	// <nil>
	// 2 requests
}

func ExampleWorld() {
	var w selfhealtest.World
	w.Cures("failover", "eu")
	w.Sicken("eu", "us")
	req := remediate.Request{Step: "failover", Finding: detect.Finding{Key: "eu"}}
	if err := w.Run(context.Background(), req); err != nil {
		fmt.Println(err)
	}
	fmt.Println("sick:", w.Sick())
	fmt.Println("in force:", w.InForce())
	fmt.Println("done:", w.History())
	// Output:
	// sick: [us]
	// in force: [failover[eu]]
	// done: [run failover[eu]]
}

// Code in the documentation that does not run rots.
func TestTheCodeOfTheDocumentationIsTested(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	tests, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	known := map[string]bool{}
	for l := range strings.Lines(string(tests)) {
		known[strings.TrimSpace(l)] = true
	}
	timeline, checked := false, 0
	for l := range strings.Lines(string(doc)) {
		code, ok := strings.CutPrefix(l, "//\t")
		if !ok {
			timeline = strings.Contains(l, "whole seconds, and one of") || timeline && strings.TrimSpace(l) == "//"
			continue
		}
		if !timeline {
			checked++
			assert.True(t, known[strings.TrimSpace(code)], "no test has the line %q of doc.go", code)
		}
	}
	assert.Greater(t, checked, 20)
}
