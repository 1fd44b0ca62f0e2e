package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/console"
)

// overview is what status shows of the status.
type overview struct {
	At            time.Time
	Service       string
	State         string
	Mode          string
	Since         time.Time
	Halted        *console.Halt
	Tilt          string
	Storm         bool
	SafeMode      bool `json:"safe_mode"`
	Proposals     []proposal
	Silences      []console.Silence
	Undeliverable int
	OwedUndos     int `json:"owed_undos"`
}

type proposal struct {
	ID, Incident, Watch, Key, Step, Risk, Scope, Fingerprint string
	Expires                                                  time.Time
}

// held is why nothing is healed; "" when it is.
func (o *overview) held() string {
	var why []string
	if o.Halted != nil {
		why = append(why, fmt.Sprintf("halted by %s since %s: %s", o.Halted.By, at(o.Halted.Since), o.Halted.Reason))
	}
	if o.State != "running" {
		why = append(why, "the supervisor is "+o.State)
	}
	if o.SafeMode {
		why = append(why, "safe mode: the process ended again and again")
	}
	if o.Storm {
		why = append(why, "storm: many are sick at once")
	}
	if o.Tilt != "" {
		why = append(why, "tilt: "+o.Tilt)
	}
	return strings.Join(why, "; ")
}

func status(ctx context.Context, c *call) error {
	var o overview
	data, err := c.client.get(ctx, "api/status", url.Values{"brief": {"1"}}, &o)
	if err != nil {
		return err
	}
	var watches struct{ Counts map[string]int }
	if _, err := c.client.get(ctx, "api/watches", url.Values{"limit": {"1"}}, &watches); err != nil {
		return err
	}
	var open struct {
		Total     int
		Incidents []console.Incident
	}
	if _, err := c.client.get(ctx, "api/incidents", url.Values{"limit": {"20"}}, &open); err != nil {
		return err
	}
	held := o.held()
	if c.json() {
		c.raw(data)
	} else {
		c.say("%s: %s, mode %s", or(o.Service, "selfheal"), o.State, o.Mode)
		if held != "" {
			c.say("NOT HEALING: %s", held)
		}
		counts := make([]string, 0, len(watches.Counts))
		for _, state := range []string{"healthy", "sick", "blind", "unknown", "invalid", "off", "removing"} {
			if n := watches.Counts[state]; n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, state))
			}
		}
		c.say("watches: %s", or(strings.Join(counts, ", "), "none"))
		if o.Undeliverable > 0 {
			c.say("nobody could be reached of %d incidents", o.Undeliverable)
		}
		for _, s := range o.Silences {
			c.say("silenced until %s by %s: %s%s, %s (%s)", at(s.Until), s.By, s.Watch, bracket(s.Key), s.Reason, s.ID)
		}
		for n := range open.Incidents {
			c.incident(&open.Incidents[n])
		}
		if more := open.Total - len(open.Incidents); more > 0 {
			c.say("and %d more: selfheal incidents", more)
		}
	}
	if c.check && (held != "" || open.Total > 0) {
		return errNo
	}
	return nil
}

func incidents(ctx context.Context, c *call) error {
	if len(c.args) == 1 {
		return oneIncident(ctx, c, c.args[0])
	}
	q := url.Values{"limit": {"1000"}, "q": {c.search}}
	switch {
	case c.closed:
		q.Set("state", "closed")
	case c.all:
		q.Set("state", "all")
	}
	var found struct {
		Total     int
		Incidents []console.Incident
	}
	data, err := c.client.get(ctx, "api/incidents", q, &found)
	if err != nil {
		return err
	}
	if c.json() {
		c.raw(data)
		return nil
	}
	for n := range found.Incidents {
		c.incident(&found.Incidents[n])
	}
	if found.Total == 0 {
		c.say("%s", none(c))
	} else if found.Total > len(found.Incidents) {
		c.say("and %d more: narrow it down with -q", found.Total-len(found.Incidents))
	}
	return nil
}

// none says that a list is empty, and no more than that.
func none(c *call) string {
	switch {
	case c.search != "":
		return "none contains that"
	case c.closed || c.all:
		return "none that is remembered"
	}
	return "nothing is wrong"
}

func oneIncident(ctx context.Context, c *call, id string) error {
	var in console.Incident
	data, err := c.client.get(ctx, "api/incident", url.Values{"id": {id}}, &in)
	if err != nil {
		return err
	}
	if c.json() {
		c.raw(data)
		return nil
	}
	c.incident(&in)
	for _, r := range in.Ladder {
		c.say("    %-8s %s (%s, %s)%s%s", r.State, r.Step, r.Risk, r.Scope, colon(r.Outcome), colon(r.Error))
	}
	c.evidence(in.Evidence)
	for _, m := range in.Marks {
		c.say("    %s %s", at(m.At), m.Text)
	}
	return nil
}

// incident prints one on a line, and what it waits for on the next.
func (c *call) incident(in *console.Incident) {
	c.say("%s  %s%s  %s, %s: %s", in.ID, in.Watch, bracket(in.Key), in.Severity, in.State, in.Summary)
	switch {
	case in.Proposal != nil:
		c.say("    asks whether %s may run: selfheal approve %s", in.Proposal.Step, in.Proposal.ID)
	case in.HeldBy != "":
		c.say("    held by %s%s%s", in.HeldBy, colon(in.Why), until(in.Until))
	}
	if in.Told {
		c.say("    people were told%s%s", colon(in.Reason), colon(in.Detail))
	}
	if in.AckedBy != "" {
		c.say("    taken by %s", in.AckedBy)
	}
}

// evidence prints what was captured, a bundle with its files on a line.
func (c *call) evidence(all []console.Evidence) {
	for n := 0; n < len(all); n++ {
		of, files := all[n], []string(nil)
		for n+1 < len(all) && strings.HasPrefix(all[n+1].Ref, of.Ref+"/") {
			n++
			files = append(files, all[n].Name)
		}
		c.say("    evidence %s: %s%s", of.Name, of.Ref, colon(strings.Join(files, " ")))
	}
}

// watch prints what happens until it is interrupted, and comes back when the
// stream ends, as it does every minute.
func watch(ctx context.Context, c *call) error {
	last, fails := "", 0
	for {
		got, err := c.follow(ctx, &last)
		var refused *statusError
		switch {
		case ctx.Err() != nil:
			return nil // an interrupt is how it ends
		case errors.As(err, &refused) && refused.code != http.StatusServiceUnavailable:
			return err
		case got:
			fails = 0
		case err != nil:
			if fails++; fails == 1 {
				fmt.Fprintln(c.err, "selfheal:", printable(err.Error())+"; trying again")
			}
		}
		t := time.NewTimer(min(time.Duration(fails)*2*time.Second+200*time.Millisecond, 30*time.Second))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// silentFor is how long a stream may say nothing at all: it beats every 20 s.
const silentFor = time.Minute

// follow reads one stream to its end.
func (c *call) follow(ctx context.Context, last *string) (got bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(max(c.client.timeout, silentFor), cancel)
	defer watchdog.Stop()
	r, err := c.client.request(ctx, http.MethodGet, "api/events", nil, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		r.Header.Set("Last-Event-ID", *last)
	}
	res, err := c.client.http.Do(r)
	if err != nil {
		return false, fmt.Errorf("the console cannot be reached: %w", shorter(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return false, failure(res, data)
	}
	if err := failure(res, nil); err != nil {
		return false, err
	}
	if *last == "" && !c.json() {
		fmt.Fprintln(c.err, "selfheal: connected; what happens from now on follows")
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	event, id := "", ""
	for lines.Scan() {
		watchdog.Reset(silentFor)
		got = true
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			c.happened(event, value)
			if id != "" {
				*last = id
			}
			event, id = "", ""
		}
	}
	return got, lines.Err()
}

func (c *call) happened(event, data string) {
	switch event {
	case "line":
		if c.json() {
			fmt.Fprintln(c.out, data)
			return
		}
		var l console.Line
		if json.Unmarshal([]byte(data), &l) == nil {
			c.say("%s %s", at(l.Time), l.Text)
		}
	case "gap":
		if !c.json() {
			c.say("… some lines were missed")
		}
	}
}

// say prints a line of text for people, whatever is in it.
func (c *call) say(format string, args ...any) {
	fmt.Fprintln(c.out, line(fmt.Sprintf(format, args...)))
}

// raw prints what the console answered.
func (c *call) raw(data []byte) {
	_, _ = c.out.Write(append(slices.Clip([]byte(strings.TrimSpace(string(data)))), '\n'))
}

func at(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + at(t)
}

func bracket(key string) string {
	if key == "" {
		return ""
	}
	return "[" + key + "]"
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
