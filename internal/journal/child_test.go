//go:build unix

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// child counts in a journal as fast as it can, with up to 8 numbers under way,
// and says on its output what it knows:
//
//	state N      what a replay gave
//	acked N      N is durable
//	refused N    N is not on record
//	degraded, recovered, failed
//	done         it has counted enough
//
// It is made to be killed.
func child(string) int {
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) } // one write each
	wanted := make(chan struct{}, 1)
	j, err := journal.Open(os.Getenv("SELFHEAL_JOURNAL_DIR"), journal.Options{
		Log: journal.LogOptions{SegmentBytes: 16 << 10}, RetryEvery: 20 * time.Millisecond,
		Notify: func(e journal.Event) {
			switch e.Kind {
			case journal.SnapshotWanted:
				select {
				case wanted <- struct{}{}:
				default:
				}
			case journal.FileFailed:
				say("failed %v", e.Err)
			default:
				say("%v %v", e.Kind, e.Err)
			}
		},
	})
	if err != nil {
		say("error %v", err)
		return 1
	}
	n, damage, err := state(j.Replay())
	if err != nil || len(damage) > 0 {
		say("error %v %v", err, damage)
		return 1
	}
	say("state %d", n)
	most, _ := strconv.Atoi(os.Getenv("SELFHEAL_JOURNAL_COUNT"))
	places := make(chan struct{}, 8)
	for range most {
		select {
		case <-wanted:
			if err := j.Snapshot(inState(n), nil); err != nil && !errors.Is(err, journal.ErrSnapshotting) {
				say("error %v", err)
			}
		default:
		}
		n++
		m := n
		places <- struct{}{}
		err := j.Append(entries(m, m), func(err error) {
			if err == nil {
				say("acked %d", m)
			} else {
				say("refused %d", m)
			}
			<-places
		})
		if err != nil {
			<-places
			say("refused %d", m)
			if !errors.Is(err, journal.ErrDegraded) {
				say("error %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	if j.Status().Degraded == nil {
		_ = j.AppendSync(context.Background())
	}
	for range cap(places) {
		places <- struct{}{}
	}
	say("done")
	return 0 // no Close: it must not be needed
}
