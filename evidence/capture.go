package evidence

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Gather captures a bundle and puts it into the store, within Options.Time and what
// is left of ctx.
func (g *gatherer) Gather(ctx context.Context, in escalate.Incident) ([]escalate.Evidence, error) {
	if g.problem != nil {
		return nil, g.problem
	}
	if g.o.Off {
		return nil, nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, g.time)
	defer cancel()
	release, err := g.o.Store.captures.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("evidence: capture for incident %s: %w", in.ID, err)
	}
	end, _ := ctx.Deadline()
	// What is captured must be stored in time, too.
	partsEnd := end.Add(-time.Until(end) / 5)
	parts, stop := context.WithDeadline(ctx, partsEnd)
	defer stop()
	c := &capture{
		g: g, in: in, end: partsEnd, room: g.bytes,
		bundle: Bundle{Incident: in.ID, Watch: in.Watch, Key: in.Finding.Key, Attempt: len(in.Attempts), At: began},
	}
	for _, p := range g.first {
		c.part(parts, p)
	}
	for i, other := range g.o.Gatherers {
		c.elsewhere(parts, fmt.Sprintf("Gatherers[%d]", i), other)
	}
	for _, p := range g.last {
		c.part(parts, p)
	}
	return c.store(ctx, release)
}

// capture is one under way.
type capture struct {
	g      *gatherer
	in     escalate.Incident
	end    time.Time // of its parts
	room   int64     // bytes that are left
	bundle Bundle
	errs   []error
}

// mostText bounds one part that is text: nobody reads on beyond it.
const mostText = 1 << 20

// part captures one file, and notes in the bundle what is missing of it.
func (c *capture) part(ctx context.Context, p Part) {
	if c.room <= 0 {
		c.miss(p.Name, fmt.Errorf("left out: the %d bytes of a capture are spent: raise Options.Bytes", c.g.bytes))
		return
	}
	cut := canBeCut(p.Type)
	most := c.room
	if cut {
		most = min(most, mostText)
	}
	buf := &buffer{most: int(most)}
	err := c.run(ctx, p.Name, func(ctx context.Context) error { return p.Write(ctx, c.in, buf) })
	data, full := buf.take()
	if full {
		err = nil // whatever it said to that
	}
	switch {
	case err == nil && !full:
	case cut:
		data = wholeLines(data, len(data))
	case full:
		c.miss(p.Name, fmt.Errorf("left out: it has more than the %d bytes that are left for it", most))
		return
	default:
		c.miss(p.Name, err)
		return
	}
	var clean File
	if len(data) > 0 {
		late, redacting := within(ctx, 0, func() (err error) {
			clean, err = c.g.o.Store.clean.file(File{Name: p.Name, Type: p.Type, Data: data})
			return err
		})
		switch {
		case late:
			c.miss(p.Name, errors.New("left out: there was no time to redact it: raise Options.Time"))
			return
		case redacting != nil:
			c.miss(p.Name, fmt.Errorf("left out: %w", redacting))
			return
		}
		if cut && int64(len(clean.Data)) > most { // masks can be longer than what they hide
			clean.Data, full = wholeLines(clean.Data, int(most)), true
		}
		if int64(len(clean.Data)) > most {
			c.miss(p.Name, fmt.Errorf("left out: it has more than the %d bytes that are left for it", most))
			return
		}
	}
	switch {
	case err != nil:
		c.miss(p.Name, err)
	case full:
		c.note(p.Name, fmt.Sprintf("cut at %d bytes", most))
	case len(clean.Data) == 0:
		c.note(p.Name, "it wrote nothing")
	}
	if len(clean.Data) > 0 {
		c.bundle.Files = append(c.bundle.Files, clean)
		c.room -= int64(len(clean.Data))
	}
}

// elsewhere asks a gatherer of the application, which keeps what it finds.
func (c *capture) elsewhere(ctx context.Context, name string, other escalate.Gatherer) {
	var found []escalate.Evidence
	late, err := c.call(ctx, name, func(ctx context.Context) (err error) {
		found, err = other.Gather(ctx, c.in)
		return err
	})
	if err != nil {
		c.miss(name, err)
	}
	if !late {
		c.bundle.Elsewhere = append(c.bundle.Elsewhere, found...)
	}
}

func (c *capture) run(ctx context.Context, name string, f func(context.Context) error) error {
	_, err := c.call(ctx, name, f)
	return err
}

// call gives the application's code half of the time that is left, so that one
// that hangs does not take it from all the others.
func (c *capture) call(ctx context.Context, name string, f func(context.Context) error) (late bool, err error) {
	left := time.Until(c.end)
	if left <= 0 || ctx.Err() != nil {
		return true, fmt.Errorf("left out: the %v of a capture are spent: raise Options.Time, or disable what takes long", c.g.time)
	}
	leave, err := c.g.o.Store.captures.enter(caller{c.g, name})
	if err != nil {
		return true, err
	}
	ctx, cancel := context.WithTimeout(ctx, left/2)
	defer cancel()
	late, err = within(ctx, left/10, func() error {
		defer leave()
		return f(ctx)
	})
	if late {
		err = fmt.Errorf("left behind: it did not return within %v: let it honour its context", (left / 2).Round(time.Millisecond))
	}
	return late, err
}

func (c *capture) note(part, why string) {
	c.bundle.Notes = append(c.bundle.Notes, Note{Part: part, Why: why})
}

// miss notes what is missing; unless there is nothing to capture, it is an error
// of the capture too.
func (c *capture) miss(part string, err error) {
	why := err.Error()
	if p := (*panicked)(nil); errors.As(err, &p) {
		why += "\n" + p.stack
	}
	c.note(part, why)
	if !errors.Is(err, ErrAbsent) {
		c.errs = append(c.errs, fmt.Errorf("evidence: %s: %w", part, err))
	}
}

// store puts the bundle into the store and ends the turn, when the store is done
// with it.
func (c *capture) store(ctx context.Context, release func()) ([]escalate.Evidence, error) {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		release()
		return nil, fmt.Errorf("evidence: capture for incident %s: %w", c.in.ID, cause)
	}
	all := c.bundle.Elsewhere
	if len(c.bundle.Files) == 0 {
		release()
		return all, errors.Join(append(c.errs, errors.New("evidence: nothing was captured"))...)
	}
	var info Info
	var address string
	late, err := within(ctx, 0, func() (err error) {
		defer release()
		if info, err = c.g.o.Store.put(ctx, c.bundle); err == nil {
			address = c.g.link(info.Ref)
		}
		return err
	})
	switch {
	case late:
		return all, errors.Join(append(c.errs, errors.New("evidence: the store did not take the bundle in time: is its disk well?"))...)
	case err != nil:
		return all, errors.Join(append(c.errs, err)...)
	}
	names := make([]string, len(info.Files))
	for i, f := range info.Files {
		names[i] = f.Name
	}
	e := escalate.Evidence{
		Name: "bundle of " + strings.Join(names, ", "), Type: zipType, Ref: address, Bytes: info.Bytes, At: info.At,
	}
	return append([]escalate.Evidence{e}, all...), errors.Join(c.errs...)
}

// link asks the application for an address; its panic costs only that.
func (g *gatherer) link(ref string) (address string) {
	if g.o.Link == nil {
		return ref
	}
	defer func() {
		if recover() != nil {
			address = ref
		}
	}()
	return g.o.Link(ref)
}

// canBeCut says whether the first lines of a file are of use without the rest.
func canBeCut(mediaType string) bool {
	base, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (base == LinesType || strings.HasPrefix(base, "text/"))
}
