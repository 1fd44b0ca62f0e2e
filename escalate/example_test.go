package escalate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func incident() escalate.Incident {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth", State: escalate.Watching, Reason: escalate.Exhausted, Opened: noon,
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 is above 5000", Value: 9000, Limit: 5000},
		Attempts: []remediate.Attempt{
			{Step: "scale-workers", Outcome: remediate.NoEffect, Tries: 1, Started: noon, Ended: noon.Add(3 * time.Minute)},
		},
		Runbook: "https://runbooks.example/queue",
	}
}

// A notifier is one method. Text is for people, and the notification itself is
// JSON for programs.
func ExampleNotifier() {
	sms := escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
		_, err := fmt.Println("SMS:", n.Title())
		return err
	})
	n := escalate.Notification{ID: "n-1", DedupKey: "inc-7", Kind: escalate.Trigger, Incident: incident()}
	if err := sms.Notify(context.Background(), n); err != nil {
		fmt.Println(err)
	}
	n.Kind = escalate.Resolve
	if err := sms.Notify(context.Background(), n); err != nil {
		fmt.Println(err)
	}
	// Output:
	// SMS: orders/queue-depth: 9000 is above 5000
	// SMS: resolved: orders/queue-depth: 9000 is above 5000
}

// What a person reads who has not seen the incident before.
func ExampleIncident_Text() {
	fmt.Print(incident().Text())
	// Output:
	// Incident:  orders/queue-depth: 9000 is above 5000
	// Wrong:     9000 is above 5000 (critical)
	// Since:     2026-03-01 12:00:00 UTC
	// Tried:     1. scale-workers: no effect (took 3m0s)
	// Why you:   exhausted: every step that there is was tried. Find the cause; it is watched until it clears.
	// Runbook:   https://runbooks.example/queue
	// Id:        inc-7
}

// A policy of two levels. Names make targets recognisable in logs and status.
func ExamplePolicy() {
	oncall := escalate.Named("oncall", escalate.Log(nil))
	manager := escalate.Named("manager", escalate.Log(nil))
	p := escalate.Policy{
		Levels: []escalate.Level{
			{To: []escalate.Notifier{oncall}},
			{After: 15 * time.Minute, To: []escalate.Notifier{oncall, manager}},
		},
		Repeat: time.Hour,
	}
	fmt.Println(p.Pages(), p.Validate())
	// Output: true []
}

func ExamplePolicy_Validate() {
	p := escalate.Policy{
		Levels: []escalate.Level{{After: time.Hour, To: []escalate.Notifier{nil}}, {After: time.Minute}},
	}
	for _, err := range p.Validate() {
		fmt.Println(err)
	}
	// Output:
	// escalate: policy: level 1: notifier 1 is nil: give one, or leave it out
	// escalate: policy: level 2 comes after 1m0s, before the level above it (1h0m0s): put the levels in the order of After
	// escalate: policy: level 2 tells nobody: name a notifier in To, or leave the level out
}

func ExampleLog() {
	h := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "level", "msg", "incident", "watch", "reason", "step", "outcome":
			return a
		}
		return slog.Attr{}
	}})
	n := escalate.Notification{Incident: incident()}
	if err := escalate.Log(slog.New(h)).Notify(context.Background(), n); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=ERROR msg="orders/queue-depth: 9000 is above 5000" incident=inc-7 watch=orders/queue-depth reason=exhausted step=scale-workers outcome="no effect"
}

func ExampleNotification_json() {
	n := escalate.Notification{ID: "n-1", DedupKey: "inc-7", Kind: escalate.Ask, Incident: escalate.Incident{ID: "inc-7", Proposal: "p-1"}}
	data, err := json.Marshal(n)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(data))
	// Output:
	// {"id":"n-1","dedup_key":"inc-7","kind":"ask","at":"0001-01-01T00:00:00Z","incident":{"id":"inc-7","watch":"","finding":{"key":"","severity":"warning","summary":"","value":0,"limit":0},"state":"","proposal":"p-1"}}
}
