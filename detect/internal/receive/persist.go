package receive

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// stored is a record in the store. Fields are added, never given another
// meaning; a version that cannot be read makes its key stale, not healthy.
type stored struct {
	Version  int               `json:"v"`
	Name     string            `json:"name,omitempty"`
	Alias    string            `json:"alias,omitempty"`
	State    State             `json:"state,omitempty"`
	Wide     bool              `json:"wide,omitempty"`
	Start    time.Time         `json:"start,omitzero"`
	End      time.Time         `json:"end,omitzero"`
	Heard    time.Time         `json:"heard"`
	Severity detect.Severity   `json:"severity"`
	Summary  string            `json:"summary,omitempty"`
	Value    float64           `json:"value,omitempty"`
	Limit    float64           `json:"limit,omitempty"`
	Unit     string            `json:"unit,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Evidence [][2]string       `json:"evidence,omitempty"`
}

const storedVersion = 1

// storeKey is the key of an alert in the store; that of "" says when anything
// was heard last.
func (t *Table) storeKey(key string) string { return t.door.Kind + "/" + key }

// persist makes durable what a plan changes. Old bouts are deleted after the new
// levels are kept; one that comes back after a crash only dies again.
func (t *Table) persist(ctx context.Context, p *plan, now time.Time) error {
	if t.o.Store == nil {
		return nil
	}
	var entries []detect.Entry
	add := func(key string, s *stored) error {
		s.Version = storedVersion
		value, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode %q: %w", key, err)
		}
		entries = append(entries, detect.Entry{Key: t.storeKey(key), Value: value})
		return nil
	}
	if p.mark {
		if err := add("", &stored{Heard: now}); err != nil {
			return err
		}
	}
	done := make(map[string]bool, len(p.store))
	for _, key := range p.store {
		if done[key] {
			continue
		}
		done[key] = true
		if err := add(key, p.next[key].stored()); err != nil {
			return err
		}
	}
	if len(entries) > 0 {
		if err := t.guard(func() error { return t.o.Store.Put(ctx, entries...) }); err != nil {
			return err
		}
	}
	if len(p.drop) > 0 {
		keys := make([]string, 0, len(p.drop))
		for key := range p.drop {
			keys = append(keys, t.storeKey(key))
		}
		if err := t.guard(func() error { return t.o.Store.Delete(ctx, keys...) }); err != nil {
			t.door.Log.LogAttrs(ctx, slog.LevelWarn, "selfheal: a receiver could not delete what it no longer needs",
				slog.String("receiver", t.door.Kind), slog.String("error", err.Error()))
		}
	}
	return nil
}

func (r *record) stored() *stored {
	f := &r.finding
	s := &stored{
		Name: r.name, Alias: r.alias, State: r.state, Wide: r.wide, Start: r.start, End: r.end, Heard: r.heard,
		Severity: f.Severity, Summary: f.Summary, Value: f.Value, Limit: f.Limit, Unit: f.Unit, Labels: f.Labels,
	}
	for _, e := range f.Evidence {
		s.Evidence = append(s.Evidence, [2]string{e.Key, e.Value.String()})
	}
	return s
}

// restore reads the store back. What fires is stale until the sender restates it.
func (t *Table) restore() error {
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	var entries []detect.Entry
	err := t.guard(func() (err error) {
		entries, err = t.o.Store.Load(ctx)
		return err
	})
	if err != nil {
		return err
	}
	now := time.Now()
	for _, e := range entries {
		key, ours := strings.CutPrefix(e.Key, t.storeKey(""))
		if !ours {
			continue
		}
		r, err := decode(key, e.Value)
		r.heard = NotAfter(r.heard, now)
		r.kept = r.heard
		if err != nil {
			t.door.Log.LogAttrs(ctx, slog.LevelWarn, "selfheal: a stored alert cannot be read and counts as stale",
				slog.String("receiver", t.door.Kind), slog.String("key", key), slog.String("error", err.Error()))
		}
		switch {
		case key == "":
			if now.Sub(r.heard) < t.o.Expiry && err == nil {
				t.heard, t.kept = r.heard, r.heard
			}
			continue
		case r.state != Resolved:
			t.live++
		}
		t.records[key] = r
	}
	if t.live > 0 && t.heard.IsZero() {
		t.heard = now
	}
	return nil
}

// decode reads one stored alert. With an error it returns what stands for it.
func decode(key string, value []byte) (*record, error) {
	var s stored
	err := json.Unmarshal(value, &s)
	switch {
	case err != nil:
	case s.Version != storedVersion:
		err = fmt.Errorf("it has version %d, and this program knows %d", s.Version, storedVersion)
	case key != "" && (s.State < Firing || s.State > NoData):
		err = fmt.Errorf("it has the unknown state %d", s.State)
	}
	if err != nil {
		f := detect.Finding{Key: key, Summary: "an alert that was stored and cannot be read"}
		return &record{state: Firing, finding: f, restored: true, opaque: true, heard: time.Now()}, err
	}
	f := detect.Finding{
		Key: key, Severity: s.Severity, Summary: s.Summary, Value: s.Value, Limit: s.Limit, Unit: s.Unit, Labels: s.Labels,
	}
	for _, e := range s.Evidence {
		f.Evidence = append(f.Evidence, slog.String(e[0], e[1]))
	}
	return &record{name: s.Name, alias: s.Alias, state: s.State, wide: s.Wide, finding: f, start: s.Start, end: s.End, heard: s.Heard, restored: s.State == Firing}, nil
}
