package evidence

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/redact"
)

// A Redactor hides credentials in text. It is called from several goroutines at
// once.
//
// A store applies the rules of the library first, which know credentials by their
// shape and by the names that they stand under, and then its own redactor, if it
// has one. What is redacted depends on the media type of a file: JSON by name and
// value, and it stays valid; profiles and execution traces in their tables of
// strings, among them labels and messages; whatever else is text, as text. Other
// binary files are kept as they are.
type Redactor interface{ String(string) string }

// NewRedactor returns a redactor that knows the rules of the library and these
// secrets by value, also where they are escaped or in base64.
func NewRedactor(secrets ...detect.Secret) Redactor {
	var o redact.Options
	for _, s := range secrets {
		o.Secrets = append(o.Secrets, string(s))
	}
	return redact.New(o)
}

// A cleaner redacts whatever is kept.
type cleaner struct {
	rules *redact.Redactor
	more  Redactor // nil where the rules are all
}

func newCleaner(r Redactor) cleaner {
	if own, ok := r.(*redact.Redactor); ok {
		return cleaner{rules: own}
	}
	return cleaner{redact.New(redact.Options{}), r}
}

func (c cleaner) text(s string) string { return c.asked(c.rules.String(s)) }

// asked asks the application's redactor. Where that panics nobody knows what the
// text holds, and nothing of it is kept.
func (c cleaner) asked(s string) (clean string) {
	if c.more == nil {
		return s
	}
	defer func() {
		if recover() != nil {
			clean = redact.Mask
		}
	}()
	return c.more.String(s)
}

// named redacts the value of a label by its name too.
func (c cleaner) named(key, value string) string {
	return c.text(c.rules.Map(map[string]string{key: value})[c.rules.String(key)])
}

// json redacts as text first, because that keeps the order of names, and then by
// name and value, which also finds numbers and lists.
func (c cleaner) json(data []byte) []byte {
	if text := c.rules.Bytes(data); json.Valid(text) {
		data = text
	}
	data = c.rules.JSON(data)
	if c.more == nil {
		return data
	}
	return []byte(c.asked(string(data)))
}

// file redacts a file by its type. It returns an error, and the file must not be
// kept, where that cannot be done.
func (c cleaner) file(f File) (clean File, err error) {
	clean = File{Name: c.text(f.Name), Type: f.Type}
	switch kindOf(f) {
	case kindJSON:
		clean.Data = c.json(f.Data)
	case kindLines:
		clean.Data = c.lines(f.Data)
	case kindText:
		clean.Data = []byte(c.text(string(f.Data)))
	case kindProfile:
		clean.Data, err = c.profile(f.Data)
	case kindTrace:
		clean.Data, err = c.trace(f.Data)
	default:
		clean.Data = f.Data
	}
	if err != nil {
		return File{}, err
	}
	return clean, nil
}

// lines redacts JSON line by line. What is no line of JSON is text; the rules
// take it as such.
func (c cleaner) lines(data []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(data))
	for line := range bytes.Lines(data) {
		body, end := bytes.CutSuffix(line, []byte("\n"))
		out.Write(c.json(body))
		if end {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// info redacts what is said about a bundle. Names come from outside too.
func (c cleaner) info(b Bundle) Info {
	info := Info{At: b.At.UTC().Round(0), Attempt: b.Attempt, Incident: c.text(b.Incident), Watch: c.text(b.Watch), Key: c.text(b.Key)}
	for _, n := range b.Notes {
		info.Notes = append(info.Notes, Note{Part: c.text(n.Part), Why: c.text(n.Why)})
	}
	for _, e := range b.Elsewhere {
		info.Elsewhere = append(info.Elsewhere, Elsewhere{Name: c.text(e.Name), Type: c.text(e.Type), Ref: c.text(e.Ref), Bytes: e.Bytes, At: e.At})
	}
	return info
}

type kind uint8

const (
	kindBinary kind = iota
	kindText
	kindJSON
	kindLines
	kindProfile
	kindTrace
)

// Media types of the parts.
const (
	// ProfileType is what go tool pprof reads.
	ProfileType = "application/vnd.google.protobuf+gzip"
	// TraceType is what go tool trace reads.
	TraceType = "application/x-go-trace"
	// TextType is text for people.
	TextType = "text/plain; charset=utf-8"
	// JSONType is one JSON document, LinesType one in each line.
	JSONType  = "application/json"
	LinesType = "application/x-ndjson"
)

// kindOf goes by the type, and by the content where the type does not say that a
// file is text and it is.
func kindOf(f File) kind {
	base, _, err := mime.ParseMediaType(f.Type)
	if err != nil {
		base = strings.ToLower(strings.TrimSpace(f.Type))
	}
	switch {
	case base == ProfileType:
		return kindProfile
	case base == TraceType:
		return kindTrace
	case base == JSONType, strings.HasSuffix(base, "+json"):
		return kindJSON
	case base == LinesType:
		return kindLines
	case strings.HasPrefix(base, "text/"), utf8.Valid(f.Data):
		return kindText
	}
	return kindBinary
}
