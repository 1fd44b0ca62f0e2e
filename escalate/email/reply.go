package email

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"unicode"

	"github.com/selfheal-go/selfheal/escalate"
)

// An Error is a reply of the server that is not the one that was hoped for.
type Error struct {
	Addr    string // the server
	Command string // what it replied to: "greeting", "MAIL FROM", "RCPT TO <…>", "DATA" …
	Code    int    // 4yz may pass, 5yz does not
	// Text is what the server said, in one line of at most 200 characters. It is
	// "" for a login, where some servers repeat what they were sent.
	Text string
}

// Error is one line: who replied what to what, and what to do next.
func (e *Error) Error() string {
	s := fmt.Sprintf("email %s: %s: %d", e.Addr, e.Command, e.Code)
	if e.Text != "" {
		s += " " + e.Text
	}
	return s + ": " + e.advice()
}

func (e *Error) advice() string {
	switch {
	case !e.permanent():
		return "it may pass"
	case strings.HasPrefix(e.Command, "AUTH"):
		return "check Username and Password"
	case strings.HasPrefix(e.Command, "RCPT"):
		return "check To"
	case e.Command == "MAIL FROM":
		return "check From, and that the server lets it send"
	}
	return "ask who runs the server"
}

func (e *Error) permanent() bool { return e.Code >= 500 && e.Code < 600 }

// rejection is an err of the connection, or the reply that it is.
func (d *delivery) rejection(command string, err error) error {
	if err == nil {
		return nil
	}
	var reply *textproto.Error
	if d.ctx.Err() != nil && !errors.As(err, &reply) {
		return failure(fmt.Errorf("email %s: %s: %w", d.addr, command, d.cause()), false)
	}
	if !errors.As(err, &reply) {
		return failure(fmt.Errorf("email %s: %s: %w", d.addr, command, err), false)
	}
	e := &Error{Addr: d.addr, Command: command, Code: reply.Code, Text: d.line(reply.Msg)}
	if strings.HasPrefix(command, "AUTH") {
		e.Text = ""
	}
	if strings.HasPrefix(command, "RCPT") && e.Code == 552 {
		e.Code = 452 // too many recipients: RFC 5321, section 4.5.3.1.10
	}
	return failure(e, e.permanent())
}

// refusals are the replies for several recipients, in one line.
type refusals []error

func (r refusals) Error() string {
	var b strings.Builder
	for i, err := range r {
		if i > 0 {
			b.WriteString("; ")
		}
		if i == 10 {
			fmt.Fprintf(&b, "and %d more", len(r)-i)
			break
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

func (r refusals) Unwrap() []error { return r }

func failure(err error, permanent bool) error {
	return &escalate.Failure{Err: err, Permanent: permanent}
}

// line is what a server said, fit for a log.
func (d *delivery) line(s string) string {
	if len(s) > 4000 {
		s = s[:4000]
	}
	if d.password != "" {
		s = strings.ReplaceAll(s, d.password, "***")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:199]) + "…"
	}
	return s
}
