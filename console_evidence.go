package selfheal

import (
	"io"
	"slices"
	"strconv"

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
	return s.evidenceOpener()(ref)
}
