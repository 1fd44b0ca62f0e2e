package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// Errors that a [Source] returns, and what they become for the reader.
var (
	// ErrNoSuch: what was named is not there, or no longer. 404.
	ErrNoSuch = errors.New("there is no such thing, or no longer")
	// ErrStale: the plan is not the one that was shown. 409.
	ErrStale = errors.New("that is not the plan that was shown: look at it again")
	// ErrUsed: the link was used before. 410.
	ErrUsed = errors.New("this link was used before")
	// ErrBad: the request is wrong, in the words of the error. 400.
	ErrBad = errors.New("bad request")
	// ErrOver: nothing is done any more. 409.
	ErrOver = errors.New("the supervisor has stopped, and nothing was done")
	// ErrIll: the journal takes no records, in the words of the error. 503.
	ErrIll = errors.New("the journal takes no records")
)

// The kinds of controls: each is asked for by name, and is the last part of the
// address to which it is posted.
const (
	Halting    = "halt"
	Resuming   = "resume"
	Silencing  = "silence"
	Unsilence  = "unsilence"
	Acking     = "ack"
	Snoozing   = "snooze"
	Approving  = "approve"
	Rejecting  = "reject"
	Looking    = "look"     // ask the detector of a watch now
	Planning   = "plan"     // show what a watch would do now
	OpenProof  = "evidence" // download evidence
	ReadingLog = "journal"  // read the journal
)

// A Control is something that a request asks for beyond reading.
type Control struct {
	Kind     string
	Watch    string // the watch or glob that it is about; "" where there is none
	Key      string
	Incident string
	Proposal string
	Silence  string // the id of the one to lift
	Evidence string // the ref of what is to be opened
}

// An Order is a control with what it needs.
type Order struct {
	Control
	By          string
	Reason      string
	For         time.Duration     // of a silence, an ack (0: until it closes), a snooze
	Labels      map[string]string // of a silence
	Fingerprint string            // of the plan that was shown
}

// A Source is what the console knows of the supervisor. All of it is required
// but Kept and Evidence, may be called at any time and from anywhere, and does
// not block for long.
type Source struct {
	// State reads everything. Its cost bounds how often it is called.
	State func() *State
	// Status is what GET api/status returns as JSON; without the watches if brief.
	Status func(brief bool) any
	// Trail is what an incident left behind, open or closed.
	Trail func(incident string) (Trail, bool)
	// Changed returns the number of the latest event, and a channel that is closed
	// when there is another.
	Changed func() (seq uint64, next <-chan struct{})
	// Lines returns what happened after a number, the oldest first; first is the
	// number from which on it knows all.
	Lines func(after uint64) (lines []Line, first uint64)
	// Journal returns the latest lines of the journal, the newest first, the first
	// skip of them left out.
	Journal func(skip, limit int) []Line
	// Do carries out an order that was authorised. A plan is returned for
	// [Planning].
	Do func(ctx context.Context, o Order) (*Plan, error)
	// Used puts on record what has no event of its own: evidence, the journal.
	Used func(c Control, by string)
	// Refused notes that somebody asked for what is not allowed.
	Refused func(c Control, why error)
	// Kept lists what is kept of an incident, open or closed or long forgotten, the
	// newest first: the bundles that were made for it and those that it names, each
	// followed by its files, whose refs begin with that of the bundle and a slash.
	// It may read a directory, and is called for one incident at a time. nil: what
	// the incident itself names is all that is known.
	Kept func(incident string, named []Evidence) ([]Evidence, error)
	// Evidence opens by its ref what Kept lists or an incident names. nil: nothing
	// can be opened.
	Evidence func(ref string) (io.ReadSeekCloser, error)
	// Use marks a signed link as used, for as long as it is valid: durable before
	// it returns. [ErrUsed] where it was.
	Use func(id string, expires time.Time) error
}

// Options are what the application decides.
type Options struct {
	Source Source
	// Authorize is asked before each control, and says who asks. nil: no.
	Authorize func(*http.Request, Control) (who string, err error)
	// Hosts are the names under which the console may be reached. Without any,
	// loopback.
	Hosts []string
	// Base is the address of the console for people outside; "" where unknown.
	Base string
	// Keys sign links: the first signs, all verify.
	Keys [][]byte
	// Linger bounds a stream; the reader comes back. 0: a minute.
	Linger time.Duration
}
