package disk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Survey returns a gatherer that says how many files each directory has, how many
// bytes they take, and by how much both grew since it was asked before: where to
// look first. It counts a directory itself, not what lies deeper, and stops when its time is
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
	files, bytes int64
	at           time.Time
}

func (s *survey) gather(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
	var seen []escalate.Evidence
	for _, dir := range s.dirs {
		if ctx.Err() != nil {
			break
		}
		now, whole, err := sizeOf(ctx, dir)
		if err != nil {
			continue
		}
		now.at = time.Now()
		e := escalate.Evidence{
			Name: fmt.Sprintf("%s in %d files in %s", size(uint64(now.bytes)), now.files, dir),
			Type: "inode/directory", Ref: dir, Bytes: now.bytes, At: now.at,
		}
		if !whole {
			e.Name = "at least " + e.Name
		} else {
			s.mu.Lock()
			if before, ok := s.last[dir]; ok {
				e.Name += now.since(before)
			}
			s.last[dir] = now
			s.mu.Unlock()
		}
		seen = append(seen, e)
	}
	return seen, nil
}

// since says what changed.
func (s sum) since(before sum) string {
	grown, bytes := "more", s.bytes-before.bytes
	if bytes < 0 {
		grown, bytes = "less", -bytes
	}
	return fmt.Sprintf("; %s %s and %+d files in %s", size(uint64(bytes)), grown, s.files-before.files, s.at.Sub(before.at).Round(time.Second))
}
