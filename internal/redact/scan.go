package redact

import "strings"

// A scanner walks through a text once and finds what the rules hide. Every rule
// is tried only at a byte that can begin it, and looks only a bounded way back
// and ahead before it has found something; what it found is not looked at again.
// That is why time is linear.
type scanner struct {
	r     *Redactor
	s     string
	floor int // what lies before is hidden already

	address bool // within an address,
	host    int  // whose host begins here; 0 once it is known
	segment int  // and where the part of its path before the next slash begins
	noJWT   int  // no JSON web token begins before this place,
	noAt    int  // and no at sign stands between the scheme last seen and this one
}

// Classes of bytes, by what can begin at them.
const (
	other = iota
	word  // letters and digits
	equals
	colon
	slash
	dash
	at
	angle
	stop // no address goes on beyond it
)

var classes = func() (c [256]byte) {
	for b := range 256 {
		switch {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
			c[b] = word
		case b <= ' ', b == 0x7f:
			c[b] = stop
		}
	}
	for _, b := range []byte("\"'`<\\|{}^") {
		c[b] = stop
	}
	c['='], c[':'], c['/'], c['-'], c['@'], c['>'] = equals, colon, slash, dash, at, angle
	return c
}()

func isWord(b byte) bool { return classes[b] == word }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// next finds what is to be hidden first at or after i.
func (c *scanner) next(i int) (span, bool) {
	c.floor = i
	s := c.s
	for ; i < len(s); i++ {
		var end int
		start := i
		switch classes[s[i]] {
		case word:
			if i > 0 && isWord(s[i-1]) {
				continue
			}
			start, end = c.token(i)
		case equals:
			if hit, ok := c.keyed(i); ok {
				return hit, true
			}
		case colon:
			if strings.HasPrefix(s[i:], "://") {
				start, end = c.userInfo(i)
				break
			}
			if hit, ok := c.keyed(i); ok {
				return hit, true
			}
		case slash:
			start, end = c.path(i)
		case dash:
			if end = privateKey(s, i); end == 0 {
				start, end = c.flag(i)
			}
		case at:
			start, end = c.mysql(i)
		case angle:
			c.address = false
			start, end = c.element(i)
		case stop:
			c.address = false
		}
		if end > start && s[start:end] != Mask {
			return span{start: start, end: end}, true
		}
	}
	return span{}, false
}
