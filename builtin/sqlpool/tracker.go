package sqlpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TrackerOptions are for [NewTracker]. The zero value is useful.
type TrackerOptions struct {
	// Skip are beginnings of function names that are not told as the holder of a
	// connection, because they hold it for their caller: "github.com/jmoiron/sqlx.",
	// "gorm.io/". nil: the first function outside of database/sql is the holder.
	Skip []string
	// Describe says on whose behalf a connection is held, by the context that it
	// was checked out with: a request's id, a tenant. It is called when something is
	// found or taken, never at a checkout; it must not block. A panic of it is said in
	// its place. nil: nobody says.
	Describe func(ctx context.Context) string
}

// A Tracker knows who holds the connections of one *sql.DB: since when, where in
// the program, and whether the connection is used meanwhile.
//
// It wraps the driver and not the *sql.DB. So a program changes the line in which
// it opens the database and nothing else, libraries that want a *sql.DB get one,
// and nothing is missed: whatever holds a connection, a *sql.Rows, *sql.Tx,
// *sql.Conn or *sql.Stmt, checks it out of the driver and returns it there. What it
// costs is that the driver's own connection is one [Unwrap] further away in
// [sql.Conn.Raw].
//
// All methods are safe for concurrent use. A Tracker starts no goroutine.
type Tracker struct {
	o       TrackerOptions
	origin  time.Time
	limit   limit
	era     atomic.Uint64 // connections of an earlier one are not used again
	dialing atomic.Int64

	mu         sync.Mutex // never held while the driver is called
	conns      map[*conn]struct{}
	opened     *sql.DB // by Open
	connectors int
	closed     bool
	refused    int   // attempts to connect that failed in a row
	refusal    error // the last of them
}

// NewTracker returns a tracker that tracks nothing yet: see [Tracker.Open].
func NewTracker(o TrackerOptions) *Tracker {
	return &Tracker{o: o, origin: time.Now(), conns: map[*conn]struct{}{}}
}

func (t *Tracker) now() time.Duration { return time.Since(t.origin) }

// Open is [sql.Open] for a database whose connections are tracked. Call it once.
func (t *Tracker) Open(driverName, dataSourceName string) (*sql.DB, error) {
	bare, err := sql.Open(driverName, dataSourceName) // the only way to a driver by its name
	if err != nil {
		return nil, err
	}
	d := bare.Driver()
	if err := bare.Close(); err != nil {
		return nil, fmt.Errorf("sqlpool: open: %w", err)
	}
	var c driver.Connector = dsn{dataSourceName, d}
	if d, ok := d.(driver.DriverContext); ok {
		if c, err = d.OpenConnector(dataSourceName); err != nil {
			return nil, err
		}
	}
	db := sql.OpenDB(t.Connector(c))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = db
	return db, nil
}

// dsn is a connector for drivers that have none.
type dsn struct {
	name   string
	driver driver.Driver
}

func (d dsn) Connect(context.Context) (driver.Conn, error) { return d.driver.Open(d.name) }
func (d dsn) Driver() driver.Driver                        { return d.driver }

// Connector wraps the connector of a driver, for [sql.OpenDB], where the database
// is not opened by a name. Call it once: a tracker is for one *sql.DB.
func (t *Tracker) Connector(c driver.Connector) driver.Connector {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connectors++
	return &connector{t, c}
}

// connector is what database/sql dials by.
type connector struct {
	t     *Tracker
	inner driver.Connector
}

// Connect opens a connection. database/sql does that in the goroutine of a caller,
// which has it then, or in one of its own, to be checked out later.
func (k *connector) Connect(ctx context.Context) (driver.Conn, error) {
	k.t.dialing.Add(1)
	defer k.t.dialing.Add(-1)
	era := k.t.era.Load()
	inner, err := k.inner.Connect(ctx)
	if err == nil && inner == nil {
		err = errors.New("sqlpool: the driver returned neither a connection nor an error: that is a mistake of the driver")
	}
	k.t.dialed(err)
	if err != nil {
		return nil, err
	}
	c := &conn{t: k.t, inner: inner, era: era}
	c.checkout(ctx)
	if !c.called() {
		c.release()
	}
	k.t.mu.Lock()
	defer k.t.mu.Unlock()
	k.t.conns[c] = struct{}{}
	return c, nil
}

// Driver returns the driver itself: what asks a *sql.DB for it wants to know which
// database it speaks to.
func (k *connector) Driver() driver.Driver { return k.inner.Driver() }

// Close is called by sql.DB.Close.
func (k *connector) Close() error {
	k.t.mu.Lock()
	k.t.closed = true
	k.t.mu.Unlock()
	if c, ok := k.inner.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (t *Tracker) dialed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.refused, t.refusal = 0, nil
		return
	}
	t.refused++
	t.refusal = err
}

func (t *Tracker) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// renew closes all connections that nobody holds, and lets the others not be used
// again once they are returned. It touches no setting of the *sql.DB.
func (t *Tracker) renew(ctx context.Context) (closed, later int) {
	t.era.Add(1)
	t.mu.Lock()
	all := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()
	for _, c := range all {
		if ctx.Err() == nil && c.retire() {
			_ = c.hangUp() // it is given up whatever the driver says
			closed++
		} else {
			later++
		}
	}
	return closed, later
}

// Unwrap returns the connection of the driver, for the function of [sql.Conn.Raw];
// what is none of ours is returned as it is. What is done with it afterwards is not
// seen, so that this checkout is told as one without use, and never taken.
func Unwrap(driverConn any) any {
	c, ok := driverConn.(*conn)
	if !ok {
		return driverConn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = true
	return c.inner
}

type allowKey struct{}

// AllowHold returns a context with which a connection may be held for d, whatever
// Options.IdleHold, MaxHold and LeakAfter say: for imports and reports. Give it to
// the call that checks the connection out (BeginTx, QueryContext, DB.Conn). -1 and
// less: for ever.
func AllowHold(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, allowKey{}, d)
}
