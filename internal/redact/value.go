package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"strings"
)

// deepest bounds how far a value is followed. What is deeper becomes [Mask].
const deepest = 16

// Error returns an error whose text has its secrets hidden, or err itself when
// there is nothing to hide; nil stays nil. One whose method panics gets a text.
//
// errors.Is and errors.As see through it to err and what err wraps, because
// decisions depend on them. errors.Unwrap does not, so that nobody who walks
// along a chain to print it comes upon the secret; an error that errors.As
// hands out is as it was.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	text, ok := errorText(err)
	clean := r.String(text)
	if clean == text && ok {
		return err
	}
	return &hidden{clean, err}
}

type hidden struct {
	text string
	err  error
}

func (h *hidden) Error() string        { return h.text }
func (h *hidden) Is(target error) bool { return errors.Is(h.err, target) }
func (h *hidden) As(target any) bool   { return errors.As(h.err, target) }

// errorText survives an error whose method panics, such as a nil pointer.
func errorText(err error) (s string, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("an error of type %T whose text cannot be had", err)
		}
	}()
	return err.Error(), true
}

// Map returns the map with its secrets hidden, in names, in values and by name.
// m itself is returned when there is nothing to hide, and is never changed.
func (r *Redactor) Map(m map[string]string) map[string]string {
	var clean map[string]string
	for k, v := range m {
		ck, cv := r.String(k), r.named(k, v)
		if ck == k && cv == v {
			continue
		}
		if clean == nil {
			clean = maps.Clone(m)
		}
		delete(clean, k)
		clean[ck] = cv
	}
	if clean == nil {
		return m
	}
	return clean
}

// named is a text under a name.
func (r *Redactor) named(key, value string) string {
	if value == "" || value == Mask {
		return value
	}
	switch r.rankOf(key) {
	case strong, header:
		if !harmless(value) {
			return Mask
		}
	case weak:
		if !harmless(value) && !isNumber(value) {
			return Mask
		}
	case routing:
		if pagerDutyKey(value) {
			return Mask
		}
	}
	return r.String(value)
}

// JSON returns the document with its secrets hidden: valid JSON stays valid, with
// its names in order, and anything else is taken as text. data itself is
// returned when there is nothing to hide, and is never changed.
func (r *Redactor) JSON(data []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return r.Bytes(data)
	}
	if _, err := d.Token(); err != io.EOF {
		return r.Bytes(data)
	}
	clean, changed := r.value(v, 0)
	if !changed {
		return data
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(clean) != nil {
		return r.Bytes(data)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Any returns the value with its secrets hidden: texts, errors, bytes, addresses,
// and maps and lists of anything. Other types are returned as they are if
// neither their JSON nor what fmt prints of them holds a secret, and else as
// their JSON decoded, or as text. v itself is never changed.
func (r *Redactor) Any(v any) any {
	clean, _ := r.value(v, 0)
	return clean
}

func (r *Redactor) value(v any, depth int) (clean any, changed bool) {
	if depth > deepest {
		return Mask, true
	}
	switch v := v.(type) {
	case nil, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, json.Number:
		return v, false
	case string:
		s := r.String(v)
		return s, s != v
	case error:
		e := r.Error(v)
		_, changed = e.(*hidden)
		return e, changed
	case []byte:
		b := r.Bytes(v)
		return b, !bytes.Equal(b, v)
	case json.RawMessage:
		b := r.JSON(v)
		return json.RawMessage(b), !bytes.Equal(b, v)
	case *url.URL:
		if v == nil {
			return v, false
		}
		s := v.String()
		if c := r.String(s); c != s {
			return c, true
		}
		return v, false
	case map[string]any:
		return r.object(v, depth)
	case []any:
		return list(v, func(e any) (any, bool) { return r.value(e, depth+1) })
	case map[string]string:
		m := r.Map(v)
		return m, !maps.Equal(m, v)
	case []string:
		return list(v, func(s string) (string, bool) { c := r.String(s); return c, c != s })
	}
	return r.strange(v, depth)
}

func (r *Redactor) object(m map[string]any, depth int) (map[string]any, bool) {
	var clean map[string]any
	for k, v := range m {
		ck := r.String(k)
		cv, changed := r.under(k, v, depth)
		if ck == k && !changed {
			continue
		}
		if clean == nil {
			clean = maps.Clone(m)
		}
		delete(clean, k)
		clean[ck] = cv
	}
	if clean == nil {
		return m, false
	}
	return clean, true
}

// under is a value under a name.
func (r *Redactor) under(key string, v any, depth int) (any, bool) {
	if s, ok := v.(string); ok {
		c := r.named(key, s)
		return c, c != s
	}
	if r.hides(key, v) {
		return Mask, true
	}
	return r.value(v, depth+1)
}

// hides says whether a name makes a secret of a value that is no text.
func (r *Redactor) hides(key string, v any) bool {
	rank := r.rankOf(key)
	if rank == public || rank == routing || v == nil {
		return false
	}
	switch k := reflect.ValueOf(v).Kind(); k {
	case reflect.Bool:
		return false
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct, reflect.Pointer, reflect.Interface, reflect.String:
		return true
	default: // numbers
		return rank == strong || rank == header
	}
}

func list[T any](from []T, hide func(T) (T, bool)) ([]T, bool) {
	var clean []T
	for i, v := range from {
		c, changed := hide(v)
		if !changed {
			continue
		}
		if clean == nil {
			clean = append(clean, from...)
		}
		clean[i] = c
	}
	if clean == nil {
		return from, false
	}
	return clean, true
}

// strange is a value of a type that we do not know, by what a log would print of
// it.
func (r *Redactor) strange(v any, depth int) (clean any, changed bool) {
	defer func() {
		if p := recover(); p != nil { // a method of its own; a log prints its own complaint
			clean, changed = fmt.Sprintf("a value of type %T whose text cannot be had", v), true
		}
	}()
	data, err := json.Marshal(v)
	var unsupported *json.UnsupportedValueError
	if errors.As(err, &unsupported) && strings.Contains(unsupported.Str, "cycle") {
		return fmt.Sprintf("a value of type %T that holds itself", v), true // fmt would not end
	}
	text := fmt.Sprintf("%+v", v)
	hiddenText := r.String(text)
	if err != nil {
		if hiddenText != text {
			return hiddenText, true
		}
		return v, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var generic any
	if d.Decode(&generic) != nil {
		return hiddenText, true
	}
	generic, changed = r.value(generic, depth+1)
	if changed || hiddenText != text {
		return generic, true
	}
	return v, false
}
