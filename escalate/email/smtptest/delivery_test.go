package smtptest

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/email"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		p := open(t, false)
		return selfhealtest.NotifierFixture{
			Notifier: p.notifier(t, nil),
			Messages: p.mails,
			Fail:     func() { p.fails("MAIL", reply(451, "not now: "+password)) },
			Hang:     func() { p.mu.Lock(); p.hangs = true; p.mu.Unlock() },
			Secrets:  []string{password},
			Patience: 5 * time.Second,
		}
	})
}

func TestDelivery(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/at once %v", mechanism, atOnce), func(t *testing.T) {
				t.Parallel()
				p := open(t, atOnce)
				p.mechanism = []string{mechanism}
				n := p.notifier(t, func(c *email.Config) {
					c.To = append(c.To, "team@example.com")
					if atOnce {
						c.TLS = email.TLSAtOnce
					}
				})
				require.NoError(t, n.Notify(t.Context(), notice("a", "1")))
				require.NoError(t, n.Notify(t.Context(), notice("a", "2")))
				require.Equal(t, 2, p.mails())
				require.Len(t, p.boxes["oncall@example.com"], 2)
				require.Len(t, p.boxes["team@example.com"], 2)
				for _, m := range p.boxes["team@example.com"] {
					require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
					body, err := io.ReadAll(m.Body)
					require.NoError(t, err)
					require.Contains(t, string(body), "orders/queue-depth")
				}
			})
		}
	}
}

func TestTheServerIsWhoItSaysOrGetsNothing(t *testing.T) {
	p := open(t, false)
	err := p.notifier(t, func(c *email.Config) { c.RootCAs = x509.NewCertPool() }).Notify(t.Context(), notice("a", "1"))
	require.ErrorContains(t, err, "certificate")
	require.False(t, escalate.IsPermanent(err))
	err = p.notifier(t, func(c *email.Config) { c.Password = "wrong-canary" }).Notify(t.Context(), notice("a", "1"))
	require.True(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "535: check Username and Password")
	require.NotContains(t, err.Error(), "canary")
	require.Zero(t, p.mails())
}

// The fault matrix: whatever a server does, a notice is delivered once under its
// id when the server is well again, in order, or is refused for good.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		command   string
		err       error
		permanent bool
	}{
		"greeting 421": {"greeting", reply(421, "too busy"), false},
		"greeting 554": {"greeting", reply(554, "not from you"), true},
		"AUTH 454":     {"AUTH", reply(454, "no directory"), false},
		"MAIL 451":     {"MAIL", reply(451, "greylisted"), false},
		"MAIL 550":     {"MAIL", reply(550, "not yours"), true},
		"RCPT 451":     {"oncall@example.com", reply(451, "greylisted"), false},
		"RCPT 450":     {"oncall@example.com", reply(450, "mailbox busy"), false},
		"RCPT 550":     {"oncall@example.com", reply(550, "no such user"), true},
		"DATA 451":     {"DATA", reply(451, "local error"), false},
		"DATA 452":     {"DATA", reply(452, "disk full"), false},
		"DATA 550":     {"DATA", reply(550, "spam"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, false)
			n := p.notifier(t, nil)
			p.fails(c.command, c.err)
			for range 3 {
				err := n.Notify(t.Context(), notice("a", "1"))
				require.Error(t, err)
				require.Equal(t, c.permanent, escalate.IsPermanent(err), "%v", err)
				require.NotContains(t, err.Error(), "canary")
			}
			require.Zero(t, p.mails())
			p.fails(c.command, nil)
			for _, event := range []string{"1", "2"} {
				require.NoError(t, n.Notify(t.Context(), notice("a", event)))
			}
			require.Equal(t, 2, p.mails())
			require.Equal(t, 2, p.tries, "no second copy")
		})
	}
}

// A mail that was taken but not acknowledged comes a second time as the same one.
func TestALostAcknowledgement(t *testing.T) {
	p := open(t, false)
	broken := proxy(t, p.addr)
	p.taken = broken.cut
	n := p.notifier(t, func(c *email.Config) { c.Addr = broken.addr })
	err := n.Notify(t.Context(), notice("a", "1"))
	require.Error(t, err)
	require.False(t, escalate.IsPermanent(err))
	require.Equal(t, 1, p.mails(), "the server has it")
	p.mu.Lock()
	p.taken = nil
	p.mu.Unlock()
	require.NoError(t, n.Notify(t.Context(), notice("a", "1")))
	require.Equal(t, 1, p.mails(), "one mail")
	p.mu.Lock()
	require.Equal(t, 2, p.tries, "in two copies")
	p.mu.Unlock()
}

func TestSomeRecipients(t *testing.T) {
	p := open(t, false)
	n := p.notifier(t, func(c *email.Config) {
		c.To = []string{"a@example.com", "slow@example.com", "gone@example.com"}
		c.Logger = slog.New(slog.DiscardHandler)
	})
	p.fails("slow@example.com", reply(451, "greylisted"))
	p.fails("gone@example.com", reply(550, "no such user"))
	err := n.Notify(t.Context(), notice("a", "1"))
	require.ErrorContains(t, err, "1 of 3 recipients have it")
	require.False(t, escalate.IsPermanent(err))
	require.Error(t, n.Notify(t.Context(), notice("a", "1")))
	p.fails("slow@example.com", nil)
	require.NoError(t, n.Notify(t.Context(), notice("a", "1")))
	require.Equal(t, 1, p.mails())
	require.Equal(t, 2, p.tries, "one for each of the two")
	require.Len(t, p.boxes["slow@example.com"], 1)
	require.Empty(t, p.boxes["gone@example.com"])
}

func TestABigNoticeFits(t *testing.T) {
	p := open(t, false)
	m := notice("a", "1")
	for i := range 30 {
		m.Links = append(m.Links, escalate.Link{Text: fmt.Sprint(i), Href: "https://host/" + string(make([]byte, 5000))})
		m.Incident.Symptoms = append(m.Incident.Symptoms, string(make([]rune, 5000)))
	}
	require.NoError(t, p.notifier(t, nil).Notify(t.Context(), m))
	require.Equal(t, 1, p.mails())
}

func TestSlow(t *testing.T) {
	p := open(t, false)
	p.mu.Lock()
	p.hangs = true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := p.notifier(t, nil).Notify(ctx, notice("a", "1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, escalate.IsPermanent(err))
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p := open(t, false)
	err = p.notifier(t, func(c *email.Config) { c.Addr = l.Addr().String() }).Notify(t.Context(), notice("a", "1"))
	require.Error(t, err)
	require.False(t, escalate.IsPermanent(err))
	require.NoError(t, p.notifier(t, nil).Notify(t.Context(), notice("a", "1")))
}
