package evidence

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
)

// mostLine bounds a record. An attribute that does not fit is left out as a whole:
// a value that is cut could hold half a secret, which nothing recognises.
const mostLine = 16 << 10

// deepest bounds groups in groups; a value that resolves to ever more of them
// would not end.
const deepest = 32

var lines = sync.Pool{New: func() any { return &line{text: make([]byte, 0, 1<<10)} }}

// A line is a record that is being written as JSON, in the way of
// slog.JSONHandler, except that durations are text.
type line struct {
	text    []byte
	leftOut int // attributes
}

// entry writes the record.
func (n *logNode) entry(rec slog.Record) entry {
	at := rec.Time
	l := lines.Get().(*line)
	defer lines.Put(l)
	l.text, l.leftOut = append(l.text[:0], '{'), n.leftOut
	if rec.Time.IsZero() {
		at = time.Now()
	} else {
		l.name(slog.TimeKey)
		l.stamp(rec.Time)
	}
	l.name(slog.LevelKey)
	l.quoted(rec.Level.String())
	l.name(slog.MessageKey)
	message := len(l.text)
	if l.quoted(rec.Message); len(l.text) > mostLine {
		l.text = l.text[:message]
		l.quoted(fmt.Sprintf("(a message of %d bytes)", len(rec.Message)))
	}
	if len(n.text) > 0 {
		l.comma()
		l.text = append(l.text, n.text...)
	}
	depth := n.depth
	before, inside := l.open(n.groups)
	whose := n.whose
	rec.Attrs(func(a slog.Attr) bool {
		l.attr(a, 0)
		whose.note(a)
		return true
	})
	if l.shut(before, inside) {
		depth += len(n.groups)
	}
	for range depth {
		l.text = append(l.text, '}')
	}
	if l.leftOut > 0 {
		l.name("left_out")
		l.text = strconv.AppendInt(l.text, int64(l.leftOut), 10)
	}
	l.text = append(l.text, "}\n"...)
	return entry{at: at, pc: rec.PC, whose: whose, text: append([]byte(nil), l.text...)}
}

// open begins groups, and shut says whether anything was written within them, and
// takes them back if not: an empty group does not show.
func (l *line) open(groups []string) (before, inside int) {
	before = len(l.text)
	for _, g := range groups {
		l.name(g)
		l.text = append(l.text, '{')
	}
	return before, len(l.text)
}

func (l *line) shut(before, inside int) bool {
	if len(l.text) > inside {
		return true
	}
	l.text = l.text[:before]
	return false
}

func (l *line) attr(a slog.Attr, depth int) {
	before := len(l.text)
	l.write(a, depth)
	if len(l.text) > mostLine {
		l.text = l.text[:before]
		l.leftOut++
	}
}

func (l *line) write(a slog.Attr, depth int) {
	v := a.Value.Resolve()
	if a.Key == "" && v.Equal(slog.Value{}) {
		return
	}
	if v.Kind() != slog.KindGroup {
		l.name(a.Key)
		l.value(v)
		return
	}
	if depth == deepest {
		l.leftOut++
		return
	}
	before := len(l.text)
	inside := before
	if a.Key != "" { // else its attributes are those of the group around it
		l.name(a.Key)
		l.text = append(l.text, '{')
		inside = len(l.text)
	}
	for _, inner := range v.Group() {
		l.attr(inner, depth+1)
	}
	if l.shut(before, inside) && a.Key != "" {
		l.text = append(l.text, '}')
	}
}

func (l *line) comma() {
	if n := len(l.text); n > 0 && l.text[n-1] != '{' {
		l.text = append(l.text, ',')
	}
}

func (l *line) name(key string) {
	l.comma()
	l.quoted(key)
	l.text = append(l.text, ':')
}

// quoted writes a string. The rules of JSON are asked only where there is
// something to escape.
func (l *line) quoted(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // a string has JSON, always
			l.text = append(l.text, text...)
			return
		}
	}
	l.text = append(l.text, '"')
	l.text = append(l.text, s...)
	l.text = append(l.text, '"')
}

func (l *line) stamp(t time.Time) {
	l.text = append(l.text, '"')
	l.text = t.AppendFormat(l.text, time.RFC3339Nano)
	l.text = append(l.text, '"')
}

func (l *line) value(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		l.quoted(v.String())
	case slog.KindInt64:
		l.text = strconv.AppendInt(l.text, v.Int64(), 10)
	case slog.KindUint64:
		l.text = strconv.AppendUint(l.text, v.Uint64(), 10)
	case slog.KindBool:
		l.text = strconv.AppendBool(l.text, v.Bool())
	case slog.KindFloat64:
		if f := v.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			l.quoted(fmt.Sprint(f))
		} else {
			l.text = strconv.AppendFloat(l.text, f, 'g', -1, 64)
		}
	case slog.KindDuration:
		l.quoted(v.Duration().String())
	case slog.KindTime:
		l.stamp(v.Time())
	default:
		l.text = append(l.text, anyJSON(v.Any())...)
	}
}

// anyJSON survives whatever the methods of a value do.
func anyJSON(v any) (text []byte) {
	defer func() {
		if p := recover(); p != nil {
			text, _ = json.Marshal(fmt.Sprintf("a value of type %T whose text cannot be had", v))
		}
	}()
	_, has := v.(json.Marshaler)
	if err, ok := v.(error); ok && !has {
		text, _ = json.Marshal(err.Error())
		return text
	}
	text, err := json.Marshal(v)
	if err != nil {
		text, _ = json.Marshal(fmt.Sprintf("%+v", v))
	}
	return text
}
