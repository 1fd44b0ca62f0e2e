package email

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

// parse reads a mail as a reader of mail does, and fails if it is not one.
func parse(t *testing.T, text string) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	require.NoError(t, err)
	return m
}

func parts(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	r := multipart.NewReader(m.Body, params["boundary"])
	found := map[string]string{}
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return found
		}
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", p.Header.Get("Content-Transfer-Encoding"))
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		require.NoError(t, err)
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, "utf-8", params["charset"])
		found[kind] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
}

func plainSettings(t testing.TB) *settings {
	t.Helper()
	s, err := Config{Addr: "h:25", From: "Bestellungen ü <healing@example.com>", To: []string{"oncall@example.com", `"Ops, Team" <team@example.com>`}}.read()
	require.NoError(t, err)
	return s
}

func TestMessage(t *testing.T) {
	m := sick("n1")
	m.Incident.Runbook = "https://runbooks.example/queue-depth?a=1&b=2."
	m.Links = []escalate.Link{{Text: "Acknowledge", Href: "https://console.example/ack?sig=abc&id=7"}, {Text: "odd", Href: "javascript:alert(1)"}}
	m.Note = "nobody acknowledged this before"
	msg := parse(t, string(plainSettings(t).compose(m, 0)))
	h := msg.Header
	require.Equal(t, "auto-generated", h.Get("Auto-Submitted"))
	require.Equal(t, "1.0", h.Get("Mime-Version"))
	require.Equal(t, "orders/queue-depth[eu]: 9000 is above 5000", h.Get("Subject"))
	from, err := h.AddressList("From")
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Name: "Bestellungen ü", Address: "healing@example.com"}}, from)
	to, err := h.AddressList("To")
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Address: "oncall@example.com"}, {Name: "Ops, Team", Address: "team@example.com"}}, to)
	date, err := h.Date()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), date, time.Hour)

	p := parts(t, msg)
	require.Contains(t, p["text/plain"], m.Text())
	require.Contains(t, p["text/plain"], "\nAcknowledge:\nhttps://console.example/ack?sig=abc&id=7\n")
	require.Contains(t, p["text/html"], `<a href="https://console.example/ack?sig=abc&amp;id=7">`)
	require.Contains(t, p["text/html"], `<a href="https://runbooks.example/queue-depth?a=1&amp;b=2">`)
	require.NotContains(t, p["text/html"], `href="javascript`)
}

func TestSubjects(t *testing.T) {
	for _, summary := range []string{
		"plain", "äöü€𝄞 " + strings.Repeat("é", 300), strings.Repeat("x", 500), strings.Repeat("word ", 60), "=?utf-8?q?=0D=0ABcc:_x?=", "two\r\nBcc: everyone@example.com", "a\x00b\x1b[2J\u2028c", "\xff\xfe", "tab\tand  blanks", strings.Repeat("a", 65) + " b",
	} {
		m := sick("n1")
		m.Incident.Finding.Summary = summary
		raw := string(plainSettings(t).compose(m, 0))
		checkLines(t, raw)
		h := parse(t, raw).Header
		require.Len(t, h, 11, "no header but ours: %v", h)
		subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		require.NoError(t, err)
		want := cutRunes(oneLine(m.Title()), mostSubject)
		require.Equal(t, want, subject)
		require.NotContains(t, subject, "\n")
	}
}

// checkLines checks what every server may insist on.
func checkLines(t testing.TB, raw string) {
	for _, line := range strings.Split(raw, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") || strings.ContainsFunc(line, func(r rune) bool { return r > 0x7e }) {
			t.Fatalf("a bad line: %q", line)
		}
	}
}

func TestMessagesAreCutToTheirSize(t *testing.T) {
	m := sick("n1")
	for range 200 {
		m.Links = append(m.Links, escalate.Link{Text: strings.Repeat("t", 1000), Href: "https://host/" + strings.Repeat("é", 600)})
	}
	s := plainSettings(t)
	whole := s.compose(m, 0)
	require.Less(t, len(whole), 4*mostText*6)
	require.Contains(t, parts(t, parse(t, string(whole)))["text/plain"], "and 180 more links")
	for _, most := range []int{20_000, 5_000, 3_000} {
		small := s.compose(m, most)
		require.LessOrEqual(t, len(small), most)
		text := parts(t, parse(t, string(small)))["text/plain"]
		require.Contains(t, text, "9000 is above 5000")
		require.Contains(t, text, "[… cut: the rest is on the console …]")
		require.True(t, utf8.ValidString(text))
	}
	require.NotEmpty(t, s.compose(m, 1), "one that cannot be small enough is for the server to refuse")
}

func FuzzMessage(f *testing.F) {
	f.Add("orders", "9000 is above 5000", "note", "https://host/", "key")
	f.Add("a\r\nBcc: x", "=?utf-8?b?eA==?=", "\xff\x00", "javascript:\"onload=", "\n")
	f.Add("<script>alert(1)</script>", "a <b> & c", "<img src=x>", "https://h/\"><i>", "k")
	f.Add(strings.Repeat("é", 400), strings.Repeat("x", 2000), "--=_", "http", "\u202e")
	f.Fuzz(func(t *testing.T, watch, summary, note, href, key string) {
		m := sick(key)
		m.DedupKey, m.Note, m.Incident.Watch, m.Incident.Finding.Summary = key, note, watch, summary
		m.Links = []escalate.Link{{Text: watch, Href: href}}
		raw := string(plainSettings(t).compose(m, 0))
		checkLines(t, raw)
		msg := parse(t, raw)
		if len(msg.Header) != 11 {
			t.Fatalf("headers: %v", msg.Header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		if err != nil || subject != cutRunes(oneLine(m.Title()), mostSubject) {
			t.Fatalf("subject %q: %v", subject, err)
		}
		p := parts(t, msg)
		if want := bodyOf(m); p["text/plain"] != want && p["text/plain"] != want+"\n" {
			t.Fatalf("text %q is not %q", p["text/plain"], want)
		}
		for _, tag := range strings.Split(p["text/html"], "<")[1:] {
			if !strings.HasPrefix(tag, "pre ") && !strings.HasPrefix(tag, "/pre>") && !strings.HasPrefix(tag, `a href="http`) && !strings.HasPrefix(tag, "/a>") {
				t.Fatalf("a tag that is not ours: <%s", tag)
			}
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	s, m := plainSettings(b), sick("n1")
	b.ReportAllocs()
	for b.Loop() {
		_ = s.compose(m, 0)
	}
}
