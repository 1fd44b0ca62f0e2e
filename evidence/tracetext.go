package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// An execution trace is a header and batches. What people wrote into it (messages
// of trace.Log, names of tasks and regions) and names of functions are in batches
// of strings, which are rewritten; the rest is copied as it stands. Each string is
// seen by itself, so a message is not redacted for the category that it was logged
// under. The format is
// that of Go 1.22 and later (internal/trace/tracev2 of the standard library). A
// trace that is not walked through to its last byte, with its strings found, is
// not kept: nobody could say what it holds.

// Event types of the trace format.
const (
	evBatch           = 1  // generation, thread, time, size, data
	evStrings         = 4  // begins a batch of strings
	evString          = 5  // id, size, text
	evExperimental    = 49 // experiment, then as evBatch
	evEndOfGeneration = 52
)

const traceHeader = 16 // bytes: "go 1.26 trace\0\0\0"

var errNoTrace = errors.New("it is no execution trace in a format that is known here, so its texts could not be redacted: record with Go 1.22 or later, or update selfheal")

// trace hides credentials in an execution trace.
func (c cleaner) trace(data []byte) ([]byte, error) {
	if len(data) < traceHeader || !bytes.HasPrefix(data, []byte("go 1.")) || !bytes.HasPrefix(data[7:], []byte(" trace")) {
		return nil, errNoTrace
	}
	out := bytes.NewBuffer(make([]byte, 0, len(data)))
	out.Write(data[:traceHeader])
	found := false
	for rest := data[traceHeader:]; len(rest) > 0; {
		begin, end, err := batchHeader(rest)
		if err != nil {
			return nil, err
		}
		if rest[0] != evBatch || begin == end || rest[begin] != evStrings {
			out.Write(rest[:end])
			rest = rest[end:]
			continue
		}
		found = true
		texts, err := c.strings(rest[begin+1 : end])
		if err != nil {
			return nil, err
		}
		out.Write(rest[:sizeAt(rest)])
		out.Write(binary.AppendUvarint(nil, uint64(1+len(texts))))
		out.WriteByte(evStrings)
		out.Write(texts)
		rest = rest[end:]
	}
	if !found {
		return nil, errNoTrace
	}
	return out.Bytes(), nil
}

// batchHeader returns where the data of the batch begins and where it ends.
func batchHeader(b []byte) (begin, end int, err error) {
	switch b[0] {
	case evEndOfGeneration:
		return 1, 1, nil
	case evBatch, evExperimental:
	default:
		return 0, 0, fmt.Errorf("%w (a batch begins with %d)", errNoTrace, b[0])
	}
	at := sizeAt(b)
	if at == 0 {
		return 0, 0, errNoTrace
	}
	size, n := binary.Uvarint(b[at:])
	if n <= 0 || size > uint64(len(b)-at-n) {
		return 0, 0, errNoTrace
	}
	return at + n, at + n + int(size), nil
}

// sizeAt is where the size of a batch stands: after generation, thread and time.
// 0: nowhere.
func sizeAt(b []byte) int {
	at := 1
	if b[0] == evExperimental {
		at++
	}
	for range 3 {
		if at >= len(b) {
			return 0
		}
		_, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return 0
		}
		at += n
	}
	return min(at, len(b))
}

// strings rewrites the entries of a batch of strings. None grows, since readers
// bound the size of a string and of a batch.
func (c cleaner) strings(b []byte) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if b[0] != evString {
			return nil, errNoTrace
		}
		_, id := binary.Uvarint(b[1:])
		if id <= 0 {
			return nil, errNoTrace
		}
		size, n := binary.Uvarint(b[1+id:])
		begin := 1 + id + n
		if n <= 0 || size > uint64(len(b)-begin) {
			return nil, errNoTrace
		}
		end := begin + int(size)
		text := c.text(string(b[begin:end]))
		text = text[:min(len(text), int(size))]
		out = append(out, b[:1+id]...)
		out = binary.AppendUvarint(out, uint64(len(text)))
		out = append(out, text...)
		b = b[end:]
	}
	return out, nil
}
