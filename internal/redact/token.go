package redact

import (
	"encoding/base64"
	"strings"
)

// A shape is a token that can be told by its beginning.
type shape struct {
	prefix string
	// What follows are letters, digits and the bytes of more: this many.
	least, most int
	more        string
	digit       bool // and a digit is among them, which words seldom have
}

const endless = 1 << 30

// shapes are grouped by their first byte; see the documentation of each service,
// and for many of them the rules of secret scanners, which agree.
func shapes(first byte) []shape {
	switch first {
	case 'A':
		return shapesA
	case 'G':
		return shapesG
	case 'P':
		return shapesP
	case 'S':
		return shapesS
	case 'd':
		return shapesD
	case 'g':
		return shapesg
	case 'h':
		return shapesH
	case 'n':
		return shapesN
	case 'p':
		return shapesp
	case 'r', 's':
		return shapess
	case 'w':
		return shapesW
	case 'x':
		return shapesX
	}
	return nil
}

var (
	shapesA = []shape{
		{"AKIA", 16, 16, "", false}, {"ASIA", 16, 16, "", false}, // AWS access keys
		{"AIza", 35, 35, "-_", false},                // Google API keys
		{"AGE-SECRET-KEY-1", 20, endless, "", false}, // age
	}
	shapesG = []shape{{"GOCSPX-", 20, endless, "-_", false}} // Google OAuth clients
	shapesP = []shape{{"PMAK-", 24, endless, "-", true}}     // Postman
	shapesS = []shape{{"SG.", 32, endless, "-_.", true}}     // SendGrid
	shapesD = []shape{{"dop_v1_", 32, endless, "", false}, {"dckr_pat_", 20, endless, "-_", false}}
	shapesg = []shape{
		{"ghp_", 20, endless, "", false}, {"gho_", 20, endless, "", false}, {"ghu_", 20, endless, "", false},
		{"ghs_", 20, endless, "", false}, {"ghr_", 20, endless, "", false},
		{"github_pat_", 20, endless, "_", false},
		{"glpat-", 16, endless, "-_", false}, {"glsa_", 20, endless, "_", false}, {"glc_", 32, endless, "+/=", false}, // GitLab, Grafana
	}
	shapesH = []shape{{"hf_", 30, endless, "", false}, {"hvs.", 20, endless, "-_", false}, {"hvb.", 20, endless, "-_", false}}
	shapesN = []shape{{"npm_", 30, endless, "", false}}
	shapesp = []shape{{"pypi-", 40, endless, "-_", false}}
	shapess = []shape{
		{"sk_live_", 10, endless, "", false}, {"sk_test_", 10, endless, "", false},
		{"rk_live_", 10, endless, "", false}, {"rk_test_", 10, endless, "", false}, // Stripe
		{"sk-", 20, endless, "-_", true},                                       // OpenAI, Anthropic and others
		{"shpat_", 20, endless, "", false}, {"shpss_", 20, endless, "", false}, // Shopify
	}
	shapesW = []shape{{"whsec_", 16, endless, "+/=-_", false}} // Standard Webhooks, Stripe
	shapesX = []shape{
		{"xoxa-", 10, endless, "-", true}, {"xoxb-", 10, endless, "-", true}, {"xoxc-", 10, endless, "-", true},
		{"xoxe-", 10, endless, "-", true}, {"xoxe.", 10, endless, "-.", true}, {"xoxd-", 10, endless, "-%+/=", true},
		{"xoxo-", 10, endless, "-", true}, {"xoxp-", 10, endless, "-", true}, {"xoxr-", 10, endless, "-", true},
		{"xoxs-", 10, endless, "-", true}, {"xapp-", 10, endless, "-", true}, // Slack
		{"xkeysib-", 20, endless, "-", true}, // Brevo
	}
)

// token is a token that begins at i, where a word does.
func (c *scanner) token(i int) (start, end int) {
	s := c.s
	switch s[i] {
	case 'e':
		return i, c.webToken(i)
	case 'B', 'b':
		return scheme(s, i)
	}
	for _, sh := range shapes(s[i]) {
		if strings.HasPrefix(s[i:], sh.prefix) {
			return i, sh.match(s, i+len(sh.prefix))
		}
	}
	return 0, 0
}

// match returns the end of the token whose prefix ends at i, or 0.
func (sh shape) match(s string, i int) int {
	end, digit := i, !sh.digit
	for end < len(s) && (isWord(s[end]) || strings.IndexByte(sh.more, s[end]) >= 0) {
		digit = digit || isDigit(s[end])
		end++
		// A run without a digit is given up early: another prefix within it
		// would walk through it again.
		if end-i > 64 && !digit || end-i > sh.most {
			return 0
		}
	}
	if end-i < sh.least || !digit {
		return 0
	}
	return end
}

// webToken is a JSON web token: two parts of base64 at least, of which the first
// is an object.
func (c *scanner) webToken(i int) int {
	s := c.s
	if !strings.HasPrefix(s[i:], "eyJ") || i < c.noJWT {
		return 0
	}
	part := func(from int) int {
		end := from
		for end < len(s) && (isWord(s[end]) || s[end] == '-' || s[end] == '_') {
			end++
		}
		return end
	}
	header := part(i)
	if header == len(s) || s[header] != '.' || header-i < 10 {
		c.noJWT = header
		return 0
	}
	end := part(header + 1)
	if end-header <= 10 {
		c.noJWT = header
		return 0
	}
	for end < len(s) && s[end] == '.' {
		next := part(end + 1)
		if next == end+1 && (next == len(s) || s[next] != '.') {
			break // the end of a sentence
		}
		end = next
	}
	return end
}

// scheme is what follows "Bearer" or "Basic" and is no word of a sentence.
func scheme(s string, i int) (start, end int) {
	for _, name := range []string{"bearer", "basic"} {
		start = i + len(name)
		if start >= len(s) || !foldedPrefix(s[i:], name) || s[start] != ' ' {
			continue
		}
		for start < len(s) && s[start] == ' ' {
			start++
		}
		end = start
		digit, mark := false, false
		for ; end < len(s) && (isWord(s[end]) || strings.IndexByte("-._~+/=", s[end]) >= 0); end++ {
			digit = digit || isDigit(s[end])
			mark = mark || strings.IndexByte("._~+/=", s[end]) >= 0 && end+1 < len(s) && isWord(s[end+1])
		}
		n := end - start
		switch {
		case name == "basic" && n >= 4 && pair(s[start:end]):
		case name == "bearer" && (n >= 6 && (digit || mark) || n >= 20):
		default:
			return 0, 0
		}
		return start, end
	}
	return 0, 0
}

// pair says whether base64 holds a colon: user and password.
func pair(code string) bool {
	var text [96]byte
	code = strings.TrimRight(code, "=.")
	code = code[:min(len(code), 128)]
	n, err := base64.RawStdEncoding.Decode(text[:], []byte(code))
	return err == nil && strings.IndexByte(string(text[:n]), ':') >= 0
}

func foldedPrefix(s, lowercase string) bool {
	if len(s) < len(lowercase) {
		return false
	}
	for i := range len(lowercase) {
		if lower(s[i]) != lowercase[i] {
			return false
		}
	}
	return true
}

// privateKey is the end of a private key in PEM that begins at i, or 0. One that
// is cut off lasts to the next quote, or to the end of the text.
func privateKey(s string, i int) int {
	const begin, end, line = "-----BEGIN ", "-----END ", "-----"
	if !strings.HasPrefix(s[i:], begin) {
		return 0
	}
	label := s[i+len(begin) : min(len(s), i+len(begin)+64)]
	n := strings.Index(label, line)
	if n < 0 && i+len(begin)+64 > len(s) {
		n = len(label) // cut off within its first line
	}
	if n < 0 || !strings.Contains(label[:n], "PRIVATE") {
		return 0
	}
	body := i + len(begin) + n
	// A key of 16,384 bits has less than 16 KiB in PEM.
	const longest = 16 << 10
	near := s[body:min(len(s), body+longest)]
	if e := strings.Index(near, end); e >= 0 {
		tail := near[e+len(end):]
		if n := strings.Index(tail, line); n >= 0 && n <= 64 {
			return body + e + len(end) + n + len(line)
		}
		return body + e + len(end)
	}
	if q := strings.IndexAny(near, "\"'`"); q >= 0 {
		return body + q
	}
	return body + len(near)
}
