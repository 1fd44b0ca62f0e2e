package evidence

import (
	"context"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A LogQuery says which records of a [LogRing] belong to an incident.
type LogQuery struct {
	// Packages are import paths; those below them count too. With any, only records
	// are taken that were logged from there, or that carry the id or the watch of
	// the incident in an attribute "incident" or "watch", as the supervisor's and
	// Request.Log's do. None: all records.
	Packages []string
	// Before is how long before the incident was opened they begin. 0: 10 min.
	Before time.Duration
	// Records bounds how many: the last. Half of it is for those that carry the
	// incident or its watch, so that others do not drown them. 0: 1,000.
	Records int
	// Bytes bounds how many in sum. 0: 512 KiB.
	Bytes int
}

// Logs is logs.jsonl: the records of a ring that belong to the incident, as lines
// of JSON, the oldest first. ring may be nil.
func Logs(ring *LogRing, q LogQuery) Part {
	q.Packages = slices.Clone(q.Packages)
	return Part{Name: "logs.jsonl", Type: LinesType, Write: func(_ context.Context, in escalate.Incident, w io.Writer) error {
		if ring == nil {
			return absent("no ring of log records was given")
		}
		found := q.of(ring.kept(), in)
		if len(found) == 0 {
			return absent("the ring has no record of this time")
		}
		for _, e := range found {
			if _, err := w.Write(e.text); err != nil {
				return err
			}
		}
		return nil
	}}
}

// of picks from records, the oldest first.
func (q LogQuery) of(all []entry, in escalate.Incident) []entry {
	before, records, bytes := q.Before, q.Records, q.Bytes
	if before <= 0 {
		before = 10 * time.Minute
	}
	if records <= 0 {
		records = 1000
	}
	if bytes <= 0 {
		bytes = 512 << 10
	}
	var since time.Time // everything, of one that was never opened
	if !in.Opened.IsZero() {
		since = in.Opened.Add(-before)
	}
	ours := func(e *entry) bool {
		return e.incident != "" && e.incident == in.ID || e.watch != "" && e.watch == in.Watch
	}
	names := map[uintptr]string{}
	taken := make([]bool, len(all))
	// pick takes the newest that are wanted, within what is left.
	pick := func(records, bytes int, want func(*entry) bool) (n, size int) {
		for i := len(all) - 1; i >= 0 && n < records; i-- {
			e := &all[i]
			if taken[i] || e.at.Before(since) || !want(e) {
				continue
			}
			if size+len(e.text) > bytes {
				break
			}
			taken[i] = true
			n++
			size += len(e.text)
		}
		return n, size
	}
	n, size := pick((records+1)/2, (bytes+1)/2, ours)
	pick(records-n, bytes-size, func(e *entry) bool {
		return len(q.Packages) == 0 || ours(e) || q.from(names, e.pc)
	})
	var found []entry
	for i, ok := range taken {
		if ok {
			found = append(found, all[i])
		}
	}
	return found
}

// from says whether a call lies in one of the packages.
func (q LogQuery) from(names map[uintptr]string, pc uintptr) bool {
	name, known := names[pc]
	if !known {
		name = packageOf(pc)
		names[pc] = name
	}
	for _, p := range q.Packages {
		if rest, ok := strings.CutPrefix(name, p); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// packageOf is the import path of the function at pc; "" when there is none.
func packageOf(pc uintptr) string {
	if pc == 0 {
		return ""
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	dir, last := "", f.Function
	if i := strings.LastIndexByte(last, '/'); i >= 0 {
		dir, last = last[:i+1], last[i+1:]
	}
	last, _, _ = strings.Cut(last, ".")
	return dir + strings.ReplaceAll(last, "%2e", ".") // points within the last part of a path are written so
}
