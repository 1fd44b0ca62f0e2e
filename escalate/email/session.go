package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A delivery is one session with the server.
type delivery struct {
	*Notifier
	ctx    context.Context
	client *smtp.Client

	taken        []*mail.Address // recipients that have it
	later, never []error         // those that were put off, and those that were refused
	err          error           // why nobody has it
}

func (d *delivery) run(m escalate.Notification, to []*mail.Address) {
	if d.ctx.Err() != nil {
		d.err = failure(fmt.Errorf("email %s: not sent: %w", d.addr, d.cause()), false)
		return
	}
	raw, err := d.dial(d.ctx, "tcp", d.addr)
	if err != nil {
		d.err = d.rejection("connect", err)
		return
	}
	// Whatever blocks, blocks on the connection, and the end of ctx is a deadline
	// in the past for it.
	conn := &bounded{Conn: raw, left: mostReplies}
	defer conn.Close()
	ended := make(chan struct{})
	stop := context.AfterFunc(d.ctx, func() {
		defer close(ended)
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	release := func() {
		if !stop() {
			<-ended
		}
	}
	if d.err = d.talk(conn, m, to); d.err != nil {
		release()
		return
	}
	release()
	_ = conn.SetDeadline(time.Now().Add(goodbye))
	_ = d.client.Quit() // the mail is theirs, whatever they say now
}

// cause is why ctx ended.
func (d *delivery) cause() error { return context.Cause(d.ctx) }

func (d *delivery) talk(conn net.Conn, m escalate.Notification, to []*mail.Address) error {
	if d.atOnce {
		secure := tls.Client(conn, d.tls)
		if err := secure.HandshakeContext(d.ctx); err != nil {
			return d.rejection("TLS", err)
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, d.host)
	if err != nil {
		return d.rejection("greeting", err)
	}
	d.client = c
	if err := c.Hello(d.hello); err != nil {
		return d.rejection("EHLO", err)
	}
	if d.startTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return failure(fmt.Errorf("email %s: the server does not offer STARTTLS: use its port for TLS, or TLSNone if nobody is on the way", d.addr), true)
		}
		if err := c.StartTLS(d.tls); err != nil {
			return d.rejection("STARTTLS", err)
		}
	}
	if err := d.login(); err != nil {
		return err
	}
	return d.send(m, to)
}

func (d *delivery) login() error {
	if d.username == "" {
		return nil
	}
	ok, offered := d.client.Extension("AUTH")
	a := &login{username: d.username, password: d.password}
	switch {
	case ok && offers(offered, "PLAIN"):
		a.plain = true
	case ok && offers(offered, "LOGIN"):
	default:
		return failure(fmt.Errorf("email %s: the server offers neither AUTH PLAIN nor LOGIN (%q): remove Username and Password, or use another server", d.addr, d.line(offered)), true)
	}
	return d.rejection("AUTH "+a.name(), d.client.Auth(a))
}

func offers(list, name string) bool {
	for _, f := range strings.Fields(list) {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return false
}

func (d *delivery) send(m escalate.Notification, to []*mail.Address) error {
	c := d.client
	most := 0
	if ok, size := c.Extension("SIZE"); ok {
		most, _ = strconv.Atoi(size)
	}
	text := d.compose(m, most)
	// Not c.Mail: it asks for SMTPUTF8 where it is offered, and then a server
	// behind this one that lacks it may bounce a mail that does not need it.
	if err := d.command("MAIL FROM:<%s>", d.from.Address); err != nil {
		return d.rejection("MAIL FROM", err)
	}
	for _, a := range to {
		err := d.rejection("RCPT TO <"+a.Address+">", c.Rcpt(a.Address))
		var reply *Error
		switch {
		case err == nil:
			d.taken = append(d.taken, a)
		case !errors.As(err, &reply) || reply.Code == 421: // the session is over
			return err
		case reply.permanent():
			d.never = append(d.never, reply)
		default:
			d.later = append(d.later, reply)
		}
	}
	if len(d.taken) == 0 && len(to) > 0 {
		// The mail goes out once for all who were put off.
		permanent := len(d.later) == 0 && len(to) == len(d.to)
		if len(d.later) == 0 && !permanent {
			return nil // others have it already, from an earlier try
		}
		return failure(fmt.Errorf("email %s: no recipient was taken: %w", d.addr, refusals(append(d.later, d.never...))), permanent)
	}
	if len(to) == 0 {
		return nil
	}
	w, err := c.Data()
	if err != nil {
		return d.rejection("DATA", err)
	}
	if _, err := w.Write(text); err != nil {
		return d.rejection("DATA", err)
	}
	// If this fails without a reply the mail may be delivered all the same.
	return d.rejection("the end of DATA", w.Close())
}

// command sends a line to which the reply is 250.
func (d *delivery) command(format string, args ...any) error {
	t := d.client.Text
	id, err := t.Cmd(format, args...)
	if err != nil {
		return err
	}
	t.StartResponse(id)
	defer t.EndResponse(id)
	_, _, err = t.ReadResponse(250)
	return err
}

// login is AUTH PLAIN (RFC 4616) or LOGIN, which was never more than a draft. Those
// of net/smtp would also send a password in the clear to a server on this machine.
type login struct {
	username, password string
	plain              bool
	step               int
}

func (a *login) name() string {
	if a.plain {
		return "PLAIN"
	}
	return "LOGIN"
}

// Start begins with the mechanism, under TLS only.
func (a *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("the connection is not encrypted: set TLS to TLSRequired")
	}
	if a.plain {
		return a.name(), []byte("\x00" + a.username + "\x00" + a.password), nil
	}
	return a.name(), nil, nil
}

// Next answers what the server asks: the words of LOGIN differ, their order does
// not.
func (a *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.step++
	switch {
	case !a.plain && a.step == 1:
		return []byte(a.username), nil
	case !a.plain && a.step == 2:
		return []byte(a.password), nil
	}
	return nil, errors.New("the server asks for more than a name and a password: use another server")
}

// mostReplies bounds what a server may say in one session, certificates included.
// net/smtp would read a line without end.
const mostReplies = 1 << 20

type bounded struct {
	net.Conn
	left int
}

// Read fails once the server has said too much.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the server has said more than %d bytes: is it a mail server?", mostReplies)
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
