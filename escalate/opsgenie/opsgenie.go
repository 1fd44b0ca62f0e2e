package opsgenie

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Config of a [Notifier]. Key is required.
type Config struct {
	// Key of an API integration.
	Key escalate.Secret
	// BaseURL is where the API lies. "" means https://api.opsgenie.com. It is
	// https://api.eu.opsgenie.com for accounts in the EU and
	// https://api.atlassian.com/jsm/ops/integration for Jira Service Management.
	// Plain http is refused except for this host, because the key goes with every
	// request.
	BaseURL string
	// Responders are called beside those whom the integration calls.
	Responders []Responder
	// Tags of every alert: at most 20, of at most 50 characters.
	Tags []string
	// CriticalPriority and WarningPriority are those of the alerts, P1 to P5. ""
	// means P1 and P3.
	CriticalPriority, WarningPriority string
	// Confirm is how long to wait for the result of a request that was queued. 0
	// means 3 s, -1 does not ask: then order is what the provider makes of it, and
	// requests that it refuses later are not seen.
	Confirm time.Duration
	// Rate is how many calls the account's plan takes. The zero value is no
	// bound: a 429 says when to go on.
	Rate escalate.Rate
	// Client makes the requests, without following redirects. nil is one that
	// uses the proxy of the environment and keeps no connections.
	Client *http.Client
	// Timeout of one request. 0 means 10 s. The context's deadline holds too.
	Timeout time.Duration
}

// A Responder is who is called. Type is team, user, escalation or schedule; one of
// the others names it.
type Responder struct {
	Type     string `json:"type"`
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
}

const (
	provider           = "opsgenie"
	longestMessage     = 130
	longestAlias       = 512
	longestDescription = 15_000
	longestNote        = 25_000
	longestDetails     = 8_000
	longestEntity      = 512
	longestSource      = 100
	longestTag         = 50
	mostTags           = 20
	longestBody        = 400_000 // never met by what the limits above allow
)

// A Notifier tells people by alerts. It is safe for concurrent use and has
// nothing to close.
type Notifier struct {
	cfg    Config
	base   *url.URL
	sender *deliver.Sender
	half   deliver.Memory // notifications whose create was taken and whose close was not
}

// New makes a notifier. Its errors name the fields that are wrong, and what to
// give.
func New(c Config) (*Notifier, error) {
	if c.BaseURL == "" {
		c.BaseURL = "https://api.opsgenie.com"
	}
	base, addressErr := deliver.Base("BaseURL", c.BaseURL)
	if addressErr == nil {
		addressErr = deliver.Private("BaseURL", base)
	}
	c.CriticalPriority, c.WarningPriority = cmp.Or(c.CriticalPriority, "P1"), cmp.Or(c.WarningPriority, "P3")
	errs := []error{
		deliver.Token("Key", c.Key), addressErr,
		priorityMistake("CriticalPriority", c.CriticalPriority), priorityMistake("WarningPriority", c.WarningPriority),
	}
	if len(c.Tags) > mostTags || slices.ContainsFunc(c.Tags, func(t string) bool { return t == "" || utf8.RuneCountInString(t) > longestTag }) {
		errs = append(errs, deliver.Wrong("Tags", "are wrong: there may be at most %d, of 1 to %d characters: shorten them", mostTags, longestTag))
	}
	for i, r := range c.Responders {
		if !slices.Contains([]string{"team", "user", "escalation", "schedule"}, r.Type) || r.ID+r.Name+r.Username == "" {
			errs = append(errs, deliver.Wrong(fmt.Sprintf("Responders[%d]", i), "needs a Type of team, user, escalation or schedule, and an ID, Name or Username"))
		}
	}
	if c.Confirm < -1 {
		errs = append(errs, deliver.Wrong("Confirm", "is %v: use 0 for the default, -1 not to ask, or how long to wait", c.Confirm))
	}
	if c.Rate.N < 0 || c.Rate.Per < 0 {
		errs = append(errs, deliver.Wrong("Rate", "is negative: use the zero value for no bound"))
	}
	if err := deliver.Mistakes(provider, errs...); err != nil {
		return nil, err
	}
	c.Confirm = cmp.Or(c.Confirm, 3*time.Second)
	c.Tags, c.Responders = slices.Clone(c.Tags), slices.Clone(c.Responders)
	sender, err := deliver.New(deliver.Config{
		Provider: provider, Client: c.Client, Timeout: c.Timeout, Secrets: []string{string(c.Key)},
	})
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: c, base: base, sender: sender}, nil
}

func priorityMistake(field, p string) error {
	if !slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, p) {
		return fmt.Errorf("%s is %q: use one of P1 to P5", field, p)
	}
	return nil
}

// Rate is [Config.Rate].
func (n *Notifier) Rate() escalate.Rate { return n.cfg.Rate }

// Notify sends one notification; see the package for what becomes of each kind.
// An error is an [escalate.Failure] where the provider said what to do next. None
// shows the key.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	m = deliver.Clean(m)
	alias := deliver.DedupKey(m, longestAlias)
	switch m.Kind {
	case escalate.Ask:
		return n.create(ctx, deliver.AskKey(alias, longestAlias), m)
	case escalate.Update:
		return n.update(ctx, alias, m)
	case escalate.Resolve:
		if m.BeganAndEnded && !n.half.Has(m.ID) {
			if err := n.create(ctx, alias, m); err != nil {
				return err
			}
			n.half.Add(m.ID)
		}
		note := map[string]string{"note": deliver.Cut(m.Text(), longestNote), "source": "selfheal"}
		for _, a := range []string{alias, deliver.AskKey(alias, longestAlias)} {
			if err := n.act(ctx, http.MethodPost, a, "close", note); err != nil && !errors.Is(err, errAbsent) {
				return err
			}
		}
		n.half.Remove(m.ID)
		return nil
	}
	return n.create(ctx, alias, m)
}

// update tells what cannot be told twice last: what is set may be set again.
func (n *Notifier) update(ctx context.Context, alias string, m escalate.Notification) error {
	for _, set := range []struct {
		verb string
		body map[string]string
	}{
		{"message", map[string]string{"message": message(m.Incident.Title())}},
		{"priority", map[string]string{"priority": n.priority(m.Incident)}},
	} {
		err := n.act(ctx, http.MethodPut, alias, set.verb, set.body)
		if errors.Is(err, errAbsent) {
			return n.create(ctx, alias, m)
		}
		if err != nil {
			return err
		}
	}
	err := n.act(ctx, http.MethodPost, alias, "notes", map[string]string{"note": deliver.Cut(m.Text(), longestNote), "source": "selfheal"})
	if errors.Is(err, errAbsent) {
		return n.create(ctx, alias, m)
	}
	return err
}

// Acknowledge says that somebody, by, is looking after an incident: the provider
// stops calling. dedupKey is [escalate.Notification.DedupKey]. It is no failure
// when nothing is open under that key.
func (n *Notifier) Acknowledge(ctx context.Context, dedupKey, by string) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	if dedupKey == "" {
		return errors.New("opsgenie: Acknowledge needs the DedupKey of a notification")
	}
	alias := deliver.Key(dedupKey, longestAlias)
	body := map[string]string{"note": deliver.Cut("acknowledged by "+by, longestNote), "source": "selfheal"}
	for _, a := range []string{alias, deliver.AskKey(alias, longestAlias)} {
		if err := n.act(ctx, http.MethodPost, a, "acknowledge", body); err != nil && !errors.Is(err, errAbsent) {
			return err
		}
	}
	return nil
}
