package strict

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Slack takes messages of an incoming webhook under a secret path. Its events have
// the verb "message" and no key.
func Slack(tb testing.TB, path string) *Server {
	tb.Helper()
	var s *Server
	s = start(tb, func(c *call) {
		if c.r.Method != http.MethodPost || c.r.URL.Path != path {
			c.refuse(http.StatusNotFound, "no_service", "%s %s is not the webhook", c.r.Method, c.r.URL.Path)
			return
		}
		if status, said, why := slackMistake(c); why != "" {
			c.refuse(status, said, "%s: %s", said, why)
			return
		}
		var id string
		if found := noticeID.FindSubmatch(c.body); found != nil {
			id = string(found[1])
		}
		s.take(Event{Verb: "message", ID: id, Body: c.body})
		c.answer(http.StatusOK, "ok")
	})
	s.odd = http.StatusGone
	return s
}

var noticeID = regexp.MustCompile(`notice (\S+?)["\\ ]`)

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func slackMistake(c *call) (status int, said, why string) {
	if !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		return http.StatusBadRequest, "invalid_payload", "the content type is not JSON"
	}
	var m struct {
		Text   string `json:"text"`
		Blocks []struct {
			Type     string      `json:"type"`
			Text     *slackText  `json:"text"`
			Elements []slackText `json:"elements"`
		} `json:"blocks"`
	}
	if err := json.Unmarshal(c.body, &m); err != nil {
		return http.StatusBadRequest, "invalid_payload", err.Error()
	}
	if strings.TrimSpace(m.Text) == "" {
		return http.StatusBadRequest, "no_text", "there is no text for notifications"
	}
	bad := func(format string, args ...any) (int, string, string) {
		return http.StatusBadRequest, "invalid_blocks", fmt.Sprintf(format, args...)
	}
	if why := unescaped(m.Text); why != "" {
		return bad("the text %s", why)
	}
	if len(m.Blocks) > 50 {
		return bad("%d blocks", len(m.Blocks))
	}
	total := 0
	for i, b := range m.Blocks {
		texts := b.Elements
		if b.Text != nil {
			texts = append(texts, *b.Text)
		}
		if len(texts) == 0 || len(texts) > 10 {
			return bad("block %d has %d texts", i, len(texts))
		}
		for _, t := range texts {
			n := utf8.RuneCountInString(t.Text)
			total += n
			switch {
			case n == 0:
				return bad("block %d has an empty text", i)
			case b.Type == "header" && (n > 150 || t.Type != "plain_text"):
				return bad("header %d has %d characters of %s", i, n, t.Type)
			case n > 3000:
				return bad("block %d has %d characters", i, n)
			case t.Type == "mrkdwn":
				if why := unescaped(t.Text); why != "" {
					return bad("block %d %s", i, why)
				}
			case t.Type != "plain_text":
				return bad("block %d has a text of type %q", i, t.Type)
			}
		}
	}
	if total > 13_200 {
		return http.StatusBadRequest, "msg_blocks_too_long", fmt.Sprintf("%d characters", total)
	}
	return 0, "", ""
}

var (
	slackLink   = regexp.MustCompile(`<https?://[^|<> ]+\|[^<>|\n]+>`)
	slackEntity = regexp.MustCompile(`&(amp|lt|gt);`)
)

// unescaped finds markup that nobody meant.
func unescaped(s string) string {
	s = slackEntity.ReplaceAllString(slackLink.ReplaceAllString(s, ""), "")
	if i := strings.IndexAny(s, "<>&"); i >= 0 {
		return fmt.Sprintf("has an unescaped %q", s[i])
	}
	return ""
}
