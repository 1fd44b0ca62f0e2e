package selfhealtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// kit is a module that keeps the whole contract, but for its flaw. n is how many
// were made before.
func kit(flaw string, n int64, quit <-chan struct{}) selfheal.Module {
	nop := func(context.Context, remediate.Request) error { return nil }
	looks := 0
	m := selfheal.Module{Name: "kit", Version: "1", Watches: []selfheal.Watch{
		{
			Name: "depth", Detector: detect.Above(NewGauge(1).Read, 5), Runbook: "https://runbooks.example/depth",
			Playbook: remediate.Ladder(
				remediate.Step{Name: "scale", Run: nop, Risk: remediate.Safe},
				remediate.Step{Name: "shed", Run: nop, Undo: nop},
			),
		},
		{
			Name: "state", Every: 50 * time.Millisecond, Mode: selfheal.Propose,
			Detector: detect.Func(func(ctx context.Context) ([]detect.Finding, error) {
				looks++
				switch {
				case flaw == "looks":
					panic("no such file")
				case flaw == "looks/slow":
					<-quit
				case flaw == "no-leak":
					go func() { <-quit }()
				case flaw == "quiet", flaw == "quiet/later" && looks > 1:
					return []detect.Finding{{Summary: "load is 3"}}, nil
				}
				return nil, errors.New("no such file: blind, and that is all right")
			}),
			Playbook: remediate.Ladder(remediate.Step{Name: "wipe", Run: nop, Lasting: true, Risk: remediate.Destructive}),
		},
	}}
	depth, state := &m.Watches[0], &m.Watches[1]
	switch flaw {
	case "name":
		m.Name = ""
	case "name/slash":
		m.Name = "my/kit"
	case "name/control":
		m.Name = "kit\x00"
	case "valid":
		depth.Playbook.Steps[1].Undo = nil
	case "valid/empty":
		m.Watches = nil
	case "valid/twice":
		state.Name = depth.Name
	case "valid/detector":
		depth.Detector = detect.Above(NewGauge(1).Read, 5).ClearBelow(9)
	case "valid/nil":
		depth.Detector = nil
	case "runbook":
		depth.Runbook = "see the wiki"
	case "runbook/relative":
		depth.Runbook = "/runbooks/depth"
	case "destructive":
		state.Mode = selfheal.Auto
	case "stable-names":
		depth.Name += string(rune('a' + n))
	case "stable-names/step":
		depth.Playbook.Steps[0].Name += string(rune('a' + n))
	case "stable-plans":
		depth.Playbook.Steps[0].Settle = time.Duration(n+1) * time.Second
	}
	return m
}

func TestModuleSuiteIsSharp(t *testing.T) {
	var mu sync.Mutex
	kept := map[string]selfheal.Module{}
	var made atomic.Int64
	sharp(t, moduleSuite(100*time.Millisecond), []string{
		"name", "name/slash", "valid", "valid/empty", "valid/twice", "valid/detector", "valid/nil", "runbook",
		"runbook/relative", "destructive", "independent", "independent/detector", "independent/steps", "stable-names",
		"stable-names/step", "stable-plans", "looks", "looks/slow", "quiet", "quiet/later", "no-leak",
	}, func(t *testing.T, flaw string) selfheal.Module {
		m := kit(flaw, made.Add(1)%20, quitter(t))
		mu.Lock()
		defer mu.Unlock()
		old, again := kept[flaw]
		if !again {
			kept[flaw] = m
		} else {
			switch flaw {
			case "independent":
				m = old
			case "independent/detector":
				m.Watches[0].Detector = old.Watches[0].Detector
			case "independent/steps":
				m.Watches[0].Playbook.Steps = old.Watches[0].Playbook.Steps
			}
		}
		return m
	})
}

func TestModuleNeedsNoMoreThanWatches(t *testing.T) {
	TestModule(t, func(t *testing.T) selfheal.Module {
		return selfheal.Module{Name: "small", Watches: []selfheal.Watch{{Name: "depth", Detector: detect.Above(NewGauge(1).Read, 5)}}}
	})
}

func TestModuleFailuresNameTheWatch(t *testing.T) {
	o := judge(t, moduleSuite(100*time.Millisecond), func(t *testing.T) selfheal.Module { return kit("quiet", 0, quitter(t)) })
	assert.Equal(t, []string{`watch kit/state found "load is 3"`}, o.breaches["quiet"])
}
