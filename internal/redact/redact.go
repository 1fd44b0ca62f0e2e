package redact

import "strings"

// Mask stands where a secret was.
const Mask = "***"

// Options say what a [Redactor] knows beyond its rules. The zero value is the
// rules alone.
type Options struct {
	// Secrets are known by value. Space around one is ignored, and so is one of
	// fewer than 4 bytes, which could not be told from ordinary text: its name
	// alone can hide it.
	Secrets []string
	// Keys are further names whose values are secret, in any spelling: "sshKey",
	// "ssh_key" and "SSH-Key" are one. A longer name that ends in one counts too.
	Keys []string
}

// A Redactor hides credentials. It never changes, so it is safe for concurrent
// use. A nil one works by the rules alone.
type Redactor struct {
	known *index
	keys  []string
}

// New makes a redactor. It keeps nothing of the options that the caller could
// change.
func New(o Options) *Redactor {
	r := &Redactor{known: newIndex(o.Secrets)}
	for _, k := range o.Keys {
		if k = normalKey(k); k != "" {
			r.keys = append(r.keys, k)
		}
	}
	return r
}

// rounds bounds how often a text is looked at again. Hiding one thing can bring
// another to light, such as a name that was glued to a secret; two rounds are
// usual and more than three need a text made for it.
const rounds = 8

// String returns s with its secrets hidden. Doing it twice changes nothing, and
// no known secret is in the result as it was given. s itself is returned when
// there is nothing to hide. A text that brings ever more to light becomes [Mask]
// as a whole.
func (r *Redactor) String(s string) string {
	for range rounds {
		next := r.hideKnown(s)
		next = r.hideByRules(next)
		if next == s {
			return s
		}
		s = next
	}
	return Mask
}

// Bytes is [Redactor.String] for bytes. b itself is returned when there is
// nothing to hide, and is never changed.
func (r *Redactor) Bytes(b []byte) []byte {
	s := string(b)
	if clean := r.String(s); clean != s {
		return []byte(clean)
	}
	return b
}

// Strings hides the secrets of several texts in place: the fields of a struct,
// say.
func (r *Redactor) Strings(texts ...*string) {
	for _, t := range texts {
		*t = r.String(*t)
	}
}

// A span is hidden, and the mask that takes its place stands in quote.
type span struct {
	start, end int
	quote      string
}

func (r *Redactor) hideByRules(s string) string {
	c := scanner{r: r, s: s}
	hit, ok := c.next(0)
	if !ok {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(Mask))
	last := 0
	for ok {
		b.WriteString(s[last:hit.start])
		b.WriteString(hit.quote)
		b.WriteString(Mask)
		b.WriteString(hit.quote)
		last = hit.end
		hit, ok = c.next(last)
	}
	b.WriteString(s[last:])
	return b.String()
}
