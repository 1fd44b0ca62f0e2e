package disk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Survey returns a gatherer that says how large the files of each directory are
// and by how much they grew since it was asked before: where to look first. It
// counts a directory itself, not what lies deeper, and stops when its time is
// over; what it counted by then is said to be a part. Directories that are not
// safe to enter are left out.
func Survey(dirs ...string) escalate.Gatherer {
	s := &survey{dirs: slices.Clone(dirs), last: map[string]sum{}}
	return escalate.GathererFunc(s.gather)
}

type survey struct {
	dirs []string

	mu   sync.Mutex
	last map[string]sum
}

type sum struct {
	bytes int64
	at    time.Time
}

func (s *survey) gather(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
	var seen []escalate.Evidence
	for _, dir := range s.dirs {
		if ctx.Err() != nil {
			break
		}
		bytes, whole, err := sizeOf(ctx, dir)
		if err != nil {
			continue
		}
		now := time.Now()
		e := escalate.Evidence{Name: "size of the files in " + dir, Type: "inode/directory", Ref: dir, Bytes: bytes, At: now}
		if !whole {
			e.Name = "part of the s" + e.Name[1:]
		} else {
			s.mu.Lock()
			if before, ok := s.last[dir]; ok {
				e.Name += fmt.Sprintf(", %s in %s", change(bytes-before.bytes), now.Sub(before.at).Round(time.Second))
			}
			s.last[dir] = sum{bytes, now}
			s.mu.Unlock()
		}
		seen = append(seen, e)
	}
	return seen, nil
}

func change(bytes int64) string {
	if bytes < 0 {
		return "less by " + size(uint64(-bytes))
	}
	return "grown by " + size(uint64(bytes))
}
