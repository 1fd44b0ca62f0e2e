package redact

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	leastKnown = 4  // bytes of a secret, and of each of its forms
	leastCode  = 6  // characters of a form in base64, which has fewer of them
	leastLine  = 16 // bytes of one line of a secret with several
	leastPath  = 16 // bytes of the path of a secret that is an address
)

// An index finds any of many strings in one pass: the first four bytes of each
// are the key of a map, behind a filter that almost every place of a text fails.
type index struct {
	filter [1 << 10]uint64
	forms  map[uint32][]string // the longest first
}

func newIndex(secrets []string) *index {
	all := map[string]bool{}
	for _, s := range secrets {
		for _, form := range formsOf(s) {
			all[form] = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	x := &index{forms: map[uint32][]string{}}
	for form := range all {
		key := head(form)
		x.filter[slot(key)>>6] |= 1 << (slot(key) & 63)
		x.forms[key] = append(x.forms[key], form)
	}
	for _, forms := range x.forms {
		slices.SortFunc(forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return x
}

func head(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// slot is a hash of 16 bits, by Knuth's multiplicative method.
func slot(key uint32) uint32 { return key * 2654435761 >> 16 }

// find returns where the first known secret at or after i is; end is 0 when
// there is none.
func (x *index) find(s string, i int) (start, end int) {
	if i+leastKnown > len(s) {
		return 0, 0
	}
	key := head(s[i:])
	for {
		if h := slot(key); x.filter[h>>6]&(1<<(h&63)) != 0 {
			for _, form := range x.forms[key] {
				if strings.HasPrefix(s[i:], form) {
					return i, i + len(form)
				}
			}
		}
		if i+leastKnown >= len(s) {
			return 0, 0
		}
		key = key>>8 | uint32(s[i+leastKnown])<<24
		i++
	}
}

func (r *Redactor) hideKnown(s string) string {
	if r == nil || r.known == nil {
		return s
	}
	start, end := r.known.find(s, 0)
	if end == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	last := 0
	for end > 0 {
		b.WriteString(s[last:start])
		b.WriteString(Mask)
		last = end
		start, end = r.known.find(s, last)
	}
	b.WriteString(s[last:])
	return b.String()
}

// formsOf is a secret as it is and as it is usually written elsewhere.
func formsOf(secret string) []string {
	trimmed := strings.TrimSpace(secret)
	if len(trimmed) < leastKnown {
		return nil
	}
	plain := []string{trimmed}
	for line := range strings.Lines(trimmed) {
		line = strings.TrimSpace(line)
		if len(line) >= leastLine && line != trimmed && !strings.HasPrefix(line, "-----") {
			plain = append(plain, line)
		}
	}
	if u, err := url.Parse(trimmed); err == nil && u.Host != "" {
		if path := u.RequestURI(); len(path) >= leastPath {
			plain = append(plain, path)
		}
		if password, ok := u.User.Password(); ok && len(password) >= leastKnown {
			plain = append(plain, password)
		}
	}
	var forms []string
	for _, p := range plain {
		forms = append(forms, p)
		forms = append(forms, escapes(p)...)
		forms = append(forms, codes(p)...)
	}
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < leastKnown })
}

// escapes are for addresses, HTML, JSON and Go, and JSON within JSON.
func escapes(s string) []string {
	forms := []string{html.EscapeString(s)}
	user := url.UserPassword("", s).String()
	for _, e := range []string{url.QueryEscape(s), url.PathEscape(s), strings.TrimPrefix(user, ":")} {
		forms = append(forms, e, lowerPercent(e))
	}
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	once := []string{s}
	for range 2 {
		var more []string
		for _, o := range once {
			if strings.ContainsAny(o, `/`) {
				more = append(more, strings.ReplaceAll(jsonInner(o), "/", `\/`))
			}
			more = append(more, jsonInner(o), plainJSONInner(o), inner(strconv.Quote(o)), inner(strconv.QuoteToASCII(o)))
		}
		slices.Sort(more)
		once = slices.Compact(more)
		forms = append(forms, once...)
		if len(once) == 1 && once[0] == s {
			break
		}
	}
	return forms
}

func jsonInner(s string) string {
	b, _ := json.Marshal(s) // a string has JSON, always
	return string(b[1 : len(b)-1])
}

// plainJSONInner leaves <, > and & alone.
func plainJSONInner(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	q := strings.TrimSuffix(b.String(), "\n")
	return q[1 : len(q)-1]
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			b[i+1], b[i+2] = lower(b[i+1]), lower(b[i+2])
		}
	}
	return string(b)
}

// codes are hexadecimal and base64. What stands before a secret moves its bits
// within base64 ("user:" does, in basic authentication), so there are three
// forms, each without the characters that its neighbours have a part in.
func codes(s string) []string {
	forms := []string{hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), s...))
			text = text[(8*before+5)/6 : 8*(before+len(s))/6]
			if len(text) >= leastCode {
				forms = append(forms, text)
			}
		}
	}
	return forms
}
