package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// mostGoroutines bounds profiles of goroutines, which take half a KiB of memory
// and microseconds of processor time for each.
const mostGoroutines = 150_000

// Goroutines is goroutines.txt: each stack once, with how many goroutines have it
// and their labels, the commonest first. At most 1,000 stacks are written, and none
// of more than 150,000 goroutines.
//
// It stops the world for a moment that does not grow with their number, since the
// stacks are taken one by one while the program runs (Go 1.19 and later). What a
// panic prints would stop it for as long as all of them take to print.
func Goroutines() Part { return new(stacks).text() }

// GoroutineProfile is goroutine.pb.gz: the same, for go tool pprof.
func GoroutineProfile() Part { return new(stacks).profile() }

// stacks are both files from one look at the goroutines, which is what costs.
type stacks struct {
	share bool // the profile is captured before the text

	mu  sync.Mutex
	raw []byte
	at  time.Time
}

// fresh is how old a look may be: as old as one capture lasts.
const fresh = 5 * time.Second

func (s *stacks) profile() Part {
	return Part{Name: "goroutine.pb.gz", Type: ProfileType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		at := time.Now()
		raw, err := lookAtGoroutines()
		if err != nil {
			return err
		}
		if s.share {
			s.mu.Lock()
			s.raw, s.at = raw, at
			s.mu.Unlock()
		}
		_, err = w.Write(raw)
		return err
	}}
}

func (s *stacks) text() Part {
	return Part{Name: "goroutines.txt", Type: TextType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		s.mu.Lock()
		raw, at := s.raw, s.at
		s.raw = nil
		s.mu.Unlock()
		if raw == nil || time.Since(at) > fresh {
			var err error
			if raw, err = lookAtGoroutines(); err != nil {
				return err
			}
		}
		return writeStacks(w, raw)
	}}
}

func lookAtGoroutines() ([]byte, error) {
	if n := runtime.NumGoroutine(); n > mostGoroutines {
		return nil, fmt.Errorf("there are %d goroutines, and to look at more than %d could take the memory that is left", n, mostGoroutines)
	}
	var raw bytes.Buffer
	err := pprof.Lookup("goroutine").WriteTo(&raw, 0)
	return raw.Bytes(), err
}
