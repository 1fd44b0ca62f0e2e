package sqlpool

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Verdicts of the watch "leak", in the label "verdict" of its findings.
const (
	// Proven: the rows became garbage before they were closed. Nobody can return
	// the connection any more.
	Proven = "proven"
	// Suspected: the connection is held and was not used for long.
	Suspected = "suspected"
)

// leaks finds connections that are not given back, one finding a site.
type leaks struct{ p *pack }

// Validate returns what is wrong with the options.
func (d leaks) Validate() error {
	if d.p.problem == nil && d.p.o.Tracker == nil {
		return errUntracked
	}
	return d.p.problem
}

var errUntracked = fmt.Errorf("sqlpool: Options.Tracker is nil, without which nobody knows who holds a connection: open the database by Tracker.Open, or leave the watch leak out")

// Detect looks at every checkout. It allocates nothing while none is suspect.
func (d leaks) Detect(ctx context.Context) ([]detect.Finding, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	s, err := d.p.see(ctx)
	if err != nil {
		return nil, err
	}
	after := d.p.o.LeakAfter
	if !s.lost && (after < 0 || s.quiet < after) {
		return nil, nil
	}
	var found []detect.Finding
	for _, g := range d.p.groups(d.p.leaked) {
		found = append(found, g.finding())
	}
	return found, nil
}

// leaked says whether a checkout counts as a leak.
func (p *pack) leaked(h *hold, at origin) bool {
	switch {
	case h.taken:
		return false
	case proven(h, at):
		return true
	case p.o.LeakAfter < 0 || h.idle < p.o.LeakAfter:
		return false
	}
	return !mayGoOn(h)
}

// proven says that the connection can never be returned. Of a *sql.Conn the rows may
// be lost and the connection not.
func proven(h *hold, at origin) bool { return h.lost && at.kind == kindRows }

// granted is what the context of a checkout says about how long it may last: by
// AllowHold (d, negative for ever), or that it ends by itself, after which database/sql
// returns the connection. It calls methods of the context, which may be the program's.
func granted(h *hold) (d time.Duration, ok bool) {
	if h.ctx == nil {
		return 0, false
	}
	if d, ok := h.ctx.Value(allowKey{}).(time.Duration); ok {
		return d, true
	}
	if until, ok := h.ctx.Deadline(); ok && h.ctx.Err() == nil && time.Until(until) > 0 {
		return -1, true
	}
	return 0, false
}

// mayGoOn says whether a checkout has been granted the time that it takes.
func mayGoOn(h *hold) bool {
	d, ok := granted(h)
	return ok && (d < 0 || h.held <= d)
}

// due says when a checkout may be taken while others wait, in words why, and whether
// it ever may.
func (p *pack) due(h *hold, at origin) (in time.Duration, why string, ever bool) {
	if h.taken || h.raw {
		return 0, "", false
	}
	if proven(h, at) {
		return 0, unreachable, true
	}
	if d, ok := granted(h); ok {
		return d - h.held, "it was held for longer than the " + short(d) + " that AllowHold gave it", d >= 0
	}
	if p.o.MaxHold >= 0 {
		in, ever = p.o.MaxHold-h.held, true
		why = "it was held for longer than " + short(p.o.MaxHold) + " while others waited"
	}
	if left := p.o.IdleHold - h.idle; p.o.IdleHold >= 0 && !h.busy && (!ever || left < in) {
		in, ever = left, true
		why = "it was not used for " + short(h.idle) + " while others waited"
	}
	return in, why, ever
}

const unreachable = "its rows were never closed and cannot be reached any more"

// overdue says in words why a checkout may be taken now, "" if it may not.
func (p *pack) overdue(h *hold, at origin) string {
	if in, why, ever := p.due(h, at); ever && in <= 0 {
		return why
	}
	return ""
}

// group is the checkouts of one site.
type group struct {
	at     origin
	count  int
	held   time.Duration // the longest
	idle   time.Duration
	lost   int
	behalf string // of the longest
}

// groups collects checkouts by their site, the largest group first.
func (p *pack) groups(want func(*hold, origin) bool) []*group {
	t := p.o.Tracker
	bySite := map[string]*group{}
	var all []*group
	list := t.holds()
	for i := range list {
		h := &list[i]
		at := t.locate(h)
		if !want(h, at) {
			continue
		}
		g := bySite[at.site]
		if g == nil {
			g = &group{at: at}
			bySite[at.site] = g
			all = append(all, g)
		}
		g.count++
		if proven(h, at) {
			g.lost++
		}
		if h.held >= g.held {
			g.held, g.behalf = h.held, t.describe(h.ctx)
		}
		g.idle = max(g.idle, h.idle)
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.at.site, b.at.site))
	})
	return all
}

// String is the group in a line.
func (g *group) String() string {
	text := fmt.Sprintf("%d × %s: %s, for up to %s, without a call for up to %s", g.count, g.at.site, g.at.kind, short(g.held), short(g.idle))
	if g.behalf != "" {
		text += ", the longest for " + g.behalf
	}
	return text
}

func (g *group) finding() detect.Finding {
	verdict, text := Suspected, fmt.Sprintf("%s since %s without a call: %s", plural(g.count), short(g.idle), words(g.at.kind))
	if g.lost > 0 {
		verdict, text = Proven, fmt.Sprintf("%s cannot be returned any more: %s", plural(g.lost), words(g.at.kind))
		if g.count > g.lost {
			text = fmt.Sprintf("%d of %s cannot be returned any more: %s", g.lost, plural(g.count), words(g.at.kind))
		}
	}
	f := detect.Finding{
		Key: g.at.site, Summary: text, Labels: map[string]string{"verdict": verdict, "kind": g.at.kind},
		Evidence: []slog.Attr{
			slog.Int("connections", g.count), slog.Duration("held", g.held), slog.Duration("without_a_call", g.idle),
			slog.String("stack", strings.Join(g.at.stack, " ← ")),
		},
	}
	if g.behalf != "" {
		f.Evidence = append(f.Evidence, slog.String("for", g.behalf))
	}
	return f
}

func plural(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
