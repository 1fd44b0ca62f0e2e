package pagerduty

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

// maxKeys bounds how many incidents are remembered. The oldest go first.
const maxKeys = 10_000

// past is the last event of each dedup key that was handled.
type past struct {
	store  detect.Store
	window time.Duration

	mu   sync.Mutex
	last map[string]*last
}

type last struct {
	at   time.Time // zero while the first is under way
	id   string
	busy bool
}

// begun is an event under way.
type begun struct {
	p *past
	a Acknowledgement
}

// begin says why an event is not to be told, or marks its key as busy.
func (p *past) begin(a Acknowledgement) (begun, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.last[a.DedupKey]
	switch {
	case l == nil:
		p.room()
		l = &last{}
		p.last[a.DedupKey] = l
	case l.busy:
		return begun{}, receive.Busy
	case a.At.Before(l.at):
		return begun{}, receive.Older
	case a.At.Equal(l.at) && a.ID == l.id:
		return begun{}, repeated
	}
	l.busy = true
	return begun{p, a}, ""
}

// end notes whether the event was told.
func (b begun) end(told bool) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	l := b.p.last[b.a.DedupKey]
	l.busy = false
	switch {
	case told:
		l.at, l.id = b.a.At, b.a.ID
	case l.at.IsZero():
		delete(b.p.last, b.a.DedupKey)
	}
}

// room forgets what the window refuses anyway, and the oldest where that is not
// enough. What is busy stays: begin must find it. p.mu is held.
func (p *past) room() {
	if len(p.last) < maxKeys {
		return
	}
	horizon := time.Now().Add(-p.window)
	oldest := ""
	for key, l := range p.last {
		switch {
		case l.busy:
		case l.at.Before(horizon):
			delete(p.last, key)
		case oldest == "" || l.at.Before(p.last[oldest].at):
			oldest = key
		}
	}
	if len(p.last) >= maxKeys {
		delete(p.last, oldest)
	}
}

// stored is an event in the store.
type stored struct {
	Version int       `json:"v"`
	At      time.Time `json:"at"`
	ID      string    `json:"id"`
}

const prefix = kind + "/"

// keep makes it durable that an event was told.
func (p *past) keep(ctx context.Context, a Acknowledgement) (err error) {
	if p.store == nil {
		return nil
	}
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the Store panicked: %v", x)
		}
	}()
	value, err := json.Marshal(stored{Version: 1, At: a.At, ID: a.ID})
	if err != nil {
		return err
	}
	return p.store.Put(ctx, detect.Entry{Key: prefix + a.DedupKey, Value: value})
}

// restore reads what is in the window; the rest is deleted.
func (p *past) restore(log *slog.Logger) (err error) {
	if p.store == nil {
		return nil
	}
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the Store panicked: %v", x)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	entries, err := p.store.Load(ctx)
	if err != nil {
		return err
	}
	horizon := time.Now().Add(-p.window)
	var old []string
	for _, e := range entries {
		key, ours := strings.CutPrefix(e.Key, prefix)
		if !ours {
			continue
		}
		var s stored
		if err := json.Unmarshal(e.Value, &s); err != nil || s.Version != 1 {
			// Forgetting one may tell an event twice; that is what callbacks bear.
			log.LogAttrs(ctx, slog.LevelWarn, "selfheal: a stored event cannot be read and is forgotten",
				slog.String("receiver", kind), slog.String("key", key))
			old = append(old, e.Key)
			continue
		}
		if s.At.Before(horizon) {
			old = append(old, e.Key)
			continue
		}
		p.room()
		p.last[key] = &last{at: s.At, id: s.ID}
	}
	if len(old) == 0 {
		return nil
	}
	return p.store.Delete(ctx, old...)
}
