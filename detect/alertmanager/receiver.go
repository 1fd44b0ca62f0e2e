package alertmanager

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	kind = "alertmanager"
	// truncated is the reason of groups that max_alerts has cut.
	truncated = "truncated"
	// defaultRepeat is Alertmanager's repeat_interval.
	defaultRepeat = 4 * time.Hour
)

// Config says who may post and what is kept. One proof of origin must be set:
// Bearer, BasicUser with BasicPassword, or ClientCAs; or else Insecure. A client
// certificate is asked for in addition to the others; of Bearer and Basic, which
// share a header, either will do.
type Config struct {
	// Bearer is the token of the header Authorization.
	Bearer detect.Secret
	// BasicUser and BasicPassword are for basic authentication.
	BasicUser     string
	BasicPassword detect.Secret
	// Secrets are accepted beside Bearer, or beside BasicPassword where that is
	// set alone, while one is rotated.
	Secrets []detect.Secret
	// ClientCAs demands a client certificate that one of them has signed. The
	// server must ask for it: tls.Config.ClientAuth is tls.RequestClientCert or
	// stricter.
	ClientCAs *x509.CertPool
	// Insecure takes everything from everybody, and says so in the log.
	Insecure bool

	// MaxBody bounds a body in bytes. 0: 4 MiB. A longer one is refused, and
	// Alertmanager does not send it again: set max_alerts there.
	MaxBody int64
	// MaxAlerts is how many alerts may fire at once. 0: 1,000. What goes beyond
	// is dropped and makes every detector blind, beside its findings, for Expiry.
	MaxAlerts int
	// Repeat is Alertmanager's repeat_interval. 0: 4 h.
	Repeat time.Duration
	// Expiry is after how long without a word an alert is stale. 0: twice Repeat
	// and 6 min. Less than twice Repeat is a mistake.
	Expiry time.Duration
	// Lag is how long after the fact Alertmanager says "resolved": its
	// group_interval and an evaluation of the rule. 0: 6 min; -1: none. A step
	// that such an alert judges needs a Settle of at least this, or a Verify.
	Lag time.Duration
	// Store keeps alerts across restarts. nil: they are kept in memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver takes Alertmanager's webhook. All methods are safe for concurrent
// use; it has no goroutine and needs no Close.
type Receiver struct {
	door  receive.Endpoint
	table *receive.Table
}

// New checks the configuration and reads the Store, for at most 10 s.
func New(c Config) (*Receiver, error) {
	r := &Receiver{door: receive.Endpoint{Kind: kind, MaxBody: c.MaxBody, Log: c.Logger}}
	r.door.Handle = r.handle
	err := r.door.Guard(receive.AccessConfig{
		Bearer: c.Bearer, BasicUser: c.BasicUser, BasicPassword: c.BasicPassword, Secrets: c.Secrets,
		ClientCAs: c.ClientCAs, Insecure: c.Insecure,
		Schemes: "Bearer, BasicUser and BasicPassword, or ClientCAs",
	})
	if err != nil {
		return nil, err
	}
	r.table, err = receive.NewTable(&r.door, receive.TableOptions{
		Repeat: cmp.Or(c.Repeat, defaultRepeat), Expiry: c.Expiry, Lag: c.Lag, MaxAlerts: c.MaxAlerts, Store: c.Store,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ServeHTTP takes a post. It answers 2xx once what the body says is stored, or
// is of no use; 4xx to what proves nothing or is too large, which Alertmanager
// drops; 503 where the Store fails, which it sends again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Alerts returns a detector of the alerts with that alertname whose labels
// satisfy every match: label=value, label!=value, label=~regexp, label!~regexp,
// as in Alertmanager. Each alert is a finding: its key is the fingerprint, its
// Labels are the alert's, its Summary is the annotation "summary", or the next
// best. It is critical where the label severity says critical, page, emergency,
// fatal or the like, else a warning.
//
// The detector is a detect.Waker, a detect.Lagging, and a detect.Validator that
// reports a wrong match.
func (r *Receiver) Alerts(name string, match ...string) detect.Detector {
	return r.table.Alerts(name, match)
}

// All returns a detector of every alert that fires.
func (r *Receiver) All() detect.Detector { return r.table.All() }

// Forget drops what is known of the alert with that key, in the Store too. It is
// for an alert that nobody will ever resolve: its rule is gone, or send_resolved
// was off. If it still fires, the next repeat brings it back.
func (r *Receiver) Forget(ctx context.Context, key string) error { return r.table.Forget(ctx, key) }

// Stats says what became of what was sent.
func (r *Receiver) Stats() detect.ReceiverStats { return r.table.Stats() }

// body is Alertmanager's webhook, version 4. Unknown fields pass.
type body struct {
	Version         string         `json:"version"`
	TruncatedAlerts uint64         `json:"truncatedAlerts"`
	Alerts          []receive.Sent `json:"alerts"`
}

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	var b body
	if no := receive.Decode(m.Body, &b); no != nil {
		return *no
	}
	switch {
	case len(b.Alerts) == 0:
		return receive.Ignore(receive.NoAlerts, "there is no alert in it")
	case b.Version != "4":
		return receive.Ignore(receive.OtherVersion, "version 4 of Alertmanager's webhook is understood")
	}
	if b.TruncatedAlerts > 0 {
		r.door.Count(http.StatusOK, truncated, nil)
	}
	batch := receive.Batch{E: &r.door}
	for i := range b.Alerts {
		batch.Add(b.Alerts[i].Alert(m.Came))
	}
	return r.table.Take(ctx, batch.Alerts)
}
