package redact

import "strings"

// keyed is the value that the name before the separator at i makes a secret.
func (c *scanner) keyed(i int) (span, bool) {
	s := c.s
	from, to, quote := c.keyBefore(i)
	if from == to {
		return span{}, false
	}
	key := s[from:to]
	rank := c.r.rankOf(key)
	if rank == public && from > 0 && (s[from-1] == '?' || s[from-1] == '&') && s[i] == '=' && isQueryKey(key) {
		rank = strong
	}
	if rank == public {
		return c.botToken(i, from, to)
	}
	v := i + 1
	for v < len(s) && v < i+3 && (s[v] == '=' || s[v] == '>') { // == and =>
		v++
	}
	blanks := v
	for v < len(s) && v < blanks+8 && isBlank(s[v]) {
		v++
	}
	if v == len(s) {
		return span{}, false
	}
	spaced := v > blanks

	// Whatever is rejected must be so before its end is looked for: many names
	// in one value would else be a search to the end for each.
	n, quoted := openQuote(s, v)
	switch {
	case rank == routing:
		if quoted {
			v += n + 1
		}
		return span{v, v + pagerDuty, ""}, pagerDutyKey(s[v:])
	case quoted:
		start := v + n + 1
		if start < len(s) && (s[start] == ' ' || s[start] == ',') || rank == many {
			return span{}, false // the end of a text, not the beginning of a value
		}
		return c.hide(start, closeQuote(s, start, n, s[start-1]), "")
	case (key == "PWD" || key == "OLDPWD") && s[v] == '/':
		return span{}, false // the working directory
	case reference(s[v:]):
		return span{}, false
	}
	if end := block(s, v); end > 0 {
		return c.hide(v, end, quote)
	}
	if rank == many {
		return span{}, false
	}
	end := bareEnd(s, v)
	switch {
	case rank == header:
		return c.hide(v, headerEnd(s, v, end, key, s[i]), quote)
	case s[i] == '=':
	case !spaced && port(s[v:end]) && (rank == weak || from > 0 && s[from-1] == '/'):
		return span{}, false // host:port, or file:line
	case spaced && rank == weak && prose(s[v:end], s[end:]):
		return span{}, false
	}
	return c.hide(v, max(end, privateKey(s, v)), quote)
}

func (c *scanner) hide(start, end int, quote string) (span, bool) {
	if harmless(c.s[start:end]) {
		return span{}, false
	}
	return span{start, end, quote}, true
}

// keyBefore is the name before the separator at i, and the quote around it.
func (c *scanner) keyBefore(i int) (from, to int, quote string) {
	s := c.s
	to = i
	if s[i] == '=' && to > c.floor && s[to-1] == ':' { // :=
		to--
	}
	for to > c.floor && to > i-3 && isBlank(s[to-1]) {
		to--
	}
	if to > c.floor && s[to-1] == ']' { // ["password"]
		to--
	}
	if to > c.floor && (s[to-1] == '"' || s[to-1] == '\'' || s[to-1] == '`') {
		q := to
		to--
		for to > c.floor && to > q-16 && s[to-1] == '\\' {
			to--
		}
		quote = s[to:q]
	}
	from = to
	for from > c.floor && from > to-longestKey && (isWord(s[from-1]) || s[from-1] == '_' || s[from-1] == '-' || s[from-1] == '.') {
		from--
	}
	return from, to, quote
}

func isQueryKey(key string) bool {
	var buf [longestKey]byte
	return endsInAny(normalise(key, &buf), queryKeys)
}

// openQuote says whether a quote begins at v, after n backslashes: a text within
// a text is quoted by \", one within that by \\\".
func openQuote(s string, v int) (n int, ok bool) {
	for v+n < len(s) && n < 16 && s[v+n] == '\\' {
		n++
	}
	return n, v+n < len(s) && (s[v+n] == '"' || s[v+n] == '\'' || s[v+n] == '`')
}

// closeQuote is where the quote ends that n backslashes and q began before i, or
// the end of the text. The quote of a text at depth d has n = 2^d-1 backslashes;
// within it each becomes two, so that the closing one has n more than a multiple
// of 2(n+1). Fewer than n end a text around it.
func closeQuote(s string, i, n int, q byte) int {
	slashes := 0
	for ; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			slashes++
			continue
		case s[i] == q && slashes < n:
			return i - slashes
		case s[i] == q && slashes%(2*(n+1)) == n:
			return i - n
		}
		slashes = 0
	}
	return len(s)
}

// block is the end of the list or object that begins at v, in JSON or as fmt
// prints it, or 0. One that is cut off lasts to the end of the text.
func block(s string, v int) int {
	for _, before := range []string{"map", "&"} {
		if strings.HasPrefix(s[v:], before) && v+len(before) < len(s) && strings.IndexByte("[{", s[v+len(before)]) >= 0 {
			v += len(before)
		}
	}
	if s[v] != '[' && s[v] != '{' {
		return 0
	}
	depth := 0
	for i := v; i < len(s); i++ {
		switch s[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// bareEnd is where a value without quotes ends. A mark that passwords may hold
// ends it only if what follows looks like the end or like the next name.
func bareEnd(s string, i int) int {
	for ; i < len(s); i++ {
		switch b := s[i]; b {
		case '"', '\'', '`', '<':
			return i
		case '\\':
			if i+1 < len(s) && strings.IndexByte("\"'`", s[i+1]) >= 0 {
				return i
			}
			if i+1 < len(s) && s[i+1] == '\\' {
				// Before a quote they belong to it.
				j := i
				for j < len(s) && s[j] == '\\' {
					j++
				}
				if j < len(s) && strings.IndexByte("\"'`", s[j]) >= 0 {
					return i
				}
				i = j - 1
			}
		case ',', ';', '&', ')', ']', '}', '|':
			if ends(s, i+1) {
				return i
			}
		default:
			if b <= ' ' || b == 0x7f {
				return i
			}
		}
	}
	return i
}

// ends says whether what begins at i is no longer a value.
func ends(s string, i int) bool {
	if i == len(s) || s[i] <= ' ' || strings.IndexByte("\"'`\\<,;)]}", s[i]) >= 0 {
		return true
	}
	from := i
	for i < len(s) && i < from+longestKey && (isWord(s[i]) || strings.IndexByte("_-.*", s[i]) >= 0) {
		i++
	}
	return i > from && i < len(s) && (s[i] == '=' || s[i] == ':')
}

// headerEnd is the end of the value of a header. Cookies and the schemes with
// parameters take their line, others two words.
func headerEnd(s string, v, end int, key string, sep byte) int {
	line := func(i int) int {
		if n := strings.IndexAny(s[i:], "\r\n\"'`"); n >= 0 {
			n += i
			for n > i && s[n-1] == '\\' {
				n--
			}
			return n
		}
		return len(s)
	}
	if lower(key[len(key)-1]) == 'e' { // a cookie
		if sep == '=' {
			return end
		}
		return line(v)
	}
	if end == len(s) || s[end] != ' ' || !schemeName(s[v:end]) {
		return end
	}
	for _, long := range []string{"digest", "aws4-hmac-sha256", "oauth", "hawk", "signature", "mac"} {
		if foldedPrefix(s[v:end], long) {
			return line(v)
		}
	}
	for end < len(s) && s[end] == ' ' {
		end++
	}
	return bareEnd(s, end)
}

func schemeName(s string) bool {
	if s == "" || len(s) > 20 || isDigit(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// prose says whether a value is the next word of a sentence.
func prose(value, rest string) bool {
	if len(rest) < 2 || rest[0] != ' ' || rest[1] < 'a' || rest[1] > 'z' || len(value) > 14 {
		return false
	}
	for i := range len(value) {
		if value[i] < 'a' || value[i] > 'z' {
			return false
		}
	}
	return true
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= 5
}

// port says whether a value is a number, or one that a path follows.
func port(s string) bool {
	if slash := strings.IndexByte(s, '/'); slash >= 0 {
		s = s[:slash]
	}
	return isNumber(s)
}

// pagerDuty is how long a routing key of PagerDuty is.
const pagerDuty = 32

// pagerDutyKey says whether a routing key is one of PagerDuty, and not of a
// message broker.
func pagerDutyKey(value string) bool {
	for i := range min(len(value), pagerDuty) {
		if !isWord(value[i]) {
			return false
		}
	}
	return len(value) == pagerDuty || len(value) > pagerDuty && !isWord(value[pagerDuty])
}

// botToken is that of a Telegram bot: a number, a colon and 35 characters.
func (c *scanner) botToken(i, from, to int) (span, bool) {
	s := c.s
	start := to
	for start > from && isDigit(s[start-1]) {
		start--
	}
	if s[i] != ':' || to != i || to-start < 6 || to-start > 12 || i+36 > len(s) {
		return span{}, false
	}
	end := i + 1
	for end < len(s) && end <= i+36 && (isWord(s[end]) || s[end] == '-' || s[end] == '_') {
		end++
	}
	if end != i+36 {
		return span{}, false
	}
	return span{start, end, ""}, true
}

// flag is the value after --password, where no separator is.
func (c *scanner) flag(i int) (start, end int) {
	s := c.s
	if i+2 >= len(s) || s[i+1] != '-' || !isWord(s[i+2]) || i > 0 && s[i-1] == '-' {
		return 0, 0
	}
	to := i + 2
	for to < len(s) && to < i+longestKey && (isWord(s[to]) || s[to] == '-' || s[to] == '_' || s[to] == '.') {
		to++
	}
	if to == len(s) || s[to] != ' ' || to+1 == len(s) || s[to+1] == '-' {
		return 0, 0
	}
	switch c.r.rankOf(s[i+2 : to]) {
	case strong, weak, header:
	default:
		return 0, 0
	}
	start = to + 1
	if n, ok := openQuote(s, start); ok {
		start += n + 1
		return start, closeQuote(s, start, n, s[start-1])
	}
	return start, bareEnd(s, start)
}

// element is what the XML element holds whose tag the angle at i closes.
func (c *scanner) element(i int) (start, end int) {
	s := c.s
	from := i
	for from > c.floor && from > i-longestKey && (isWord(s[from-1]) || strings.IndexByte("_-.", s[from-1]) >= 0) {
		from--
	}
	tag := from
	if from > c.floor && s[from-1] == ':' { // within a namespace
		for tag--; tag > c.floor && tag > from-longestKey && isWord(s[tag-1]); tag-- {
		}
	}
	if from == i || tag == 0 || s[tag-1] != '<' {
		return 0, 0
	}
	if k := c.r.rankOf(s[from:i]); k != strong && k != weak && k != header {
		return 0, 0
	}
	n := strings.IndexByte(s[i:], '<')
	if n < 0 || !strings.HasPrefix(s[i+n:], "</") || harmless(strings.TrimSpace(s[i+1:i+n])) {
		return 0, 0
	}
	return i + 1, i + n
}
