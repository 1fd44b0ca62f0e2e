package selfheal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/journal"
)

// typeAlert is an entry of a detect.Store.
const typeAlert uint16 = 4

// alertRecord is how one is written.
type alertRecord struct {
	Store string `json:"store"`
	Key   string `json:"key"`
	Value []byte `json:"value,omitempty"`
	Gone  bool   `json:"gone,omitempty"`
}

func (r *alertRecord) name() string { return "alert/" + r.Store + "\x00" + r.Key }

// Store returns a store in the journal, for the Config.Store of a receiver: what it
// was told is there in the next life too. The name tells the stores of several
// receivers apart. It returns nil for a nil journal, which a receiver takes for
// memory.
func (j *Journal) Store(name string) detect.Store {
	if j == nil || j.log == nil {
		return nil
	}
	return &alertStore{j: j, name: name}
}

type alertStore struct {
	j    *Journal
	name string
}

// Load returns what earlier lives and this one put.
func (s *alertStore) Load(context.Context) ([]detect.Entry, error) {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	var entries []detect.Entry
	prefix := (&alertRecord{Store: s.name}).name()
	for name, t := range s.j.things {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		var r alertRecord
		if err := json.Unmarshal(t.payload, &r); err != nil {
			return nil, fmt.Errorf("selfheal: journal %s: store %s: %w", s.j.dir, s.name, err)
		}
		entries = append(entries, detect.Entry{Key: r.Key, Value: r.Value})
	}
	slices.SortFunc(entries, func(a, b detect.Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, nil
}

// Put returns once the entries are durable.
func (s *alertStore) Put(ctx context.Context, entries ...detect.Entry) error {
	rs := make([]alertRecord, len(entries))
	for i, e := range entries {
		rs[i] = alertRecord{Store: s.name, Key: e.Key, Value: e.Value}
	}
	return s.write(ctx, rs)
}

// Delete returns once it is durable that the entries are gone.
func (s *alertStore) Delete(ctx context.Context, keys ...string) error {
	rs := make([]alertRecord, len(keys))
	for i, key := range keys {
		rs[i] = alertRecord{Store: s.name, Key: key, Gone: true}
	}
	return s.write(ctx, rs)
}

func (s *alertStore) write(ctx context.Context, rs []alertRecord) error {
	if len(rs) == 0 {
		return nil
	}
	w, err := s.j.alerts(rs)
	if err != nil {
		return err
	}
	settled := make(chan error, 1)
	w.then(func(err error) { settled <- err })
	select {
	case err := <-settled:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDurable, context.Cause(ctx))
	}
}

func (j *Journal) alerts(rs []alertRecord) (*write, error) {
	entries := make([]journal.Entry, len(rs))
	for i := range rs {
		payload, err := json.Marshal(rs[i])
		if err != nil {
			return nil, err
		}
		entries[i] = journal.Entry{Type: typeAlert, Payload: payload}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range rs {
		j.keepAlert(&rs[i], thing{typeAlert, entries[i].Payload})
	}
	return j.append(entries), nil
}

func (j *Journal) keepAlert(r *alertRecord, t thing) {
	if r.Gone {
		delete(j.things, r.name())
		return
	}
	j.things[r.name()] = t
}
