package grafana

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	kind          = "grafana"
	defaultRepeat = 4 * time.Hour // of the default notification policy

	legacy    = "legacy form"
	test      = "test"
	truncated = "truncated"
)

// Config says who may post and what is kept. One proof of origin must be set:
// HMACSecret (or Secrets alone), Bearer, BasicUser with BasicPassword, or
// ClientCAs; or else Insecure. Where several are set a request must satisfy all
// of them, but of Bearer and Basic, which share a header, either will do.
type Config struct {
	// HMACSecret is that of the contact point: Grafana signs the body.
	HMACSecret detect.Secret
	// HMACTimestampHeader is the header in which Grafana puts the time that it
	// signs together with the body. Set here what is set there. "": the signature
	// covers no time, and a body can be sent again by whoever has seen it; it then
	// can restate a level and nothing more.
	HMACTimestampHeader string
	// HMACHeader is the header of the signature. "": X-Grafana-Alerting-Signature,
	// or X-Grafana-Alert-Signature where that is missing.
	HMACHeader string
	// ReplayWindow is how old a signed time may be. 0: 5 min. Grafana sends a
	// body once, so it need not be long.
	ReplayWindow time.Duration
	// Bearer is the token of the header Authorization.
	Bearer detect.Secret
	// BasicUser and BasicPassword are for basic authentication.
	BasicUser     string
	BasicPassword detect.Secret
	// Secrets are accepted while one is rotated: beside HMACSecret, or without it
	// beside Bearer, or without that beside BasicPassword. Alone they are signing
	// secrets.
	Secrets []detect.Secret
	// ClientCAs demands a client certificate that one of them has signed. The
	// server must ask for it: tls.Config.ClientAuth is tls.RequestClientCert or
	// stricter.
	ClientCAs *x509.CertPool
	// Insecure takes everything from everybody, and says so in the log.
	Insecure bool

	// MaxBody bounds a body in bytes. 0: 4 MiB. A longer one is refused and lost.
	MaxBody int64
	// MaxAlerts is how many alerts may fire at once. 0: 1,000. What goes beyond
	// is dropped and makes every detector blind, beside its findings, for Expiry.
	MaxAlerts int
	// Repeat is the repeat interval of the notification policy. 0: 4 h.
	Repeat time.Duration
	// Expiry is after how long without a word an alert is stale. 0: twice Repeat
	// and 6 min. Less than twice Repeat is a mistake.
	Expiry time.Duration
	// Lag is how long after the fact Grafana says "resolved": the group interval
	// and an evaluation of the rule. 0: 6 min; -1: none. A step that such an alert
	// judges needs a Settle of at least this, or a Verify.
	Lag time.Duration
	// Store keeps alerts across restarts. nil: they are kept in memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver takes the webhook of a contact point. All methods are safe for
// concurrent use; it has no goroutine and needs no Close.
type Receiver struct {
	door  receive.Endpoint
	table *receive.Table
}

// New checks the configuration and reads the Store, for at most 10 s.
func New(c Config) (*Receiver, error) {
	signed := c.HMACSecret != "" || c.HMACHeader != "" || c.HMACTimestampHeader != "" ||
		len(c.Secrets) > 0 && c.Bearer == "" && c.BasicPassword == ""
	r := &Receiver{door: receive.Endpoint{
		Kind: kind, Methods: []string{http.MethodPost, http.MethodPut}, MaxBody: c.MaxBody, Log: c.Logger,
	}}
	r.door.Handle = r.handle
	err := r.door.Guard(receive.AccessConfig{
		Bearer: c.Bearer, BasicUser: c.BasicUser, BasicPassword: c.BasicPassword, Secrets: c.Secrets,
		ClientCAs: c.ClientCAs, Signed: signed, Insecure: c.Insecure,
		Schemes: "HMACSecret, Bearer, BasicUser and BasicPassword, or ClientCAs",
	})
	if err != nil {
		return nil, err
	}
	if signed {
		s, err := signature(&c)
		if err != nil {
			return nil, err
		}
		r.door.Prove = s.Prove
	}
	r.table, err = receive.NewTable(&r.door, receive.TableOptions{
		Repeat: cmp.Or(c.Repeat, defaultRepeat), Expiry: c.Expiry, Lag: c.Lag, MaxAlerts: c.MaxAlerts, Store: c.Store,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// signature is how Grafana signs (grafana/alerting, http/hmac.go).
func signature(c *Config) (*receive.BodySignature, error) {
	keys, err := receive.NewKeys(kind, c.HMACSecret, c.Secrets, nil)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("detect/grafana: HMACHeader or HMACTimestampHeader is set without a secret: set HMACSecret")
	}
	window, err := receive.Window(kind, c.ReplayWindow, 0)
	if err != nil {
		return nil, err
	}
	headers := []string{"X-Grafana-Alerting-Signature", "X-Grafana-Alert-Signature"}
	if c.HMACHeader != "" {
		headers = []string{c.HMACHeader}
	}
	return &receive.BodySignature{Keys: keys, Headers: headers, TimeHeader: c.HMACTimestampHeader, Window: window}, nil
}

// ServeHTTP takes a post. It answers 2xx once what the body says is stored, or
// is of no use. Any other answer loses the body: Grafana tries once.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Alerts returns a detector of the alerts of the rule with that name whose
// labels satisfy every match: label=value, label!=value, label=~regexp,
// label!~regexp, as in Grafana's notification policies. Each alert is a finding:
// its key is the fingerprint, its Labels are the alert's, its Summary is the
// annotation "summary", or the next best. It is critical where the label severity
// says critical, page, emergency, fatal or the like, else a warning.
//
// The detector is a detect.Waker, a detect.Lagging, and a detect.Validator that
// reports a wrong match.
func (r *Receiver) Alerts(name string, match ...string) detect.Detector {
	return r.table.Alerts(name, match)
}

// All returns a detector of every alert that fires.
func (r *Receiver) All() detect.Detector { return r.table.All() }

// Forget drops what is known of the alert with that key, in the Store too. It is
// for an alert that nobody will ever resolve. If it still fires, the next repeat
// brings it back.
func (r *Receiver) Forget(ctx context.Context, key string) error { return r.table.Forget(ctx, key) }

// Stats says what became of what was sent.
func (r *Receiver) Stats() detect.ReceiverStats { return r.table.Stats() }

// body is Grafana's webhook, version 1, and what tells the form of before 9.
type body struct {
	Version         string          `json:"version"`
	TruncatedAlerts uint64          `json:"truncatedAlerts"`
	Alerts          []receive.Sent  `json:"alerts"`
	RuleID          json.RawMessage `json:"ruleId"`
}

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	var b body
	if no := receive.Decode(m.Body, &b); no != nil {
		return *no
	}
	switch {
	case b.RuleID != nil:
		return receive.Ignore(legacy, "this is the form of Grafana before 9, in which alerts have no identity: use unified alerting")
	case len(b.Alerts) == 0:
		return receive.Ignore(receive.NoAlerts, "there is no alert in it")
	case b.Version != "1":
		return receive.Ignore(receive.OtherVersion, "version 1 of Grafana's webhook is understood")
	}
	if b.TruncatedAlerts > 0 {
		r.door.Count(http.StatusOK, truncated, nil)
	}
	batch := receive.Batch{E: &r.door}
	for i := range b.Alerts {
		a, reason := read(&b.Alerts[i], m.Came)
		batch.Add(a, reason)
	}
	return r.table.Take(ctx, batch.Alerts)
}

func read(s *receive.Sent, came time.Time) (receive.Alert, string) {
	// The button of a contact point sends an alert that looks like any other but
	// for its source, which is no address.
	if strings.HasPrefix(s.GeneratorURL, "?orgId=") {
		return receive.Alert{}, test
	}
	a, reason := s.Alert(came)
	switch s.Labels["alertname"] {
	case "DatasourceNoData", "DatasourceError":
		a.Name, a.Wide = s.Labels["rulename"], true
		if a.State == receive.Firing {
			a.State = receive.NoData
		}
	}
	return a, reason
}
