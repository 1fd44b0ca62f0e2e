package slack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Config of a [Notifier]. URL is required.
type Config struct {
	// URL is the address of an incoming webhook, https://hooks.slack.com/services/…,
	// or of something that speaks its form. It is a credential. Plain http is
	// refused except for this host.
	URL escalate.Secret
	// Client makes the requests, without following redirects. nil is one that
	// uses the proxy of the environment and keeps no connections.
	Client *http.Client
	// Timeout of one request. 0 means 10 s. The context's deadline holds too.
	Timeout time.Duration
}

const (
	provider    = "slack"
	longestBody = 100_000
)

// A Notifier tells people in a Slack channel. It is safe for concurrent use and
// has nothing to close.
type Notifier struct {
	hook   *url.URL
	sender *deliver.Sender
}

// New makes a notifier. Its errors name the fields that are wrong, and what to
// give; they do not show the address.
func New(c Config) (*Notifier, error) {
	hook, err := deliver.Address("URL", string(c.URL))
	if err == nil {
		err = deliver.Private("URL", hook)
	}
	if err = deliver.Mistakes(provider, err); err != nil {
		return nil, err
	}
	sender, err := deliver.New(deliver.Config{
		Provider: provider, Client: c.Client, Timeout: c.Timeout, Secrets: append(deliver.Hidden(hook), string(c.URL)),
	})
	if err != nil {
		return nil, err
	}
	return &Notifier{hook: hook, sender: sender}, nil
}

// Rate is one call a second: what Slack takes for one channel.
func (n *Notifier) Rate() escalate.Rate { return escalate.Rate{N: 1, Per: time.Second} }

// Notify sends one message. An error is an [escalate.Failure] where Slack said
// what to do next. None shows the address.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	body, err := deliver.Fit(longestBody, func(int) any { return compose(deliver.Clean(m)) })
	if err != nil {
		return escalate.Permanent(fmt.Errorf("slack: %w", err))
	}
	a, err := n.sender.Send(ctx, deliver.Request{URL: n.hook, Body: body})
	if err != nil {
		return err
	}
	said := strings.TrimSpace(string(a.Body))
	switch {
	case a.Status == http.StatusOK && said == "ok":
		return nil
	case slices.Contains(gone, said):
		return n.sender.Refused(a, deliver.Final, "the webhook is not in service: make a new one")
	case a.Class() == deliver.Taken:
		return n.sender.Refused(a, deliver.Passing, `Slack accepts by "ok" alone: check URL, and for a proxy in between`)
	}
	return n.sender.Refused(a, a.Class(), "")
}

// gone are answers that are final under any status.
var gone = []string{"no_service", "no_active_hooks", "invalid_token", "no_team", "channel_is_archived", "channel_not_found", "action_prohibited", "user_not_found"}
