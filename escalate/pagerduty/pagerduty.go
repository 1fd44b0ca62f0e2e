package pagerduty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Config of a [Notifier]. RoutingKey is required.
type Config struct {
	// RoutingKey is the integration key of an Events API v2 integration: 32
	// characters.
	RoutingKey escalate.Secret
	// BaseURL is where the API lies. "" means https://events.pagerduty.com; for
	// accounts in the EU it is https://events.eu.pagerduty.com. Plain http is
	// refused except for this host, because the key goes with every event.
	BaseURL string
	// Source names the system that is affected, such as a host. "" means the
	// incident's service, or its watch where it has none.
	Source string
	// Client makes the requests, without following redirects. nil is one that
	// uses the proxy of the environment and keeps no connections.
	Client *http.Client
	// Timeout of one request. 0 means 10 s. The context's deadline holds too.
	Timeout time.Duration
}

const (
	provider      = "pagerduty"
	longestKey    = 255
	longestEvent  = 512_000 // 512 KB, in the smaller of its readings
	longestName   = 1024
	eventsAMinute = 120
)

// A Notifier tells people through PagerDuty. It is safe for concurrent use and
// has nothing to close.
type Notifier struct {
	cfg     Config
	enqueue *url.URL
	sender  *deliver.Sender
	half    deliver.Memory // notifications whose trigger was taken and whose resolve was not
}

// New makes a notifier. Its errors name the fields that are wrong, and what to
// give.
func New(c Config) (*Notifier, error) {
	if c.BaseURL == "" {
		c.BaseURL = "https://events.pagerduty.com"
	}
	base, addressErr := deliver.Base("BaseURL", c.BaseURL)
	if addressErr == nil {
		addressErr = deliver.Private("BaseURL", base)
	}
	keyErr := deliver.Token("RoutingKey", c.RoutingKey)
	if keyErr == nil && len(c.RoutingKey) != 32 {
		keyErr = deliver.Wrong("RoutingKey", "has %d characters and not 32: give the integration key of an Events API v2 integration", len(c.RoutingKey))
	}
	if err := deliver.Mistakes(provider, keyErr, addressErr); err != nil {
		return nil, err
	}
	sender, err := deliver.New(deliver.Config{
		Provider: provider, Client: c.Client, Timeout: c.Timeout, Secrets: []string{string(c.RoutingKey)},
	})
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: c, enqueue: base.JoinPath("v2", "enqueue"), sender: sender}, nil
}

// Rate is 120 calls a minute: what PagerDuty takes from one integration.
func (n *Notifier) Rate() escalate.Rate { return escalate.Rate{N: eventsAMinute, Per: time.Minute} }

// Notify sends one notification; see the package for what becomes of each kind.
// An error is an [escalate.Failure] where PagerDuty said what to do next. None
// shows the key.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	m = deliver.Clean(m)
	key := deliver.DedupKey(m, longestKey)
	switch m.Kind {
	case escalate.Ask:
		return n.trigger(ctx, deliver.AskKey(key, longestKey), m)
	case escalate.Resolve:
		if m.BeganAndEnded && !n.half.Has(m.ID) {
			if err := n.trigger(ctx, key, m); err != nil {
				return err
			}
			n.half.Add(m.ID)
		}
		for _, k := range []string{key, deliver.AskKey(key, longestKey)} {
			if err := n.send(ctx, event{Action: "resolve", Key: k}); err != nil {
				return err
			}
		}
		n.half.Remove(m.ID)
		return nil
	}
	return n.trigger(ctx, key, m)
}

// Acknowledge says that somebody is looking after an incident: PagerDuty stops
// calling. dedupKey is [escalate.Notification.DedupKey]. PagerDuty drops it when
// it has nothing open under that key.
func (n *Notifier) Acknowledge(ctx context.Context, dedupKey string) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	if dedupKey == "" {
		return errors.New("pagerduty: Acknowledge needs the DedupKey of a notification")
	}
	key := deliver.Key(dedupKey, longestKey)
	for _, k := range []string{key, deliver.AskKey(key, longestKey)} {
		if err := n.send(ctx, event{Action: "acknowledge", Key: k}); err != nil {
			return err
		}
	}
	return nil
}

func (n *Notifier) trigger(ctx context.Context, key string, m escalate.Notification) error {
	return n.send(ctx, n.event(key, m))
}

func (n *Notifier) send(ctx context.Context, e event) error {
	e.RoutingKey = string(n.cfg.RoutingKey)
	body, err := e.fit(longestEvent)
	if err != nil {
		return escalate.Permanent(fmt.Errorf("pagerduty: %w", err))
	}
	a, err := n.sender.Send(ctx, deliver.Request{URL: n.enqueue, Body: body})
	if err != nil {
		return err
	}
	if a.Class() != deliver.Taken {
		return n.sender.Refused(a, a.Class(), "")
	}
	var said struct{ Status string }
	if a.Status != http.StatusAccepted || json.Unmarshal(a.Body, &said) != nil || said.Status != "success" {
		return n.sender.Refused(a, deliver.Passing, "that is not how PagerDuty accepts: check BaseURL, and for a proxy in between")
	}
	return nil
}
