package journal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// small makes a few records fill a segment.
var small = journal.LogOptions{SegmentBytes: 4096, Segments: 3, MaxSegments: 16, History: 3}

const (
	typeNumber = 7 // the payload begins with the next number
	typeState  = 8 // of a snapshot: the payload begins with the last number, then padding
)

// An owner counts: the whole state is the last number, and every record holds the
// next. So a record that is lost, invented or out of order cannot hide.
type owner struct {
	log   *journal.Log
	rng   *rand.Rand
	said  uint64 // last number that was given to the log
	acked uint64 // last number that was acknowledged
}

func number(n uint64, filler int) []byte {
	b := make([]byte, 8+filler)
	for i := range b {
		b[i] = byte(n) ^ byte(i*7)
	}
	binary.LittleEndian.PutUint64(b, n)
	return b
}

// state takes in a replay, and returns the last number, and the damage that is
// more than a torn write.
func state(records iter.Seq2[journal.Record, error]) (n uint64, damage []*journal.Damage, err error) {
	var seq uint64
	for r, err := range records {
		var d *journal.Damage
		if errors.As(err, &d) && d.Kind == journal.Torn {
			continue
		}
		if errors.As(err, &d) {
			damage = append(damage, d)
			continue
		}
		if err != nil {
			return n, damage, err
		}
		got := binary.LittleEndian.Uint64(r.Payload)
		if string(r.Payload) != string(number(got, len(r.Payload)-8)) {
			return n, damage, fmt.Errorf("record %d is not what was written", r.Seq)
		}
		switch {
		case r.Type == typeState && r.Snapshot:
			n = got
		case r.Type == typeNumber && !r.Snapshot:
			if got != n+1 && len(damage) == 0 {
				return n, damage, fmt.Errorf("after %d comes %d", n, got)
			}
			if r.Seq <= seq {
				return n, damage, fmt.Errorf("sequence %d after %d", r.Seq, seq)
			}
			n = got
		default:
			return n, damage, fmt.Errorf("nobody wrote %+v", r)
		}
		seq = r.Seq
	}
	return n, damage, nil
}

// open begins a life: nothing that was acknowledged may be missing, and nothing
// may be there that nobody said.
func (o *owner) open(fs journal.FS) error {
	log, err := journal.OpenLog(fs, small)
	if err != nil {
		return err
	}
	o.log = log
	n, damage, err := state(log.Replay())
	if errors.Is(err, simfs.ErrDown) {
		return err
	}
	switch {
	case err != nil:
		return fmt.Errorf("replay: %w", err)
	case n < o.acked:
		return fmt.Errorf("lost: %d was acknowledged, %d is there: %+v", o.acked, n, log.Report())
	case n > o.said:
		return fmt.Errorf("invented: %d was said, %d is there", o.said, n)
	case len(damage) > 0 || !log.Report().Sound():
		return fmt.Errorf("damage where there is none: %v %+v", damage, log.Report())
	}
	o.said, o.acked = n, n // and it stays: Open made it durable
	return nil
}

func (o *owner) records(n int) []journal.Record {
	recs := make([]journal.Record, n)
	for i := range recs {
		o.said++
		recs[i].Entry = journal.Entry{Type: typeNumber, Payload: number(o.said, o.rng.IntN(200))}
	}
	return recs
}

// act does one thing that an owner does.
func (o *owner) act() error {
	var err error
	switch dice := o.rng.IntN(20); {
	case dice == 0 || dice < 12 && o.log.Wants():
		recs := make([]journal.Record, o.rng.IntN(6)) // some of padding, to cross sizes
		for i := range recs {
			recs[i].Entry = journal.Entry{Type: typeState, Payload: number(o.said, o.rng.IntN(900))}
		}
		recs = append(recs, journal.Record{Entry: journal.Entry{Type: typeState, Payload: number(o.said, 0)}})
		if err = o.log.Snapshot(recs); err == nil {
			o.acked = o.said
		}
	case dice == 1:
		o.log.Tend()
	case dice < 6:
		o.log.Mark()
	default:
		if err = o.log.Append(o.records(1 + o.rng.IntN(5))); err == nil {
			o.acked = o.said
		}
	}
	return err
}

func newOwner(seed uint64) *owner { return &owner{rng: rand.New(rand.NewPCG(seed, 1))} }

func verify(t testing.TB, fs journal.FS) journal.Report {
	t.Helper()
	r, err := journal.NewReaderFS(fs).Verify()
	require.NoError(t, err)
	return r
}

// often is how often to try: much more with SELFHEAL_LONG=1.
func often(usually, long int) int {
	if os.Getenv("SELFHEAL_LONG") == "1" {
		return long
	}
	return usually
}
