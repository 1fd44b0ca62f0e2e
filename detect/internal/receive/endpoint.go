package receive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// DefaultMaxBody bounds a body in bytes where MaxBody is 0.
const DefaultMaxBody = 4 << 20

const (
	// readTime bounds how long a sender may take over its body.
	readTime = 10 * time.Second
	// workTime bounds everything else. PagerDuty waits 5 s.
	workTime = 4 * time.Second
)

// Reasons that every receiver counts.
const (
	BadMethod    = "method"         // neither POST nor what else the sender uses
	TooLarge     = "too large"      // longer than MaxBody
	Unreadable   = "unreadable"     // it ended early, or took too long
	Encoded      = "encoded"        // compressed, which none of the senders does
	NoProof      = "no proof"       // the header or certificate is missing
	WrongProof   = "wrong proof"    // it is there and does not hold
	Replayed     = "outside window" // what is signed is too old, or of the future
	Malformed    = "malformed"      // no JSON, or of another shape
	NoAlerts     = "no alerts"      // nothing in it that this receiver knows
	OtherVersion = "other version"  // of the sender's format
	Unidentified = "unidentified"   // an alert without name, labels or identity
	Undated      = "undated"        // an alert that says not since when
	OtherStatus  = "other status"   // neither firing nor resolved
	Older        = "older"          // than what is known
	NoRoom       = "no room"        // more alerts than MaxAlerts
	NotStored    = "not stored"     // the Store failed
	Busy         = "busy"           // earlier posts are not done yet
	Panicked     = "panic"          // code that was given to the receiver
)

// A Message is a request whose body was read.
type Message struct {
	Header http.Header
	Body   []byte
	Came   time.Time
	Signed time.Time // when it was signed, where the signature says so
}

// A Verdict is what a request is answered.
type Verdict struct {
	Status int
	Reason string // of those above, or of the receiver; "" for what was taken
	Say    string // one line for the sender
	Err    error  // for the log
}

// Refuse turns a request away.
func Refuse(status int, reason, say string) *Verdict {
	return &Verdict{Status: status, Reason: reason, Say: say}
}

// Ignore answers an authentic body that is of no use.
func Ignore(reason, say string) Verdict {
	return Verdict{Status: http.StatusOK, Reason: reason, Say: say}
}

// Fail asks the sender to try again.
func Fail(reason string, err error) Verdict {
	return Verdict{Status: http.StatusServiceUnavailable, Reason: reason, Say: "not taken, send it again", Err: err}
}

// An Endpoint is the door of a receiver. It is safe for concurrent use.
type Endpoint struct {
	Kind    string   // "alertmanager", for errors and logs
	Methods []string // nil: POST
	MaxBody int64
	Log     *slog.Logger
	// Challenge is the scheme that a 401 names.
	Challenge string

	// Admit looks at the headers, before the body is read; nil admits.
	Admit func(*http.Request) *Verdict
	// Prove looks at the body, before anything parses it; nil believes.
	Prove func(*Message) *Verdict
	// Handle deals with what was proved, before ctx ends.
	Handle func(ctx context.Context, m *Message) Verdict

	counts counts
}

// Check returns what is wrong with the bounds, and fills in defaults.
func (e *Endpoint) Check() error {
	if e.MaxBody < 0 {
		return fmt.Errorf("detect/%s: MaxBody is %d: use a number of bytes, or 0 for %d", e.Kind, e.MaxBody, DefaultMaxBody)
	}
	if e.MaxBody == 0 {
		e.MaxBody = DefaultMaxBody
	}
	if e.Methods == nil {
		e.Methods = []string{http.MethodPost}
	}
	if e.Log == nil {
		e.Log = slog.Default()
	}
	return nil
}

// ServeHTTP answers one request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := e.answer(w, r)
	e.Count(v.Status, v.Reason, v.Err)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case v.Status == http.StatusMethodNotAllowed:
		h.Set("Allow", strings.Join(e.Methods, ", "))
	case v.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", cmp.Or(e.Challenge, "Signature")+` realm="alerts"`)
	case v.Status >= 500:
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(v.Status)
	io.WriteString(w, v.Say+"\n")
}

func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request) (v Verdict) {
	defer func() {
		if x := recover(); x != nil {
			v = Fail(Panicked, fmt.Errorf("panic: %v\n%s", x, debug.Stack()))
			v.Status = http.StatusInternalServerError
		}
	}()
	e.counts.request()
	if !slices.Contains(e.Methods, r.Method) {
		return *Refuse(http.StatusMethodNotAllowed, BadMethod, "use "+strings.Join(e.Methods, " or "))
	}
	if e.Admit != nil {
		if no := e.Admit(r); no != nil {
			return *no
		}
	}
	if c := r.Header.Get("Content-Encoding"); c != "" && c != "identity" {
		return *Refuse(http.StatusUnsupportedMediaType, Encoded, "send the body without Content-Encoding")
	}
	body, no := e.read(w, r)
	if no != nil {
		return *no
	}
	m := &Message{Header: r.Header, Body: body, Came: time.Now()}
	if e.Prove != nil {
		if no := e.Prove(m); no != nil {
			return *no
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTime)
	defer cancel()
	return e.Handle(ctx, m)
}

// read reads the body once, bounded in size and time.
func (e *Endpoint) read(w http.ResponseWriter, r *http.Request) ([]byte, *Verdict) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > e.MaxBody {
		return nil, Refuse(http.StatusRequestEntityTooLarge, TooLarge, fmt.Sprintf("the body is longer than %d bytes", e.MaxBody))
	}
	// A sender that dribbles must not hold a goroutine for ever. The server sets
	// the deadline of the next request itself; a recorder has none.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 {
		b.Grow(int(min(n, 64<<10)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, e.MaxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, Refuse(http.StatusRequestEntityTooLarge, TooLarge, fmt.Sprintf("the body is longer than %d bytes", e.MaxBody))
	case err != nil:
		no := Refuse(http.StatusBadRequest, Unreadable, "the body could not be read")
		no.Err = err
		return nil, no
	}
	return b.Bytes(), nil
}

// Count counts an answer, and logs the first of its kind.
func (e *Endpoint) Count(status int, reason string, err error) {
	if reason == "" || !e.counts.count(status, reason) && status < 500 {
		return
	}
	attrs := []slog.Attr{slog.String("receiver", e.Kind), slog.String("reason", reason)}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	said := "selfheal: a receiver ignored what was sent; more of these are only counted, see Stats"
	switch {
	case status >= 500:
		said = "selfheal: a receiver could not take what was sent"
	case status >= 400:
		said = "selfheal: a receiver refused what was sent; more of these are only counted, see Stats"
	}
	e.Log.LogAttrs(context.Background(), slog.LevelWarn, said, attrs...)
}

// Took counts what was taken.
func (e *Endpoint) Took(n int) { e.counts.took(n) }

// Stats is what was counted.
func (e *Endpoint) Stats() detect.ReceiverStats { return e.counts.stats() }
