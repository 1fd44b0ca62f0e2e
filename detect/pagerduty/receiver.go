package pagerduty

import (
	"context"
	"encoding/hex"
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
	kind = "pagerduty"
	// retries is how long PagerDuty repeats an event that was not taken.
	retries = 48 * time.Hour
)

// Reasons of this receiver.
const (
	otherEvent    = "other event"
	noKey         = "no incident key"
	repeated      = "repeated"
	callbackWrong = "callback"
)

// Kind is what happened to an incident.
type Kind string

// The kinds.
const (
	Acknowledged   Kind = "acknowledged"
	Unacknowledged Kind = "unacknowledged" // by a person, or because the acknowledgement timed out
	Resolved       Kind = "resolved"
	Reopened       Kind = "reopened"
)

// An Acknowledgement is what happened to an incident in PagerDuty.
type Acknowledgement struct {
	// DedupKey is that of the notification that opened the incident.
	DedupKey string
	// By is the name of the person, or "" for anything else: an integration
	// (ours, when it resolved the incident), a rule, a time-out.
	By string
	// At is when it happened, by PagerDuty's clock.
	At   time.Time
	Kind Kind
	// ID is that of the event: the same whenever it is sent again.
	ID string
	// Incident and URL are those of the incident in PagerDuty.
	Incident, URL string
}

// Config says who may post and who is told. One proof of origin must be set:
// Secrets or HMACSecret; or else Insecure.
type Config struct {
	// Secrets are those of the webhook subscription: one, or several while it is
	// rotated.
	Secrets []detect.Secret
	// HMACSecret is one more, for who has a single one.
	HMACSecret detect.Secret
	// Insecure takes everything from everybody, and says so in the log.
	Insecure bool
	// ReplayWindow is how old an event may be. 0: 48 h 5 min. Less than the 48 h
	// for which PagerDuty repeats an event is a mistake.
	ReplayWindow time.Duration

	// OnAcknowledgement is told. Required. ctx ends after 4 s, since PagerDuty
	// waits for 5. An error, or a panic, makes PagerDuty send the event again; see
	// the package documentation. It is called from the goroutines of requests,
	// for different keys at once.
	OnAcknowledgement func(ctx context.Context, a Acknowledgement) error

	// MaxBody bounds a body in bytes. 0: 4 MiB.
	MaxBody int64
	// Store keeps which events were handled. nil: memory.
	Store detect.Store
	// Logger gets the first refusal of each kind. nil: slog.Default.
	Logger *slog.Logger
}

// A Receiver takes PagerDuty's webhook. All methods are safe for concurrent use;
// it has no goroutine and needs no Close.
type Receiver struct {
	door   receive.Endpoint
	keys   receive.Keys
	window time.Duration
	tell   func(context.Context, Acknowledgement) error
	past   past
}

// New checks the configuration and reads the Store, for at most 10 s.
func New(c Config) (*Receiver, error) {
	signed := c.HMACSecret != "" || len(c.Secrets) > 0
	r := &Receiver{door: receive.Endpoint{Kind: kind, MaxBody: c.MaxBody, Log: c.Logger}, tell: c.OnAcknowledgement}
	r.door.Handle = r.handle
	err := r.door.Guard(receive.AccessConfig{Signed: signed, Insecure: c.Insecure, Schemes: "Secrets"})
	if err != nil {
		return nil, err
	}
	if c.OnAcknowledgement == nil {
		return nil, errors.New("detect/pagerduty: OnAcknowledgement is nil: set who is told")
	}
	if r.keys, err = receive.NewKeys(kind, c.HMACSecret, c.Secrets, nil); err != nil {
		return nil, err
	}
	if r.window, err = receive.Window(kind, c.ReplayWindow, retries); err != nil {
		return nil, err
	}
	r.past = past{store: c.Store, window: r.window, last: map[string]*last{}}
	if signed {
		r.door.Prove = r.prove
	}
	if err := r.door.Check(); err != nil {
		return nil, err
	}
	if err := r.past.restore(r.door.Log); err != nil {
		return nil, fmt.Errorf("detect/pagerduty: the Store could not be read: %w", err)
	}
	return r, nil
}

// ServeHTTP takes an event. It answers 2xx once OnAcknowledgement has returned
// and that is stored, or where the event is of no use; 4xx to what proves
// nothing, which PagerDuty drops; 5xx where a call fails, which it sends again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.door.ServeHTTP(w, req) }

// Stats says what became of what was sent. Taken counts events that
// OnAcknowledgement has taken.
func (r *Receiver) Stats() detect.ReceiverStats { return r.door.Stats() }

// prove checks X-PagerDuty-Signature: "v1=<hex>", several parted by commas.
func (r *Receiver) prove(m *receive.Message) *receive.Verdict {
	given := m.Header.Get("X-Pagerduty-Signature")
	if given == "" {
		return receive.Refuse(http.StatusUnauthorized, receive.NoProof, "the header X-PagerDuty-Signature is missing")
	}
	signatures := strings.SplitN(given, ",", 9)
	for _, s := range signatures[:min(len(signatures), 8)] {
		digits, v1 := strings.CutPrefix(strings.TrimSpace(s), "v1=")
		if mac, err := hex.DecodeString(digits); v1 && err == nil && r.keys.Holds(mac, m.Body) {
			return nil
		}
	}
	return receive.Refuse(http.StatusUnauthorized, receive.WrongProof, "no signature holds")
}

// body is an event. data has more, and another shape where its type is another.
type body struct {
	Event struct {
		ID         string `json:"id"`
		EventType  string `json:"event_type"`
		OccurredAt string `json:"occurred_at"`
		Agent      struct {
			Type    string `json:"type"`
			Summary string `json:"summary"`
			ID      string `json:"id"`
		} `json:"agent"`
		Data struct {
			ID          string `json:"id"`
			Type        string `json:"type"`
			IncidentKey string `json:"incident_key"`
			HTMLURL     string `json:"html_url"`
		} `json:"data"`
	} `json:"event"`
}

func (r *Receiver) handle(ctx context.Context, m *receive.Message) receive.Verdict {
	var b body
	if no := receive.Decode(m.Body, &b); no != nil {
		return *no
	}
	e := &b.Event
	at, ok := receive.ParseTime(e.OccurredAt)
	if !ok || at.IsZero() {
		return receive.Ignore(receive.Undated, "the event does not say when it occurred")
	}
	if no := receive.InWindow(at, m.Came, r.window); no != nil {
		return *no
	}
	kind := Kind(strings.TrimPrefix(e.EventType, "incident."))
	switch {
	case kind != Acknowledged && kind != Unacknowledged && kind != Resolved && kind != Reopened || e.Data.Type != "incident":
		return receive.Ignore(otherEvent, "only acknowledgements and resolves are of interest")
	case e.Data.IncidentKey == "":
		return receive.Ignore(noKey, "the incident has no incident_key, so it is none of ours")
	}
	a := Acknowledgement{
		DedupKey: e.Data.IncidentKey, At: at, Kind: kind, ID: e.ID, Incident: e.Data.ID, URL: e.Data.HTMLURL,
	}
	if a.ID == "" {
		a.ID = m.Header.Get("X-Webhook-Id")
	}
	if e.Agent.Type == "user_reference" {
		if a.By = receive.OneLine(e.Agent.Summary); a.By == "" {
			a.By = e.Agent.ID
		}
	}
	return r.once(ctx, a)
}

// once tells of an event that is neither old nor told already.
func (r *Receiver) once(ctx context.Context, a Acknowledgement) receive.Verdict {
	begun, reason := r.past.begin(a)
	switch {
	case reason == receive.Busy:
		return receive.Fail(receive.Busy, errors.New("an earlier event of this incident is not done yet"))
	case reason != "":
		return receive.Ignore(reason, "nothing new")
	}
	told := false
	defer func() { begun.end(told) }() // a panic too
	if err := r.tell(ctx, a); err != nil {
		return receive.Fail(callbackWrong, err)
	}
	if err := r.past.keep(ctx, a); err != nil {
		return receive.Fail(receive.NotStored, err)
	}
	told = true
	r.door.Took(1)
	return receive.Verdict{Status: http.StatusOK, Say: "taken"}
}
