package cloudwatch

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

// Reasons of this receiver.
const (
	rawDelivery   = "raw delivery"
	otherType     = "other type"
	otherTopic    = "topic"
	badAddress    = "certificate address"
	badCert       = "certificate"
	fetchFailed   = "certificate fetch"
	confirmFailed = "confirm"
	confirmed     = "confirmed"
	unsubscribed  = "unsubscribed"
)

// envelope is what SNS posts, as text/plain.
type envelope struct {
	Type, MessageID, Token, TopicArn, Message, SubscribeURL, Timestamp string
	Subject                                                            *string // signed only if it is there
	SignatureVersion, Signature, SigningCertURL                        string
}

const (
	notification = "Notification"
	subscribe    = "SubscriptionConfirmation"
	unsubscribe  = "UnsubscribeConfirmation"
)

// sns proves messages.
type sns struct {
	topics   []string
	roots    *x509.CertPool
	client   *http.Client
	window   time.Duration
	insecure bool

	fetching chan struct{} // one fetch at a time; posts with a known certificate pass
	mu       sync.Mutex
	certs    []cached // the last used last
}

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	if m.Header.Get("X-Amz-Sns-Rawdelivery") == "true" {
		return *receive.Refuse(http.StatusForbidden, rawDelivery, "raw message delivery is not signed: switch it off in the subscription")
	}
	var e envelope
	if no := receive.Decode(m.Body, &e); no != nil {
		// Nothing is proved yet, so this is no sender to be polite to.
		return *receive.Refuse(http.StatusBadRequest, receive.Malformed, "the body is no message of SNS")
	}
	if no := r.sns.prove(ctx, &e, m.Came); no != nil {
		return *no
	}
	switch e.Type {
	case subscribe:
		return r.sns.confirm(ctx, &e)
	case unsubscribe:
		// Its SubscribeURL would subscribe again.
		return receive.Ignore(unsubscribed, "noted")
	}
	return r.take(ctx, e.Message, m.Came)
}

// prove checks in the order of the package documentation.
func (s *sns) prove(ctx context.Context, e *envelope, came time.Time) *receive.Verdict {
	switch e.Type {
	case notification, subscribe, unsubscribe:
	case "":
		return receive.Refuse(http.StatusForbidden, rawDelivery, "this is no message of SNS, or raw message delivery is on, which is not signed: switch it off")
	default:
		return receive.Refuse(http.StatusForbidden, otherType, "the type of the message is unknown")
	}
	if !slices.Contains(s.topics, e.TopicArn) && (len(s.topics) > 0 || !s.insecure) {
		return receive.Refuse(http.StatusForbidden, otherTopic, "the topic is not one of Config.Topics")
	}
	if s.insecure {
		return nil
	}
	address, ok := snsAddress(e.SigningCertURL)
	if !ok || address.RawQuery != "" || !strings.HasSuffix(address.Path, ".pem") {
		return receive.Refuse(http.StatusForbidden, badAddress, "SigningCertURL is not of SNS")
	}
	hash, ok := hashOf(e.SignatureVersion)
	if !ok {
		return receive.Refuse(http.StatusForbidden, receive.WrongProof, "SignatureVersion is neither 1 nor 2")
	}
	key, no := s.key(ctx, e.SigningCertURL, came)
	if no != nil {
		return no
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil || rsa.VerifyPKCS1v15(key, hash, e.digest(hash), signature) != nil {
		return receive.Refuse(http.StatusForbidden, receive.WrongProof, "the signature does not hold")
	}
	at, err := time.Parse(time.RFC3339Nano, e.Timestamp)
	if err != nil {
		return receive.Refuse(http.StatusForbidden, receive.Replayed, "Timestamp is no time")
	}
	return receive.InWindow(at, came, s.window)
}

// snsAddress parses an address and says whether it is one of SNS.
func snsAddress(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || strings.HasSuffix(u.Host, ":") || u.Opaque != "" || u.Fragment != "" {
		return nil, false
	}
	return u, snsHost(u.Host)
}

// snsHost matches sns.<region>.amazonaws.com and .com.cn.
func snsHost(host string) bool {
	region, ok := strings.CutPrefix(host, "sns.")
	if !ok {
		return false
	}
	if region, ok = strings.CutSuffix(strings.TrimSuffix(region, ".cn"), ".amazonaws.com"); !ok || len(region) < 3 {
		return false
	}
	for _, r := range region {
		if r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

func hashOf(version string) (crypto.Hash, bool) {
	switch version {
	case "1":
		return crypto.SHA1, true
	case "2":
		return crypto.SHA256, true
	}
	return 0, false
}

// digest hashes what is signed: names and values, each on a line, in the order
// of names.
func (e *envelope) digest(hash crypto.Hash) []byte {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", e.Message)
	line("MessageId", e.MessageID)
	if e.Type == notification {
		if e.Subject != nil {
			line("Subject", *e.Subject)
		}
	} else {
		line("SubscribeURL", e.SubscribeURL)
	}
	line("Timestamp", e.Timestamp)
	if e.Type != notification {
		line("Token", e.Token)
	}
	line("TopicArn", e.TopicArn)
	line("Type", e.Type)
	if hash == crypto.SHA1 {
		sum := sha1.Sum([]byte(b.String()))
		return sum[:]
	}
	sum := sha256.Sum256([]byte(b.String()))
	return sum[:]
}

// confirm visits the address that makes the subscription.
func (s *sns) confirm(ctx context.Context, e *envelope) receive.Verdict {
	if s.insecure {
		return receive.Ignore(confirmFailed, "visit SubscribeURL yourself: nothing proves where this comes from")
	}
	if _, ok := snsAddress(e.SubscribeURL); !ok {
		return *receive.Refuse(http.StatusForbidden, badAddress, "SubscribeURL is not of SNS")
	}
	if _, err := s.get(ctx, e.SubscribeURL); err != nil {
		return receive.Fail(confirmFailed, fmt.Errorf("visit SubscribeURL: %w", err))
	}
	return receive.Ignore(confirmed, "confirmed")
}

const maxAnswer = 64 << 10

// get fetches an address whose host was checked. Errors name no more than that
// host: the path of a SubscribeURL has a token in its query.
func (s *sns) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("the address of SNS cannot be requested")
	}
	answer, err := s.client.Do(req)
	if err != nil {
		if u, ok := err.(*url.Error); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL.Host, answer.Status)
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("%s answered more than %d bytes", req.URL.Host, maxAnswer)
	}
	return b, nil
}

// newClient is the given one without redirects.
func newClient(given *http.Client) *http.Client {
	c := http.Client{}
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
