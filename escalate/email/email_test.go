package email

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

const password = "hunter2-canary/+"

func (s *server) config(change ...func(*Config)) Config {
	c := Config{
		Addr: s.addr, From: "Orders <healing@example.com>", To: []string{"oncall@example.com"},
		Username: "healing", Password: password, RootCAs: s.pool, Hello: "test.example", Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func (s *server) notifier(t *testing.T, change ...func(*Config)) *Notifier {
	t.Helper()
	n, err := New(s.config(change...))
	require.NoError(t, err)
	return n
}

func to(list ...string) func(*Config) { return func(c *Config) { c.To = list } }

func sick(id string) escalate.Notification {
	return escalate.Notification{
		ID: id, DedupKey: "orders-7", At: time.Now(),
		Incident: escalate.Incident{ID: "orders-7", Watch: "orders/queue-depth", Finding: detect.Finding{Key: "eu", Summary: "9000 is above 5000"}, Opened: time.Now()},
	}
}

// refused checks what an error says of its future, and that it tells no secret.
func refused(t *testing.T, err error, permanent bool, words ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, permanent, escalate.IsPermanent(err), "%v", err)
	for _, w := range words {
		require.ErrorContains(t, err, w)
	}
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	require.NotContains(t, text, password)
	require.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte("\x00healing\x00"+password)))
	require.NotContains(t, err.Error(), "\n")
}

func TestDelivery(t *testing.T) {
	for _, mechanism := range []string{"AUTH PLAIN LOGIN", "AUTH LOGIN", "AUTH GSSAPI PLAIN"} {
		s := newServer(t)
		s.set(func() { s.offers = []string{mechanism, "8BITMIME", "SMTPUTF8", "SIZE 0"} })
		require.NoError(t, s.notifier(t, to("oncall@example.com", "Team <team@example.com>")).Notify(t.Context(), sick("n1")))
		m := s.got()
		require.Len(t, m, 1)
		require.True(t, m[0].secure)
		require.Equal(t, "MAIL FROM:<healing@example.com>", m[0].from)
		require.Equal(t, []string{"oncall@example.com", "team@example.com"}, m[0].to)
		require.Contains(t, s.said(), "EHLO test.example\nSTARTTLS\nEHLO test.example\nAUTH ")
		require.Contains(t, s.said(), "\nQUIT")
		if mechanism == "AUTH LOGIN" {
			require.Contains(t, s.said(), base64.StdEncoding.EncodeToString([]byte(password)))
		} else {
			require.Contains(t, s.said(), base64.StdEncoding.EncodeToString([]byte("\x00healing\x00"+password)))
		}
	}
}

func TestTLSPolicy(t *testing.T) {
	s := newServer(t)
	s.set(func() { s.atOnce = true })
	require.NoError(t, s.notifier(t, func(c *Config) { c.TLS = TLSAtOnce }).Notify(t.Context(), sick("n1")))
	require.True(t, s.got()[0].secure)
	refused(t, s.notifier(t, func(c *Config) { c.TLS, c.RootCAs = TLSAtOnce, nil }).Notify(t.Context(), sick("n1")), false, "certificate")

	s = newServer(t)
	refused(t, s.notifier(t, func(c *Config) { c.RootCAs = nil }).Notify(t.Context(), sick("n1")), false, "certificate")
	require.NotContains(t, s.said(), "AUTH")
	s.say("STARTTLS", "454 not now")
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), false, "STARTTLS: 454 not now: it may pass")
	s.say("STARTTLS", "502 no")
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), true)

	// Whoever is on the way can take the offer away; then nothing is sent.
	s.say("EHLO", "250 test")
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), true, "does not offer STARTTLS")
	require.NotContains(t, s.said(), "AUTH")
	require.NotContains(t, s.said(), "MAIL")
	require.Empty(t, s.got())

	s = newServer(t)
	require.NoError(t, s.notifier(t, func(c *Config) { c.TLS, c.RootCAs, c.Username, c.Password = TLSNone, nil, "", "" }).Notify(t.Context(), sick("n1")))
	require.False(t, s.got()[0].secure)
}

func TestRepliesAreFinalOrNot(t *testing.T) {
	for _, c := range []struct {
		command, reply string
		permanent      bool
		words          string
	}{
		{"(greeting)", "421 busy", false, "greeting: 421 busy: it may pass"},
		{"(greeting)", "554 go away", true, "greeting: 554 go away: ask who runs the server"},
		{"(greeting)", "close", false, "greeting"},
		{"EHLO", "close", false, "EHLO"},
		{"AUTH", "535 wrong: " + password, true, "AUTH PLAIN: 535: check Username and Password"},
		{"AUTH", "454 temporary failure", false, "AUTH PLAIN: 454: it may pass"},
		{"MAIL", "451 try later", false, "MAIL FROM: 451 try later"},
		{"MAIL", "550 you may not send as this", true, "MAIL FROM: 550 you may not send as this: check From"},
		{"RCPT", "451 greylisted", false, "RCPT TO <oncall@example.com>: 451 greylisted: it may pass"},
		{"RCPT", "550 no such user", true, "RCPT TO <oncall@example.com>: 550 no such user: check To"},
		{"RCPT", "552 too many recipients", false, "452 too many"},
		{"RCPT", "421 bye", false, "421 bye"},
		{"RCPT", "close", false, "RCPT TO"},
		{"DATA", "451 later", false, "DATA: 451 later"},
		{"DATA", "554 no", true, "DATA: 554 no"},
		{"(end)", "451 local error", false, "the end of DATA: 451 local error"},
		{"(end)", "550 spam \x1b[2J\u202e " + password, true, "the end of DATA: 550 spam [2J ***: ask"},
		{"(end)", "close", false, "the end of DATA"},
	} {
		t.Run(c.command+" "+c.reply[:3], func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.say(c.command, c.reply)
			n := s.notifier(t)
			err := n.Notify(t.Context(), sick("n1"))
			refused(t, err, c.permanent, c.words)
			var reply *Error
			require.Equal(t, c.reply != "close", errors.As(err, &reply))
			require.Empty(t, n.told)
		})
	}
}

// A mail that broke off after its last line may be delivered: the next try is the
// same mail.
func TestOneMessageIDForAllTries(t *testing.T) {
	s := newServer(t)
	s.say("(end)", "close", "451 no", "250 ok")
	n := s.notifier(t)
	refused(t, n.Notify(t.Context(), sick("n1")), false)
	refused(t, n.Notify(t.Context(), sick("n1")), false)
	require.NoError(t, n.Notify(t.Context(), sick("n1")))
	require.NoError(t, n.Notify(t.Context(), sick("n2")))
	other := sick("n1")
	other.DedupKey = "orders-8"
	require.NoError(t, n.Notify(t.Context(), other))
	ids, roots := map[string]int{}, map[string]int{}
	for _, m := range s.got() {
		h := parse(t, m.text).Header
		ids[h.Get("Message-Id")]++
		roots[h.Get("References")]++
		require.Equal(t, h.Get("References"), h.Get("In-Reply-To"))
		require.Regexp(t, `^<[0-9a-f]{32}\.selfheal@example\.com>$`, h.Get("Message-Id"))
	}
	require.Len(t, s.got(), 4)
	require.Len(t, ids, 3)
	require.Len(t, roots, 2, "one thread for an incident")
	for root := range roots {
		require.NotContains(t, ids, root)
	}
}

func TestSomeRecipientsAreRefused(t *testing.T) {
	s := newServer(t)
	s.say("RCPT TO:<gone@example.com>", "550 no such user")
	s.say("RCPT TO:<slow@example.com>", "451 greylisted", "451 greylisted", "250 ok")
	var log bytes.Buffer
	n := s.notifier(t, to("a@example.com", "gone@example.com", "slow@example.com", "b@example.com"), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	err := n.Notify(t.Context(), sick("n1"))
	refused(t, err, false, "2 of 4 recipients have it", "slow@example.com", "gone@example.com", "; ")
	require.Equal(t, []string{"a@example.com", "b@example.com"}, s.got()[0].to)
	refused(t, n.Notify(t.Context(), sick("n1")), false, "no recipient was taken")
	require.Len(t, s.got(), 1, "those who have it get no second copy")
	require.Empty(t, log.String())
	require.NoError(t, n.Notify(t.Context(), sick("n1")))
	require.Equal(t, []string{"slow@example.com"}, s.got()[1].to)
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "gone@example.com>: 550 no such user")
	require.Empty(t, n.told)
	require.Empty(t, n.order)

	// One who was put off first and is refused in the end takes nothing from the others.
	s.say("RCPT TO:<slow@example.com>", "451 greylisted", "550 no")
	refused(t, n.Notify(t.Context(), sick("n2")), false)
	require.NoError(t, n.Notify(t.Context(), sick("n2")))
	require.Len(t, s.got(), 3)

	s.say("RCPT", "550 no")
	s.say("RCPT TO:<slow@example.com>")
	for _, a := range []string{"a", "b"} {
		s.say("RCPT TO:<"+a+"@example.com>", "550 no")
	}
	s.say("RCPT TO:<slow@example.com>", "550 no")
	refused(t, n.Notify(t.Context(), sick("n3")), true, "no recipient was taken")
}

func TestWhoHasItIsRememberedWithinBounds(t *testing.T) {
	n := newServer(t).notifier(t)
	for i := range 3 * mostTold {
		n.remember(fmt.Sprint(i), n.to)
		n.remember(fmt.Sprint(i), n.to)
	}
	require.Len(t, n.told, mostTold)
	require.Len(t, n.order, mostTold)
	n.forget("0")
	n.forget(fmt.Sprint(3*mostTold - 1))
	require.Len(t, n.told, mostTold-1)
	require.Len(t, n.order, mostTold-1)
}

func TestLogin(t *testing.T) {
	s := newServer(t)
	s.set(func() { s.offers = nil })
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), true, "offers neither AUTH PLAIN nor LOGIN")
	s.set(func() { s.offers = []string{"AUTH CRAM-MD5 LOGINX"} })
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), true, "LOGINX")
	require.NotContains(t, s.said(), "AUTH")
	// A server that asks on and on, or not in base64.
	s.set(func() { s.offers = []string{"AUTH LOGIN"} })
	s.say("AUTH", "334 VXNlcm5hbWU6")
	s.say(base64.StdEncoding.EncodeToString([]byte("healing")), "334 UGFzc3dvcmQ6")
	s.say(base64.StdEncoding.EncodeToString([]byte(password)), "334 TW9yZTo=")
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), false, "asks for more")
	s.say("AUTH", "334 Username:")
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), false)
}

func TestAServerThatTalksTooMuch(t *testing.T) {
	s := newServer(t)
	s.say("(greeting)", "220 "+strings.Repeat("x", 2*mostReplies))
	refused(t, s.notifier(t).Notify(t.Context(), sick("n1")), false, "has said more than")
	s.say("(greeting)", "554 "+strings.Repeat("x", 20_000))
	err := s.notifier(t).Notify(t.Context(), sick("n1"))
	refused(t, err, true)
	require.Less(t, len(err.Error()), 400)
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newServer(t).config()
	c.Addr = l.Addr().String()
	require.NoError(t, l.Close())
	n, err := New(c)
	require.NoError(t, err)
	refused(t, n.Notify(t.Context(), sick("n1")), false, "connect")
	n.dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "smtp.example.com", IsNotFound: true}
	}
	refused(t, n.Notify(t.Context(), sick("n1")), false, "no such host")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the supervisor stops"))
	refused(t, n.Notify(ctx, sick("n1")), false, "the supervisor stops")
	refused(t, (*Notifier)(nil).Notify(t.Context(), sick("n1")), true, "made by New")
	refused(t, new(Notifier).Notify(t.Context(), sick("n1")), true, "made by New")
}

func TestNothingSecretIsPrinted(t *testing.T) {
	s := newServer(t)
	n := s.notifier(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "notifier", n, "config", s.config())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %+v", n, n, n, n, s.config(), s.config())+log.String(), password)
	require.Equal(t, "email to 1 by "+s.addr, fmt.Sprint(n))
	require.Equal(t, "email", (*Notifier)(nil).String())
}
