package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/internal/console"
)

// post is a command that posts one control.
func post(kind string) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		body := map[string]any{}
		set := func(name, value string) {
			if value != "" {
				body[name] = value
			}
		}
		set("reason", c.reason)
		set("for", c.forTime)
		set("key", c.key)
		if len(c.args) == 1 {
			body[map[string]string{"silence": "watch", "unsilence": "silence", "ack": "incident", "snooze": "incident", "reject": "proposal", "look": "watch"}[kind]] = c.args[0]
		}
		return c.post(ctx, kind, body)
	}
}

func (c *call) post(ctx context.Context, kind string, body map[string]any) error {
	data, err := c.client.ask(ctx, http.MethodPost, "api/"+kind, nil, body)
	if err != nil {
		return err
	}
	if c.json() {
		c.raw(data)
		return nil
	}
	c.say("done: %s", kind)
	return nil
}

// plan shows what a watch would do.
func plan(ctx context.Context, c *call) error {
	data, err := c.client.ask(ctx, http.MethodPost, "api/plan", nil, map[string]any{"watch": c.args[0]})
	if err != nil {
		return err
	}
	if c.json() {
		c.raw(data)
		return nil
	}
	var p console.Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("the answer is not what this version understands: %w", err)
	}
	c.say("%s, if it found something now, in mode %s:", p.Watch, p.Mode)
	for _, why := range p.Held {
		c.say("    nothing would run: %s", why)
	}
	for _, s := range p.Steps {
		c.say("    would %s: %s%s", s.Would, s.Text, colon(s.Why))
	}
	if len(p.Steps) == 0 {
		c.say("    it has no steps: it calls people")
	}
	c.say("%s", p.Limits)
	return nil
}

// approve shows a plan and, after a yes, approves exactly that.
func approve(ctx context.Context, c *call) error {
	var o overview
	if _, err := c.client.get(ctx, "api/status", url.Values{"brief": {"1"}}, &o); err != nil {
		return err
	}
	n := slices.IndexFunc(o.Proposals, func(p proposal) bool { return p.ID == c.args[0] })
	if n < 0 {
		return &statusError{http.StatusNotFound, fmt.Sprintf("there is no proposal %q, or it was answered, or nobody answered in time: selfheal incidents lists them", c.args[0])}
	}
	p := &o.Proposals[n]
	if c.plan != "" && c.plan != p.Fingerprint {
		return &statusError{http.StatusConflict, "the plan is now " + p.Fingerprint + ": look at it again"}
	}
	if !c.yes && c.plan == "" {
		if err := c.showProposal(ctx, p); err != nil {
			return err
		}
		if !c.interactive {
			return usage("nobody can be asked here: say -plan %s, or -yes", p.Fingerprint)
		}
		fmt.Fprint(c.out, "Type yes to let it run: ")
		answer, err := bufio.NewReader(io.LimitReader(c.in, 1000)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("the answer cannot be read: %w", err)
		}
		if strings.TrimSpace(answer) != "yes" {
			c.say("not approved")
			return errNo
		}
	}
	return c.post(ctx, "approve", map[string]any{"proposal": p.ID, "plan": p.Fingerprint})
}

// showProposal prints what would be done, to what, and why.
func (c *call) showProposal(ctx context.Context, p *proposal) error {
	var in console.Incident
	if _, err := c.client.get(ctx, "api/incident", url.Values{"id": {p.Incident}}, &in); err != nil {
		return err
	}
	c.incident(&in)
	for _, r := range in.Ladder {
		c.say("    %-8s %s (%s, %s)%s", r.State, r.Step, r.Risk, r.Scope, colon(r.Outcome))
	}
	c.evidence(in.Evidence)
	c.say("%s would run on %s%s: %s, reaches %s; no answer by %s is a no", p.Step, p.Watch, bracket(p.Key), p.Risk, p.Scope, at(p.Expires))
	c.say("plan %s", p.Fingerprint)
	return nil
}
