package selfheal_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func show(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestShow(t *testing.T) {
	min := time.Minute
	show(t, "cooldown", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(remediate.Step{Name: "fix", Lasting: true, Run: do(func() { g.Set(1) })})})
		time.Sleep(2 * min)
		g.Set(9)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "reopen", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { g.Set(1) })},
			remediate.Step{Name: "fix2", Undo: do(func() {}), Run: do(func() { g.Set(1) })})})
		time.Sleep(30 * time.Second)
		g.Set(9)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "masking and flapping", func(t *testing.T) {
		g := selfhealtest.NewGauge(1)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Lasting: true, Run: do(func() { g.Set(1) })})})
		for range 8 {
			g.Set(9)
			time.Sleep(10 * min)
		}
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "shadow", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Mode: selfheal.Shadow, Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Lasting: true, Run: do(func() { g.Set(1) })}, remediate.Step{Name: "fix2", Lasting: true, Run: do(func() { g.Set(1) })})})
		time.Sleep(5 * min)
		g.Set(1)
		time.Sleep(5 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "propose", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Mode: selfheal.Propose, Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Lasting: true, Run: do(func() {})}, remediate.Step{Name: "fix2", Lasting: true, Run: do(func() { g.Set(1) })})})
		time.Sleep(5 * min)
		p := tr.Supervisor().Status().Proposals
		t.Logf("%+v", p)
		t.Log(tr.Supervisor().Approve(p[0].ID, "ann"))
		t.Log(tr.Supervisor().Approve(p[0].ID, "ann"))
		time.Sleep(20 * min)
		g.Set(1)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "halt", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { g.Set(1) })})})
		time.Sleep(30 * time.Second)
		tr.Supervisor().Halt("ann", "why not")
		time.Sleep(20 * min)
		tr.Supervisor().Resume("ann")
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "silence", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "q", Detector: detect.Above(g.Read, 5), For: min, Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() {})})}, selfheal.Watch{Name: "x", Detector: detect.Above(g.Read, 5), For: min})
		time.Sleep(30 * time.Second)
		_, err := tr.Supervisor().Silence(selfheal.Silence{Watch: "*", By: "a", Reason: "b", Until: time.Now().Add(10 * min)})
		t.Log(err)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "after", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		tr := selfhealtest.Start(t, selfheal.Watch{Name: "db", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() {})})}, selfheal.Watch{Name: "api", After: []string{"db"}, Detector: detect.Above(g.Read, 5)})
		time.Sleep(20 * min)
		g.Set(1)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
		t.Log(tr.Pager().Pages()[0].Incident.Text())
	})
	show(t, "gate", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		open := false
		tr := selfhealtest.StartWith(t, selfheal.Options{Gate: func(context.Context, selfheal.Proposal) error {
			if open {
				return nil
			}
			return errors.New("deploying")
		}}, selfheal.Watch{Name: "db", Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { g.Set(1) })})})
		time.Sleep(20 * min)
		open = true
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "measure", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		key := func(k string) detect.Detector {
			return detect.Func(func(ctx context.Context) ([]detect.Finding, error) {
				if v, _ := g.Read(ctx); v > 5 {
					return []detect.Finding{{Key: k, Summary: "sick"}, {Key: k + "2", Summary: "sick"}}, nil
				}
				return nil, nil
			})
		}
		tr := selfhealtest.StartWith(t, selfheal.Options{Escalate: escalate.Policy{Levels: []escalate.Level{{To: []escalate.Notifier{&selfhealtest.Pager{}}}, {After: 10 * min, To: []escalate.Notifier{&selfhealtest.Pager{}}}}, Repeat: 15 * min, Inform: []escalate.Notifier{&selfhealtest.Pager{}}}}, selfheal.Watch{Name: "db", Detector: key("a"), Playbook: remediate.Ladder(
			remediate.Step{Name: "shed", Measure: "shed", Undo: do(func() {}), Run: do(func() {})})})
		time.Sleep(20 * min)
		g.Set(1)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
	show(t, "concurrency", func(t *testing.T) {
		g := selfhealtest.NewGauge(9)
		var ws []selfheal.Watch
		for _, n := range []string{"a", "b"} {
			ws = append(ws, selfheal.Watch{Name: n, Detector: detect.Above(g.Read, 5), Playbook: remediate.Ladder(
				remediate.Step{Name: "fix", Lasting: true, Settle: min, Run: do(func() {})})})
		}
		for _, n := range []string{"c", "d", "e", "f"} {
			ws = append(ws, selfheal.Watch{Name: n, Detector: selfhealtest.Script()})
		}
		tr := selfhealtest.Start(t, ws...)
		time.Sleep(20 * min)
		t.Log("\n" + tr.Timeline())
	})
}
