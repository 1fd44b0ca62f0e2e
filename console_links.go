package selfheal

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// ackLinkFor is how long the link of a notice acknowledges. One that approves or
// rejects lasts as long as the proposal.
const ackLinkFor = 24 * time.Hour

// links makes the signed links of notices, and knows which were used.
type links struct {
	signer *console.Signer // nil: there are none

	mu   sync.Mutex // never held while anything of others runs
	used map[string]time.Time
}

func newLinks(o *ConsoleOptions, j *Journal) *links {
	l := &links{used: map[string]time.Time{}}
	l.signer, _ = console.NewSigner(o.BaseURL, o.LinkKeys) // Validate says what is wrong
	if j != nil {
		j.mu.Lock()
		for id, until := range j.links {
			l.used[id] = until
		}
		j.mu.Unlock()
	}
	return l
}

// linksFor are the links of a notice for one target. A target that is only
// informed gets none, nor does one that is informed beside being called: what
// it is told may be read by anybody.
func (s *Supervisor) linksFor(target string, n *escalate.Notification) []escalate.Link {
	base := s.o.Console.BaseURL
	if base == "" || n.Test || !s.called(target, n.Incident.Watch) {
		return nil
	}
	if n.Count > 0 || n.Incident.Opened.IsZero() {
		return []escalate.Link{{Text: "Console", Href: base}}
	}
	all := []escalate.Link{{Text: "Console", Href: console.IncidentURL(base, n.Incident.ID)}}
	if s.links.signer == nil || n.Kind == escalate.Resolve {
		return all
	}
	add := func(text, kind, proposal, fingerprint string, expires time.Time) {
		once := n.ID + "/" + target + "/" + kind
		if href, err := s.links.signer.Link(once, kind, n.Incident.ID, proposal, fingerprint, expires); err == nil {
			all = append(all, escalate.Link{Text: text, Href: href})
		}
	}
	if p := n.Incident.Proposal; p != "" {
		ps := s.Status().Proposals
		if at := slices.IndexFunc(ps, func(x Proposal) bool { return x.ID == p }); at >= 0 {
			x := &ps[at]
			add("Approve "+x.Step, console.Approving, x.ID, x.Fingerprint, x.Expires)
			add("Reject "+x.Step, console.Rejecting, x.ID, x.Fingerprint, x.Expires)
		}
	}
	add("Acknowledge", console.Acking, "", "", n.At.Add(ackLinkFor))
	return all
}

// called says whether the policy of a watch calls a target, and does not merely
// inform it.
func (s *Supervisor) called(target, watch string) bool {
	s.mu.Lock()
	plan := s.fallback
	if e := s.entries[watch]; e != nil && e.plan != nil {
		plan = e.plan
	}
	s.mu.Unlock()
	if plan == nil || slices.Contains(plan.Inform, target) {
		return false
	}
	return slices.ContainsFunc(plan.Levels, func(l outbox.Level) bool { return slices.Contains(l.To, target) })
}

// useLink marks a link as used until it expires. [console.ErrUsed] where it was.
func (s *Supervisor) useLink(id string, expires time.Time) error {
	l, now := s.links, time.Now()
	l.mu.Lock()
	for id, until := range l.used {
		if now.After(until) {
			delete(l.used, id)
		}
	}
	_, was := l.used[id]
	l.used[id] = expires
	l.mu.Unlock()
	if was {
		return console.ErrUsed
	}
	if j := s.o.Journal; j != nil {
		if err := j.linkUsed(id, expires).wait(); err != nil {
			l.mu.Lock()
			delete(l.used, id) // it did nothing
			l.mu.Unlock()
			return fmt.Errorf("selfheal: nothing was done: that the link was used is not on record: %w", err)
		}
	}
	return nil
}

// usedLink is the record of a link that is good no longer.
type usedLink struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

func (j *Journal) linkUsed(id string, expires time.Time) *write {
	payload, err := json.Marshal(usedLink{id, expires})
	if err != nil {
		return written(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keepLink(usedLink{id, expires}, thing{typeLink, payload})
	return j.append([]journal.Entry{{Type: typeLink, Payload: payload}})
}

// keepLink holds what says that a link was used, until it expires anyway. j.mu is
// held, or nobody else has j yet.
func (j *Journal) keepLink(u usedLink, t thing) {
	now := time.Now()
	for id, until := range j.links {
		if now.After(until) {
			delete(j.links, id)
			delete(j.things, "link/"+id)
		}
	}
	if now.After(u.Expires) {
		return
	}
	if j.links == nil {
		j.links = map[string]time.Time{}
	}
	j.links[u.ID] = u.Expires
	j.things["link/"+u.ID] = t
}
