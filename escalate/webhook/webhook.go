package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Config of a [Notifier]. URL and Secrets are required.
type Config struct {
	// URL is where the webhook goes. It may hold credentials.
	URL escalate.Secret
	// Secrets sign each webhook, in the form whsec_ and base64 of 24 to 64 bytes.
	// The first is the current one; others are for the time of a rotation.
	Secrets []escalate.Secret
	// Source is the CloudEvents attribute of that name, a URI reference. "" means
	// "/selfheal/" and the incident's service.
	Source string
	// Rate is how many calls the receiver takes. The zero value is no bound: a 429
	// says when to go on.
	Rate escalate.Rate
	// Client makes the requests, without following redirects. nil is one that
	// uses the proxy of the environment and keeps no connections.
	Client *http.Client
	// Timeout of one request. 0 means 15 s, as Standard Webhooks recommends. The
	// context's deadline holds too, and a supervisor's is 10 s.
	Timeout time.Duration
}

const provider = "webhook"

// A Notifier posts webhooks. It is safe for concurrent use and has nothing to
// close.
type Notifier struct {
	cfg    Config
	target *url.URL
	keys   [][]byte
	sender *deliver.Sender
	gone   atomic.Bool
}

// New makes a notifier. Its errors name the fields that are wrong, and what to
// give; they show neither the address nor a secret.
func New(c Config) (*Notifier, error) {
	target, addressErr := deliver.Address("URL", string(c.URL))
	errs := []error{addressErr}
	if len(c.Secrets) == 0 {
		errs = append(errs, deliver.Wrong("Secrets", "is empty: give the whsec_ secret that the receiver has"))
	}
	var keys [][]byte
	hidden := []string{string(c.URL)}
	for i, s := range c.Secrets {
		key, err := readSecret(s)
		if err != nil {
			errs = append(errs, deliver.Wrong(fmt.Sprintf("Secrets[%d]", i), "%v", err))
		}
		keys = append(keys, key)
		hidden = append(hidden, string(s), strings.TrimPrefix(string(s), secretPrefix))
	}
	if _, err := url.Parse(c.Source); err != nil {
		errs = append(errs, deliver.Wrong("Source", "is no URI reference: use one such as /selfheal/orders"))
	}
	if c.Rate.N < 0 || c.Rate.Per < 0 {
		errs = append(errs, deliver.Wrong("Rate", "is negative: use the zero value for no bound"))
	}
	if err := deliver.Mistakes(provider, errs...); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	sender, err := deliver.New(deliver.Config{
		Provider: provider, Client: c.Client, Timeout: c.Timeout, Secrets: append(hidden, deliver.Hidden(target)...),
	})
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: c, target: target, keys: keys, sender: sender}, nil
}

// Rate is [Config.Rate].
func (n *Notifier) Rate() escalate.Rate { return n.cfg.Rate }

// errGone is for everything after a 410.
var errGone = errors.New("webhook: the receiver has answered 410 Gone, so it is switched off: take it out of the policy, or make a new notifier")

// Notify posts one notification. An error is an [escalate.Failure] where the
// receiver said what to do next. None shows the address or a secret.
func (n *Notifier) Notify(ctx context.Context, m escalate.Notification) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	if n.gone.Load() {
		return escalate.Permanent(errGone)
	}
	body, err := n.encode(deliver.Clean(m))
	if err != nil {
		return escalate.Permanent(fmt.Errorf("webhook: %w", err))
	}
	id, now := messageID(m), time.Now()
	a, err := n.sender.Send(ctx, deliver.Request{URL: n.target, Type: "application/cloudevents+json; charset=utf-8", Body: body, Header: http.Header{
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)},
		"Webhook-Signature": {signatures(n.keys, id, now, body)},
	}})
	switch {
	case err != nil:
		return err
	case a.Class() == deliver.Taken:
		return nil
	case a.Status == http.StatusGone:
		n.gone.Store(true)
		return n.sender.Refused(a, deliver.Final, "the receiver wants no more, so it is switched off: take it out of the policy")
	}
	return n.sender.Refused(a, deliver.Passing, "")
}

// messageID is the notification's id as a webhook-id may be: no full stop, which
// parts what is signed, and nothing that a header cannot have.
func messageID(m escalate.Notification) string {
	id := m.ID
	if id == "" {
		id = deliver.DedupKey(m, 200) + "-" + m.Kind.String()
	}
	if strings.ContainsFunc(id, func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) || len(id) > 200 {
		id = strings.ReplaceAll(deliver.Key(id+" ", 200), ".", "_") // the space makes Key add a hash
	}
	return id
}
