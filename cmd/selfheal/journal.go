package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// The types of records, as the root package writes them. They never change their
// meaning; a test reads what a supervisor wrote.
const (
	typeIncident uint16 = 1
	typeNotice   uint16 = 2
	typeAudit    uint16 = 3
)

// entry is a line of the journal, as -o json prints it.
type entry struct {
	Seq      uint64          `json:"seq,omitempty"`
	Time     time.Time       `json:"time"`
	Kind     string          `json:"kind"` // event, engine, notice, other, damage
	Watch    string          `json:"watch,omitempty"`
	Key      string          `json:"key,omitempty"`
	Incident string          `json:"incident,omitempty"`
	Text     string          `json:"text,omitempty"`
	Record   json.RawMessage `json:"record,omitempty"`
}

// readJournal prints what a journal says happened. It takes no lock, so that it
// can be asked while the service runs.
func readJournal(ctx context.Context, c *call) error {
	r, err := journal.NewReader(c.args[0])
	if err != nil {
		return &statusError{404, err.Error()}
	}
	if c.verify {
		return c.verifyJournal(r)
	}
	seen := map[[16]byte]bool{} // a snapshot says again what the history said
	damaged := 0
	for rec, err := range r.All() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var d *journal.Damage
		switch {
		case errors.As(err, &d):
			if d.Kind != journal.Torn {
				damaged++
			}
			c.entry(entry{Kind: "damage", Text: d.Error()})
			continue
		case err != nil:
			return err
		}
		if e, ok := read(&rec); ok && (e.Kind == "event" || c.all) {
			sum := sha256.Sum256(rec.Payload)
			if of := [16]byte(sum[:16]); !seen[of] {
				seen[of] = true
				c.entry(e)
			}
		}
	}
	if damaged > 0 {
		fmt.Fprintf(c.err, "selfheal: the journal is damaged in %d places: selfheal journal %s -verify says what is lost\n", damaged, printable(c.args[0]))
		return errNo
	}
	return nil
}

// read is a record as an entry.
func read(rec *journal.Record) (entry, bool) {
	e := entry{Seq: rec.Seq, Time: rec.Wall, Kind: "other"}
	switch rec.Type {
	case typeAudit:
		e.Kind = "event"
		seq := e.Seq
		if err := json.Unmarshal(rec.Payload, &e); err != nil {
			e.Text = fmt.Sprintf("a line that cannot be read: %v", err)
		}
		e.Seq, e.Kind, e.Record = seq, "event", nil
		return e, true
	case typeIncident:
		e.Kind = "engine"
	case typeNotice:
		e.Kind = "notice"
	}
	if json.Valid(rec.Payload) {
		e.Record = append(json.RawMessage(nil), rec.Payload...)
	}
	return e, true
}

func (c *call) entry(e entry) {
	if c.json() {
		if data, err := json.Marshal(e); err == nil {
			fmt.Fprintln(c.out, string(data))
		}
		return
	}
	switch {
	case e.Kind == "damage":
		c.say("DAMAGE %s", e.Text)
	case e.Kind == "event":
		c.say("%s %s", at(e.Time), e.Text)
	default:
		text := string(e.Record)
		if len(text) > 300 {
			text = text[:300] + "…"
		}
		c.say("%s (%s %d) %s", at(e.Time), e.Kind, e.Seq, text)
	}
}

// verifyJournal says whether a journal is whole.
func (c *call) verifyJournal(r *journal.Reader) error {
	rep, err := r.Verify()
	if err != nil {
		return err
	}
	damage := make([]string, 0, len(rep.Damage))
	for _, d := range rep.Damage {
		damage = append(damage, d.Error())
	}
	if c.json() {
		data, err := json.Marshal(struct {
			Sound    bool     `json:"sound"`
			Segments int      `json:"segments"`
			Records  uint64   `json:"records"`
			Snapshot uint64   `json:"snapshot_records"`
			Next     uint64   `json:"next"`
			Lost     uint64   `json:"lost"`
			Damage   []string `json:"damage"`
		}{rep.Sound(), rep.Segments, rep.Records, rep.Snapshot, rep.Next, rep.Lost(), damage})
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, string(data))
	} else {
		c.say("files: %d, records: %d, in a snapshot: %d, the next record: %d", rep.Segments, rep.Records, rep.Snapshot, rep.Next)
		for _, d := range damage {
			c.say("%s", d)
		}
		if rep.Sound() {
			c.say("nothing that is needed is missing")
		} else {
			c.say("DAMAGED: %d records are lost; a supervisor that gets this journal starts halted", rep.Lost())
		}
	}
	if !rep.Sound() {
		return errNo
	}
	return nil
}
