package datadog

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	kind = "datadog"
	// never is how long an alert is believed that nobody restates.
	never = 24 * time.Hour
	// otherPayload is the reason of bodies that the template did not make.
	otherPayload = "other payload"
)

// Config says who may post and what is kept. One proof of origin must be set:
// Bearer, BasicUser with BasicPassword, or ClientCAs, where a proxy before
// this process presents a certificate; or else Insecure.
type Config struct {
	// Bearer is the token of the header Authorization, a custom header in
	// Datadog.
	Bearer detect.Secret
	// BasicUser and BasicPassword are for basic authentication.
	BasicUser     string
	BasicPassword detect.Secret
	// Secrets are accepted beside Bearer, or beside BasicPassword where that is
	// set alone, while one is rotated.
	Secrets []detect.Secret
	// ClientCAs demands a client certificate that one of them has signed, beside
	// what else is set. The server must ask for it.
	ClientCAs *x509.CertPool
	// Insecure takes everything from everybody, and says so in the log.
	Insecure bool

	// MaxBody bounds a body in bytes. 0: 4 MiB.
	MaxBody int64
	// MaxAlerts is how many alerts may fire at once. 0: 1,000. What goes beyond
	// is dropped and makes every detector blind, beside its findings, for Expiry.
	MaxAlerts int
	// Repeat is the renotify interval of the monitors. 0: they do not renotify.
	Repeat time.Duration
	// Expiry is after how long without a word an alert is stale. 0: twice Repeat
	// and 6 min, or 24 h without Repeat. Less than twice Repeat is a mistake.
	Expiry time.Duration
	// Lag is how long after the fact Datadog says "Recovered": the evaluation
	// window of the monitor. 0: 6 min; -1: none. A step that such an alert judges
	// needs a Settle of at least this, or a Verify.
	Lag time.Duration
	// Store keeps alerts across restarts. nil: they are kept in memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver takes Datadog's webhook. All methods are safe for concurrent use; it
// has no goroutine and needs no Close.
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
		Schemes: "Bearer, or BasicUser and BasicPassword",
	})
	if err != nil {
		return nil, err
	}
	r.table, err = receive.NewTable(&r.door, receive.TableOptions{
		Repeat: c.Repeat, Expiry: c.Expiry, Never: never, Lag: c.Lag, MaxAlerts: c.MaxAlerts, Store: c.Store,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ServeHTTP takes a post. It answers 2xx once what the body says is stored, or
// is of no use; 4xx to what proves nothing, which Datadog drops; 503 where the
// Store fails, which it sends again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Alerts returns a detector of the alerts of the monitor with that name whose
// labels satisfy every match: label=value, label!=value, label=~regexp,
// label!~regexp. Labels are the tags of the event and of the group, and
// monitor_id, priority and metric. Each alert is a finding: its key is the
// monitor with its group, its Summary is what $ALERT_STATUS says, or the title.
// Triggered is critical, Warn a warning.
//
// The id of the monitor will do for its name, Alerts("1234"), and must where the
// name contains variables: Datadog sends the name as it reads then.
//
// The detector is a detect.Waker, a detect.Lagging, and a detect.Validator that
// reports a wrong match.
func (r *Receiver) Alerts(name string, match ...string) detect.Detector {
	return r.table.Alerts(name, match)
}

// All returns a detector of every alert that fires.
func (r *Receiver) All() detect.Detector { return r.table.All() }

// Forget drops what is known of the alert with that key, in the Store too. It is
// for an alert that nobody will ever resolve: its monitor is gone.
func (r *Receiver) Forget(ctx context.Context, key string) error { return r.table.Forget(ctx, key) }

// Stats says what became of what was sent.
func (r *Receiver) Stats() detect.ReceiverStats { return r.table.Stats() }
