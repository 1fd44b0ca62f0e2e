package sqlpool

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Options are for [Module], the single watches and the steps. DB is required;
// everything else has a default.
type Options struct {
	// DB is the pool. nil: the one that Tracker.Open opened.
	DB *sql.DB
	// Tracker knows who holds the connections of DB. nil: nobody does. Then there is
	// no watch "leak" and no step "cancel-holders".
	Tracker *Tracker
	// Name tells pools of one service apart: with "replica" the module is
	// "sqlpool-replica". "": it is "sqlpool".
	Name string

	// MaxWait is how long callers may wait for a connection, on average over 10 s.
	// It belongs below the time-outs of the callers: a wait that is given up is never
	// longer than that. 0: 500 ms (our choice). People are warned at half of it.
	MaxWait time.Duration
	// For is how long it must be exceeded before anything is done. 0: 10 s (our
	// choice), so that a burst may pass.
	For time.Duration
	// KeepFor is how long callers must not wait before the pool gets back what was
	// shrunk. 0: 5 min (our choice).
	KeepFor time.Duration

	// IdleHold is how long a connection may be held without a call on it while
	// others wait. 0: 1 min (removeAbandonedTimeout of Tomcat's JDBC pool, with its
	// ResetAbandonedTimer). -1: as long as it likes.
	IdleHold time.Duration
	// MaxHold is how long a connection may be held at all while others wait. 0: 10 min
	// (our choice: reports take minutes). -1: as long as it likes.
	MaxHold time.Duration
	// LeakAfter is after what time without a call a connection counts as leaked,
	// whether others wait or not. 0: 5 min (our choice). -1: only those that are
	// proven leaked, which are told at once.
	LeakAfter time.Duration
	// MaxChurn is how many connections a second may be closed only because
	// SetMaxIdleConns keeps no more, on average over 1 min. 0: 1 (our choice: each
	// costs the database a process or a handshake). -1: the watch "churn" is left out.
	MaxChurn float64

	// FairShare is how many connections this process may have while callers wait for
	// a database that is slow: what the database allows, less a reserve, over the
	// number of replicas. It needs Settings. 0: the pool is not shrunk.
	FairShare int
	// Settings is what the program has set on DB and database/sql does not tell. What
	// the steps change is put back to it. nil: they touch no setting of the kind,
	// without a Tracker the pool is not rebuilt.
	Settings *Settings

	// Every is the interval between looks. 0: that of the supervisor, 1 s.
	Every time.Duration
}

// Settings are what the program has set on its *sql.DB.
type Settings struct {
	// MaxIdle is what SetMaxIdleConns was called with. 0: it was not called, so that
	// 2 are kept (database/sql). -1: it was called with 0, none are kept.
	MaxIdle int
	// MaxLifetime is what SetConnMaxLifetime was called with. 0: for ever.
	MaxLifetime time.Duration
}

const (
	defaultMaxWait   = 500 * time.Millisecond
	defaultFor       = 10 * time.Second
	defaultKeepFor   = 5 * time.Minute
	defaultIdleHold  = time.Minute
	defaultMaxHold   = 10 * time.Minute
	defaultLeakAfter = 5 * time.Minute
	defaultMaxChurn  = 1
	defaultMaxIdle   = 2 // of database/sql

	// warnShare is at which share of MaxWait people are warned, clearShare below
	// which of the limit callers wait no longer.
	warnShare  = 0.5
	clearShare = 0.5
	warnFor    = 10 * time.Minute
)

func (o Options) withDefaults() Options {
	if o.DB == nil && o.Tracker != nil {
		o.DB = o.Tracker.db()
	}
	or(&o.MaxWait, defaultMaxWait)
	or(&o.For, defaultFor)
	or(&o.KeepFor, defaultKeepFor)
	or(&o.IdleHold, defaultIdleHold)
	or(&o.MaxHold, defaultMaxHold)
	or(&o.LeakAfter, defaultLeakAfter)
	or(&o.MaxChurn, defaultMaxChurn)
	if o.Settings != nil {
		s := *o.Settings
		or(&s.MaxIdle, defaultMaxIdle)
		o.Settings = &s
	}
	return o
}

func or[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate returns everything that is wrong with the options, nil when nothing is.
// The detector of each watch returns the same, so that Supervisor.Validate does.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("sqlpool: Options."+format, args...))
	}
	db := o.DB
	if o.Tracker != nil {
		opened, connectors := o.Tracker.opens()
		if db == nil {
			db = opened
		}
		if opened != nil && db != opened {
			bad("DB is not the database that Tracker opened: use one Tracker for each, and the *sql.DB that its Open returned")
		}
		if connectors > 1 {
			bad("Tracker tracks %d databases: use one for each", connectors)
		}
	}
	if db == nil {
		bad("DB is nil: set it to the *sql.DB that the service uses")
	}
	if strings.ContainsFunc(o.Name, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) || len(o.Name) > 100 {
		bad("Name is %.120q: use up to 100 letters, digits and dashes", o.Name)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
		off  bool
	}{
		{"MaxWait", o.MaxWait, false}, {"For", o.For, false}, {"KeepFor", o.KeepFor, false}, {"Every", o.Every, false},
		{"IdleHold", o.IdleHold, true}, {"MaxHold", o.MaxHold, true}, {"LeakAfter", o.LeakAfter, true},
	} {
		switch {
		case d.d >= 0 || d.off && d.d == -1:
		case d.off:
			bad("%s is %v: use a positive time, 0 for the default, or -1 for no limit", d.name, d.d)
		default:
			bad("%s is %v: use a positive time, or 0 for the default", d.name, d.d)
		}
	}
	if o.MaxChurn != -1 && (!(o.MaxChurn >= 0) || math.IsInf(o.MaxChurn, 0)) { // also NaN
		bad("MaxChurn is %v: use connections a second, 0 for %v, or -1 for no such watch", o.MaxChurn, defaultMaxChurn)
	}
	switch {
	case o.FairShare < 0:
		bad("FairShare is %d: use a number of connections, or 0 to never shrink the pool", o.FairShare)
	case o.FairShare > 0 && o.Settings == nil:
		bad("FairShare is set without Settings: say there what SetMaxIdleConns was called with, because a smaller pool keeps fewer and that is to be put back")
	}
	if s := o.Settings; s != nil {
		if s.MaxIdle < -1 {
			bad("Settings.MaxIdle is %d: use what SetMaxIdleConns was called with, 0 if it was not, or -1 if that was 0", s.MaxIdle)
		}
		if s.MaxLifetime < 0 {
			bad("Settings.MaxLifetime is %v: use what SetConnMaxLifetime was called with, or 0 for none", s.MaxLifetime)
		}
	}
	return errors.Join(errs...)
}

// opens says which database the tracker opened, nil where it only wrapped a
// connector, and how many connectors it wrapped.
func (t *Tracker) opens() (db *sql.DB, connectors int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.opened, t.connectors
}

func (t *Tracker) db() *sql.DB {
	db, _ := t.opens()
	return db
}
