package goruntime

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Bounds of what is written to a folder of evidence.
const (
	keepFiles    = 16
	keepBytes    = 32 << 20 // a file
	ownPrefix    = "goruntime-"
	listedSites  = 20
	evidenceMode = 0o700
)

// Evidence returns a gatherer that writes profiles of this process to a folder of
// ours: of "goroutine", and of "heap" or "mutex" where asked. It makes the folder,
// keeps the 16 newest of its own files, whose names begin with "goruntime-", and
// leaves no part of a file that could not be written in full. Mutexes are profiled
// only where the program has that switched on already: nothing here changes a rate.
func Evidence(dir string, profiles ...string) escalate.Gatherer {
	return escalate.GathererFunc(func(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
		var kept []escalate.Evidence
		var errs []error
		for _, name := range profiles {
			if name == "mutex" && runtime.SetMutexProfileFraction(-1) <= 0 {
				continue
			}
			if ctx.Err() != nil {
				return kept, errors.Join(append(errs, context.Cause(ctx))...)
			}
			e, err := keepProfile(dir, name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			kept = append(kept, e)
		}
		return kept, errors.Join(errs...)
	})
}

// keepProfile writes one profile in the compressed form that go tool pprof reads,
// which is also the cheap one.
func keepProfile(dir, name string) (e escalate.Evidence, err error) {
	p := pprof.Lookup(name)
	if p == nil {
		return e, fmt.Errorf("goruntime: evidence: there is no profile %q", name)
	}
	var text bytes.Buffer
	if err := p.WriteTo(&text, 0); err != nil {
		return e, fmt.Errorf("goruntime: evidence: %w", err)
	}
	if text.Len() > keepBytes {
		return e, fmt.Errorf("goruntime: evidence: the profile %s has %d bytes, more than %d", name, text.Len(), keepBytes)
	}
	if err := os.MkdirAll(dir, evidenceMode); err != nil {
		return e, fmt.Errorf("goruntime: evidence: %w", err)
	}
	if err := makeRoom(dir); err != nil {
		return e, fmt.Errorf("goruntime: evidence: %w", err)
	}
	now := time.Now()
	f, err := os.CreateTemp(dir, ownPrefix+now.UTC().Format("20060102T150405.000000000")+"-"+name+"-*.pprof")
	if err != nil {
		return e, fmt.Errorf("goruntime: evidence: %w", err)
	}
	size := int64(text.Len())
	_, err = io.Copy(f, &text)
	if err = errors.Join(err, f.Close()); err != nil {
		return e, fmt.Errorf("goruntime: evidence: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return escalate.Evidence{Name: name + " profile", Type: "application/vnd.google.protobuf+gzip", Ref: f.Name(), Bytes: size, At: now}, nil
}

// makeRoom removes the oldest of our own files; their names order them.
func makeRoom(dir string) error {
	root, err := os.OpenRoot(dir) // no link leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		return !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), ownPrefix) || filepath.Ext(e.Name()) != ".pprof"
	})
	var errs []error
	for len(entries) >= keepFiles { // ReadDir sorts by name
		errs = append(errs, root.Remove(entries[0].Name()))
		entries = entries[1:]
	}
	return errors.Join(errs...)
}

// keepStacks keeps what explains a restart: the profile of all goroutines in dir,
// or the commonest sites in the log.
func keepStacks(dir string, req remediate.Request) error {
	if dir != "" {
		_, err := keepProfile(dir, "goroutine")
		return err
	}
	log := req.Log
	if log == nil {
		log = slog.Default()
	}
	var film camera
	shot := film.take(runtime.NumGoroutine(), newSites(nil))
	sites := slices.SortedFunc(maps.Keys(shot.counts), func(a, b *site) int {
		return cmp.Or(cmp.Compare(shot.counts[b], shot.counts[a]), strings.Compare(a.key, b.key))
	})
	for _, at := range sites[:min(len(sites), listedSites)] {
		log.Warn("selfheal: goroutines before the process is replaced",
			"count", shot.counts[at], "site", at.key, "stack", text(shot.stacks[at].stack))
	}
	return nil
}
