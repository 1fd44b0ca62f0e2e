package selfheal

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/selfheal-go/selfheal/evidence"
	"github.com/selfheal-go/selfheal/internal/console"
)

// keptEvidence lists what the supervisor's own store keeps of an incident: the
// bundles that were made for it and those that it names, for hundreds that fall ill
// together share one. Each is followed by its files.
func (s *Supervisor) keptEvidence(id string, named []console.Evidence) ([]console.Evidence, error) {
	s.mu.Lock()
	k := s.keeper
	s.mu.Unlock()
	if k == nil {
		return nil, nil
	}
	infos, err := k.store.List()
	if err != nil {
		return nil, err
	}
	var all []console.Evidence
	for _, i := range infos {
		if i.Incident != id && !slices.ContainsFunc(named, func(e console.Evidence) bool { return e.Ref == i.Ref }) {
			continue
		}
		name := "bundle"
		if i.Incident == id && i.Attempt > 0 {
			name += ", rung " + strconv.Itoa(i.Attempt)
		}
		all = append(all, console.Evidence{Name: name, Type: "application/zip", Ref: i.Ref, Bytes: i.Bytes, At: i.At})
		for _, f := range i.Files {
			all = append(all, console.Evidence{Name: f.Name, Type: f.Type, Ref: i.Ref + "/" + f.Name, Bytes: f.Bytes, At: i.At})
		}
	}
	return all, nil
}

// openEvidence asks a store, which may be the application's: its code may panic.
func (s *Supervisor) openEvidence(ref string) (content io.ReadSeekCloser, err error) {
	defer func() {
		if x := recover(); x != nil {
			s.counts.panics.Add(1)
			content, err = nil, newPanic("Options.Console.Evidence", x)
		}
	}()
	content, err = s.evidenceOpener()(ref)
	if err == nil && content == nil {
		return nil, fmt.Errorf("Options.Console.Evidence returned nothing for %.80q: %w", ref, evidence.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &guarded{s, content}, nil
}

// guarded is a reader of the application's, whose code may panic.
type guarded struct {
	s *Supervisor
	r io.ReadSeekCloser
}

func (g *guarded) safe(err *error) {
	if x := recover(); x != nil {
		g.s.counts.panics.Add(1)
		*err = newPanic("Options.Console.Evidence", x)
	}
}

func (g *guarded) Read(b []byte) (n int, err error) {
	defer g.safe(&err)
	return g.r.Read(b)
}

func (g *guarded) Seek(offset int64, whence int) (n int64, err error) {
	defer g.safe(&err)
	return g.r.Seek(offset, whence)
}

func (g *guarded) Close() (err error) {
	defer g.safe(&err)
	return g.r.Close()
}
