package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
)

const (
	mostSubject = 200      // characters
	mostText    = 64 << 10 // bytes of the text, before it is encoded
	mostLinks   = 20
	// foldAt is where a line of the header is folded; RFC 5322 advises 78, and
	// forbids more than 998.
	foldAt = 76
)

// compose is the mail. most is what the server takes in bytes, 0 for any: the
// text is cut until it fits.
func (s *settings) compose(m escalate.Notification, most int) []byte {
	text := bodyOf(m)
	for limit := mostText; ; limit /= 2 {
		mail := s.write(m, cut(text, limit))
		if most <= 0 || len(mail) <= most || limit < 256 {
			return mail
		}
	}
}

func (s *settings) write(m escalate.Notification, text string) []byte {
	var b bytes.Buffer
	header := func(name, value string) { b.WriteString(fold(name + ": " + oneLine(value))) }
	domain := s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	root := id("root", m.DedupKey, domain)
	to := make([]string, len(s.to))
	for i, a := range s.to {
		to[i] = a.String()
	}
	boundary := "=_" + hash("part", m.DedupKey, m.ID)

	header("From", s.from.String())
	header("To", strings.Join(to, ", "))
	header("Subject", word(cutRunes(oneLine(m.Title()), mostSubject)))
	header("Date", time.Now().Format(time.RFC1123Z))
	header("Message-ID", id("message", m.DedupKey+"\x00"+m.ID, domain))
	header("In-Reply-To", root)
	header("References", root)
	header("Auto-Submitted", "auto-generated")
	header("X-Auto-Response-Suppress", "All") // the same, for Exchange
	header("MIME-Version", "1.0")
	header("Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
	part := func(kind, body string) {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary, kind)
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write([]byte(body)) // a buffer takes everything
		_ = w.Close()
	}
	part("text/plain", text)
	part("text/html", `<pre style="font-family:monospace;white-space:pre-wrap">`+anchors(text)+"</pre>")
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// bodyOf is the text of the notification, and its links.
func bodyOf(m escalate.Notification) string {
	var b strings.Builder
	b.WriteString(m.Text())
	if len(m.Links) > 0 {
		b.WriteString("\n")
	}
	for i, l := range m.Links {
		if i == mostLinks {
			fmt.Fprintf(&b, "and %d more links\n", len(m.Links)-mostLinks)
			break
		}
		fmt.Fprintf(&b, "%s:\n%s\n", cutRunes(oneLine(l.Text), mostSubject), cutRunes(oneLine(l.Href), 2000))
	}
	return clean(b.String())
}

// anchors is the text as HTML, in which addresses can be clicked.
func anchors(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		i := strings.Index(text, "http")
		if i < 0 {
			break
		}
		b.WriteString(html.EscapeString(text[:i]))
		text = text[i:]
		end := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("<>\"'`\\", r) })
		if end < 0 {
			end = len(text)
		}
		address := strings.TrimRight(text[:end], ".,;:!?)")
		if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
			e := html.EscapeString(address)
			b.WriteString(`<a href="` + e + `">` + e + `</a>`)
		} else {
			address = text[:len("http")]
			b.WriteString(address)
		}
		text = text[len(address):]
	}
	b.WriteString(html.EscapeString(text))
	return b.String()
}

// id is an identifier of RFC 5322 that is always the same for the same words.
func id(kind, words, domain string) string {
	return "<" + hash(kind, words) + ".selfheal@" + domain + ">"
}

func hash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// word encodes a header's text (RFC 2047) if it is not plain, or if it would be
// read as encoded.
func word(s string) string {
	plain := !strings.Contains(s, "=?")
	for f := range strings.FieldsSeq(s) {
		plain = plain && len(f) < foldAt-len("Subject: ")
	}
	for _, r := range s {
		plain = plain && r >= ' ' && r < 0x7f
	}
	if plain {
		return s
	}
	const begin, end, most = "=?utf-8?q?", "?=", foldAt - len("Subject: ")
	var b strings.Builder
	line := 0
	for _, r := range s {
		code := encode(r)
		if line > 0 && line+len(code)+len(end) > most {
			b.WriteString(end + " ")
			line = 0
		}
		if line == 0 {
			b.WriteString(begin)
			line = len(begin)
		}
		b.WriteString(code)
		line += len(code)
	}
	if line > 0 {
		b.WriteString(end)
	}
	return b.String()
}

func encode(r rune) string {
	switch {
	case r == ' ':
		return "_"
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}

// fold parts a line of the header at blanks.
func fold(line string) string {
	var b strings.Builder
	for len(line) > foldAt {
		i := strings.LastIndexByte(line[:foldAt], ' ')
		if name := strings.IndexByte(line, ':'); b.Len() == 0 && i == name+1 || i <= 0 {
			next := strings.IndexByte(line[foldAt:], ' ')
			if next < 0 {
				break
			}
			i = foldAt + next
		}
		b.WriteString(line[:i] + "\r\n")
		line = line[i:]
	}
	return b.String() + line + "\r\n"
}

// oneLine is a text that cannot begin a line of its own.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(clean(s), func(r rune) bool { return r == ' ' || r == '\n' }), " ")
}

// clean is valid UTF-8 without control characters but line feeds.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func cutRunes(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "\n[… cut: the rest is on the console …]\n"
}
