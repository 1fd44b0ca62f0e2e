package cloudwatch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	kind = "cloudwatch"
	// never is how long an alarm is believed that nobody restates.
	never = 24 * time.Hour
	// retries is how long SNS may repeat what it signed once: 3,600 s.
	retries = time.Hour
)

// Config says which topics count and what is kept.
type Config struct {
	// Topics are the ARNs of the topics whose messages count. Required: anybody
	// can have SNS sign a message of a topic of their own.
	Topics []string
	// SigningRoots must have signed the certificate of a message, by way of the
	// certificates that come with it. nil: it suffices that the certificate comes
	// over TLS from a host of SNS, belongs to sns.amazonaws.com or a host of it,
	// and names Amazon as its issuer. Amazon serves it without those in between,
	// so its chain ends at no public root.
	SigningRoots *x509.CertPool
	// Client makes every request: certificates, and the confirmation of a
	// subscription. Its redirect policy is not used; none is followed. nil, or one
	// without a transport: a transport of our own, with proxies from the
	// environment and one connection a request.
	Client *http.Client
	// ReplayWindow is how old the time of a message may be. 0: 65 min. Less than
	// the hour over which SNS repeats a message is a mistake.
	ReplayWindow time.Duration
	// Insecure checks no signature, and says so in the log. It confirms no
	// subscription either, since that is a request on somebody's word: visit the
	// address yourself. Topics still count, and may be left empty.
	Insecure bool

	// MaxBody bounds a body in bytes. 0: 4 MiB.
	MaxBody int64
	// MaxAlerts is how many alarms may fire at once. 0: 1,000. What goes beyond
	// is dropped and makes every detector blind, beside its findings, for Expiry.
	MaxAlerts int
	// Expiry is after how long without a word an alarm is stale. 0: 24 h.
	Expiry time.Duration
	// Lag is how long after the fact CloudWatch says "OK": the periods of the
	// alarm. 0: 6 min; -1: none. A step that such an alarm judges needs a Settle
	// of at least this, or a Verify.
	Lag time.Duration
	// Store keeps alarms across restarts. nil: they are kept in memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver is an HTTPS subscription of SNS topics. All methods are safe for
// concurrent use; it has no goroutine and needs no Close.
type Receiver struct {
	door  receive.Endpoint
	table *receive.Table
	sns   sns
}

// New checks the configuration and reads the Store, for at most 10 s.
func New(c Config) (*Receiver, error) {
	var errs []error
	if len(c.Topics) == 0 && !c.Insecure {
		errs = append(errs, errors.New("detect/cloudwatch: Topics is empty: name the topics that count, by ARN; a signature alone proves no more than that somebody has an AWS account"))
	}
	for i, topic := range c.Topics {
		if !strings.HasPrefix(topic, "arn:") || strings.Count(topic, ":") != 5 || strings.ContainsAny(topic, "* ") {
			errs = append(errs, fmt.Errorf("detect/cloudwatch: Topics[%d] is %q: use the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:alarms", i, topic))
		}
	}
	if c.Insecure && c.SigningRoots != nil {
		errs = append(errs, errors.New("detect/cloudwatch: Insecure is set beside SigningRoots: drop one of them"))
	}
	window, err := receive.Window(kind, c.ReplayWindow, retries)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	r := &Receiver{door: receive.Endpoint{Kind: kind, MaxBody: c.MaxBody, Log: c.Logger}}
	r.door.Handle = r.handle
	// The signature is a proof of its own; this only says that there is none.
	if err := r.door.Guard(receive.AccessConfig{Signed: !c.Insecure, Insecure: c.Insecure}); err != nil {
		return nil, err
	}
	r.sns = sns{
		topics: slices.Clone(c.Topics), roots: c.SigningRoots, client: newClient(c.Client),
		window: window, insecure: c.Insecure, fetching: make(chan struct{}, 1),
	}
	r.table, err = receive.NewTable(&r.door, receive.TableOptions{
		Expiry: c.Expiry, Never: never, Lag: c.Lag, MaxAlerts: c.MaxAlerts, Store: c.Store,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ServeHTTP takes a post of SNS. It answers 2xx once what the message says is
// stored, or is of no use; 4xx to what proves nothing, which SNS drops; 503 where
// the Store, or the fetch of a certificate, fails, which it sends again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Alerts returns a detector of the alarms with that name, or that ARN, whose
// labels satisfy every match: label=value, label!=value, label=~regexp,
// label!~regexp. Labels are the dimensions of the metric and account, region,
// alarm, namespace and metric. Each alarm is a finding, a warning: its key is the
// ARN, its Summary is the alarm's description, or the reason of its state.
//
// The detector is a detect.Waker, a detect.Lagging, and a detect.Validator that
// reports a wrong match.
func (r *Receiver) Alerts(name string, match ...string) detect.Detector {
	return r.table.Alerts(name, match)
}

// All returns a detector of every alarm that fires.
func (r *Receiver) All() detect.Detector { return r.table.All() }

// Forget drops what is known of the alarm with that key, in the Store too. It is
// for an alarm that was deleted while it fired.
func (r *Receiver) Forget(ctx context.Context, key string) error { return r.table.Forget(ctx, key) }

// Stats says what became of what was sent.
func (r *Receiver) Stats() detect.ReceiverStats { return r.table.Stats() }
