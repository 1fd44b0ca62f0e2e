package slack

import (
	"strings"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// The limits of a message, in characters after escaping. What the blocks hold
// together stays below the total of 13,200.
const (
	longestText    = 3000
	longestTitle   = 150
	longestSection = 3000
	longestLinks   = 2500
	mostSections   = 3 // of the diagnosis
)

type message struct {
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func compose(n escalate.Notification) message {
	m := message{
		Text:   escape(n.Title(), longestText),
		Blocks: []block{{Type: "header", Text: &text{"plain_text", escape(n.Title(), longestTitle)}}},
	}
	section := func(s string) {
		m.Blocks = append(m.Blocks, block{Type: "section", Text: &text{"mrkdwn", s}})
	}
	if n.Note != "" {
		section(escape(n.Note, longestSection/3))
	}
	for _, part := range diagnosis(n.Incident.Text()) {
		section(part)
	}
	if links := links(n); links != "" {
		section(links)
	}
	ids := escape("incident "+deliver.Cut(n.Incident.ID, 100)+" · notice "+deliver.Cut(n.ID, 100)+" ", longestTitle*2)
	m.Blocks = append(m.Blocks, block{Type: "context", Elements: []text{{"plain_text", ids}}})
	return m
}

// diagnosis is the text of an incident in as many sections as it may have, each
// preformatted because its values stand in a column.
func diagnosis(s string) []string {
	const fence = "```"
	// A fence in a finding would end ours.
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), fence, "'''")
	var parts []string
	var part strings.Builder
	used := 0
	flush := func() {
		if part.Len() > 0 {
			parts = append(parts, fence+"\n"+part.String()+fence)
		}
		part.Reset()
		used = 0
	}
	const room = longestSection - 2*len(fence) - 1 - len(deliver.Mark)
	for line := range strings.SplitSeq(s, "\n") {
		line = escape(line, room/2)
		n := utf8.RuneCountInString(line) + 1
		if used+n > room {
			if len(parts) == mostSections-1 {
				part.WriteString(deliver.Mark + "\n")
				break
			}
			flush()
		}
		part.WriteString(line + "\n")
		used += n
	}
	flush()
	return parts
}

// links are one section of them; those without room are left out.
func links(n escalate.Notification) string {
	var b strings.Builder
	for _, l := range deliver.Links(n) {
		// A | would end the address, and IsWeb lets none through.
		s := "<" + escape(l.Href, longestLinks) + "|" + escape(strings.ReplaceAll(l.Text, "|", "/"), longestTitle) + ">"
		if b.Len() > 0 {
			s = "  ·  " + s
		}
		if b.Len()+len(s) > longestLinks {
			continue
		}
		b.WriteString(s)
	}
	return b.String()
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes s text for Slack of at most most characters. They are counted
// after escaping, and no entity is cut in two.
func escape(s string, most int) string {
	for n := most; ; n = n * 3 / 4 {
		e := escaper.Replace(deliver.Cut(s, n))
		if utf8.RuneCountInString(e) <= most {
			return e
		}
	}
}
