package redact

import "strings"

// longestUser bounds user info, and how far it is looked for: many marks without
// a blank between them must not be searched to the end for each.
const longestUser = 1 << 10

// userInfo is what stands between the scheme, which the :// at i ends, and the
// host.
func (c *scanner) userInfo(i int) (start, end int) {
	s := c.s
	start = i + len("://")
	c.address = i < len("file") || !foldedPrefix(s[i-len("file"):], "file")
	c.host, c.segment = start, start
	last := 0
	j := max(start, c.noAt) // as far as an earlier search saw none
	for ; j < len(s) && j < start+longestUser && classes[s[j]] != stop; j++ {
		if s[j] == '@' {
			last = j
		}
	}
	if last == 0 {
		c.noAt = j
		return 0, 0
	}
	path := len(s)
	if n := strings.IndexAny(s[start:j], "/?#"); n >= 0 {
		path = start + n
	}
	if n := strings.LastIndexByte(s[start:min(path, j)], '@'); n >= 0 {
		end = start + n
	}
	if end == 0 && !hostAndPort(s[start:path]) {
		end = last // a password with a slash in it, which should have been escaped
	}
	if end > 0 {
		c.host, c.segment = end+1, end+1
	}
	return start, end
}

// hostAndPort says whether an authority can be a host. If it cannot, what is
// after its colon is part of a password.
func hostAndPort(authority string) bool {
	if strings.HasPrefix(authority, "[") { // IPv6
		return true
	}
	_, port, ok := strings.Cut(authority, ":")
	return !ok || isNumber(port)
}

// path is what the slash at i begins: the rest of a path that is a credential, or
// one part that looks like a token.
func (c *scanner) path(i int) (start, end int) {
	s := c.s
	start = i + 1
	if !c.address {
		if strings.HasPrefix(s[i:], "/services/T") {
			return start, slackPath(s, start)
		}
		return 0, 0
	}
	if i < c.segment { // the slashes of ://, or within user info
		return 0, 0
	}
	before := s[c.segment:i]
	if c.host > 0 {
		host := s[c.host:i]
		c.host = 0
		if secretPath(host) {
			return start, pathEnd(s, start)
		}
		before = ""
	}
	c.segment = start
	end = start
	for end < len(s) && !leavesPath(s, end) && s[end] != '/' {
		end++
	}
	part := s[start:end]
	switch {
	case (before == "hooks" || before == "webhook" || before == "webhooks") && end > start:
		if end = pathEnd(s, start); end-start >= leastPath {
			return start, end
		}
	case len(part) >= 8 && c.r.rankOf(before) != public:
		return start, end
	case len(part) > 20 && strings.HasPrefix(part, "bot") && isDigit(part[3]) && strings.IndexByte(part, ':') > 0:
		return start, end // of Telegram
	case random(part):
		return start, end
	}
	return 0, 0
}

func leavesPath(s string, i int) bool {
	switch s[i] {
	case '?', '#', ')', ']', ',', ';':
		return true
	}
	return classes[s[i]] == stop || s[i] == '>'
}

// pathEnd is the end of the path, without what ends a sentence.
func pathEnd(s string, i int) int {
	start := i
	for i < len(s) && !leavesPath(s, i) {
		i++
	}
	for i > start && (s[i-1] == ':' || s[i-1] == '.') {
		i--
	}
	return i
}

// secretPath says whether the paths of a host are credentials.
func secretPath(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	for _, name := range []string{
		"hooks.slack.com", "hooks.zapier.com", "webhook.office.com", "outlook.office.com", "discord.com", "discordapp.com",
		"hc-ping.com", "maker.ifttt.com", "open.feishu.cn", "open.larksuite.com", "events.pagerduty.com", "alert.victorops.com",
		"webhook.site", "hook.integromat.com", "hooks.dingtalk.com",
	} {
		if n := len(host) - len(name); n >= 0 && foldedPrefix(host[n:], name) && (n == 0 || host[n-1] == '.') {
			return true
		}
	}
	return false
}

// slackPath is the end of the path of a webhook of Slack, /services/T…/B…/token,
// or 0.
func slackPath(s string, i int) int {
	end := pathEnd(s, i)
	parts := strings.SplitN(s[i:end], "/", 5)
	if len(parts) < 4 || len(parts[1]) < 6 || len(parts[2]) < 6 || parts[2][0] != 'B' || len(parts[3]) < 16 {
		return 0
	}
	return end
}

// random says whether a part of a path looks drawn by lot: 20 letters and digits
// in a row, of both cases, with digits in more than one place. Hashes and UUIDs
// have one case, and names few digits.
func random(part string) bool {
	if len(part) < 20 {
		return false
	}
	var n, upper, lowered, runs int
	for i := range len(part) {
		b := part[i]
		if !isWord(b) {
			if b != '-' && b != '_' {
				return false
			}
			n, upper, lowered, runs = 0, 0, 0, 0
			continue
		}
		n++
		switch {
		case isDigit(b):
			if n == 1 || !isDigit(part[i-1]) {
				runs++
			}
		case b <= 'Z':
			upper++
		default:
			lowered++
		}
		if n >= 20 && upper >= 2 && lowered >= 2 && runs >= 2 {
			return true
		}
	}
	return false
}

// mysql is user:password in user:password@tcp(host), where the at sign is at i.
func (c *scanner) mysql(i int) (start, end int) {
	s := c.s
	n := i + 1
	for n < len(s) && n < i+12 && isWord(s[n]) {
		n++
	}
	if n == i+1 || n == len(s) || s[n] != '(' {
		return 0, 0
	}
	start = i
	for start > c.floor && start > i-longestUser && classes[s[start-1]] != stop {
		start--
	}
	// Not the name of a setting before it.
	if eq := strings.IndexByte(s[start:i], '='); eq >= 0 && eq < strings.IndexByte(s[start:i], ':') {
		start += eq + 1
	}
	if strings.IndexByte(s[start:i], ':') < 0 {
		return 0, 0
	}
	return start, i
}
