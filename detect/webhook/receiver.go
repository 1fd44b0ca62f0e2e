package webhook

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	kind = "webhook"
	// never is how long an alert is believed that nobody restates.
	never = 24 * time.Hour
)

// Config says who may post and what is kept. One proof of origin must be set:
// Secrets or HMACSecret, Bearer, BasicUser with BasicPassword, or ClientCAs; or
// else Insecure. Where several are set a request must satisfy all of them, but of
// Bearer and Basic, which share a header, either will do.
type Config struct {
	// Secrets sign bodies; several are accepted while one is rotated. A Standard
	// Webhooks secret is "whsec_" and base64; any other is used as it is. Where
	// Bearer or BasicPassword is set and HMACSecret is not, they are accepted
	// beside that instead.
	Secrets []detect.Secret
	// HMACSecret is one more signing secret.
	HMACSecret detect.Secret
	// HMACHeader, if set, is the header of a hexadecimal HMAC-SHA256 of the body,
	// with or without "sha256=" before it, in place of Standard Webhooks.
	HMACHeader string
	// HMACTimestampHeader is the header of the Unix time, in seconds, that is
	// signed with the body as "<time>:<body>". It goes with HMACHeader.
	HMACTimestampHeader string
	// ReplayWindow is how old a signed time may be. 0: 5 min. A sender signs anew
	// for each try, so it need not be long.
	ReplayWindow time.Duration
	// Bearer is the token of the header Authorization.
	Bearer detect.Secret
	// BasicUser and BasicPassword are for basic authentication.
	BasicUser     string
	BasicPassword detect.Secret
	// ClientCAs demands a client certificate that one of them has signed. The
	// server must ask for it: tls.Config.ClientAuth is tls.RequestClientCert or
	// stricter.
	ClientCAs *x509.CertPool
	// Insecure takes everything from everybody, and says so in the log.
	Insecure bool

	// MaxBody bounds a body in bytes. 0: 4 MiB.
	MaxBody int64
	// MaxAlerts is how many alerts may fire at once. 0: 1,000. What goes beyond
	// is dropped and makes every detector blind, beside its findings, for Expiry.
	MaxAlerts int
	// Repeat is how often the sender restates what fires. 0: never.
	Repeat time.Duration
	// Expiry is after how long without a word an alert is stale. 0: twice Repeat
	// and 6 min, or 24 h without Repeat. Less than twice Repeat is a mistake.
	Expiry time.Duration
	// Lag is how long after the fact the sender says "resolved". 0: 6 min; -1:
	// none. A step that such an alert judges needs a Settle of at least this, or a
	// Verify.
	Lag time.Duration
	// Store keeps alerts across restarts. nil: they are kept in memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver takes posts. All methods are safe for concurrent use; it has no
// goroutine and needs no Close.
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
		Schemes: "Secrets, Bearer, BasicUser and BasicPassword, or ClientCAs",
	})
	if err != nil {
		return nil, err
	}
	if signed {
		if r.door.Prove, err = prover(&c); err != nil {
			return nil, err
		}
	}
	r.table, err = receive.NewTable(&r.door, receive.TableOptions{
		Repeat: c.Repeat, Expiry: c.Expiry, Never: never, Lag: c.Lag, MaxAlerts: c.MaxAlerts, Store: c.Store,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// prover is the check of a body's signature.
func prover(c *Config) (func(*receive.Message) *receive.Verdict, error) {
	window, err := receive.Window(kind, c.ReplayWindow, 0)
	if err != nil {
		return nil, err
	}
	plain := c.HMACHeader != ""
	if !plain && c.HMACTimestampHeader != "" {
		return nil, errors.New("detect/webhook: HMACTimestampHeader is set without HMACHeader: name the header of the signature too, or neither for Standard Webhooks")
	}
	read := key
	if plain {
		read = nil
	}
	keys, err := receive.NewKeys(kind, c.HMACSecret, c.Secrets, read)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("detect/webhook: HMACHeader is set without a secret: set HMACSecret")
	}
	if plain {
		s := receive.BodySignature{
			Keys: keys, Headers: []string{c.HMACHeader}, Prefix: "sha256=", TimeHeader: c.HMACTimestampHeader, Window: window,
		}
		return s.Prove, nil
	}
	return (&standard{keys, window}).prove, nil
}

// key reads a secret of Standard Webhooks.
func key(s detect.Secret) ([]byte, error) {
	digits, ok := strings.CutPrefix(string(s), "whsec_")
	if !ok {
		return []byte(s), nil
	}
	key, err := base64.StdEncoding.DecodeString(digits)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf(`"whsec_" must be followed by the base64 of the key`)
	}
	return key, nil
}

// standard is the signature of Standard Webhooks, version 1.
type standard struct {
	keys   receive.Keys
	window time.Duration
}

func (s *standard) prove(m *receive.Message) *receive.Verdict {
	id, stamp, given := m.Header.Get("Webhook-Id"), m.Header.Get("Webhook-Timestamp"), m.Header.Get("Webhook-Signature")
	if id == "" || stamp == "" || given == "" {
		return receive.Refuse(http.StatusUnauthorized, receive.NoProof, "a header of webhook-id, webhook-timestamp and webhook-signature is missing")
	}
	if len(given) > 4<<10 {
		return receive.Refuse(http.StatusUnauthorized, receive.WrongProof, "that many signatures are not looked at")
	}
	holds := false
	for _, one := range strings.Fields(given) {
		digits, v1 := strings.CutPrefix(one, "v1,")
		mac, err := base64.StdEncoding.DecodeString(digits)
		if v1 && err == nil && s.keys.Holds(mac, []byte(id+"."+stamp+"."), m.Body) {
			holds = true
			break
		}
	}
	if !holds {
		return receive.Refuse(http.StatusUnauthorized, receive.WrongProof, "no signature holds")
	}
	return m.SignedAt(stamp, s.window)
}

// ServeHTTP takes a post, or a put. It answers 2xx once what the body says is
// stored, or is of no use; 4xx to what proves nothing; 503 where the Store
// fails: send it again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Alerts returns a detector of the alerts with that name whose labels satisfy
// every match: label=value, label!=value, label=~regexp, label!~regexp. Each
// alert is a finding under its key, with its labels, summary, severity, value and
// limit.
//
// The detector is a detect.Waker, a detect.Lagging, and a detect.Validator that
// reports a wrong match.
func (r *Receiver) Alerts(name string, match ...string) detect.Detector {
	return r.table.Alerts(name, match)
}

// All returns a detector of every alert that fires.
func (r *Receiver) All() detect.Detector { return r.table.All() }

// Forget drops what is known of the alert with that key, in the Store too. It is
// for an alert that nobody will ever resolve.
func (r *Receiver) Forget(ctx context.Context, key string) error { return r.table.Forget(ctx, key) }

// Stats says what became of what was sent.
func (r *Receiver) Stats() detect.ReceiverStats { return r.table.Stats() }
