package sqlpool

import (
	"database/sql"
	"sync"
)

// limit is the bound on open connections of one *sql.DB.
//
// A connection that was taken is closed towards the server, but database/sql counts
// it until its holder returns it, which a leak never does. So a slot is given in its
// place, and taken back when it returns: the server never sees more connections than
// the program allowed.
type limit struct {
	mu    sync.Mutex // never held while the driver is called: what is cut off is not idle
	db    *sql.DB
	extra int // slots that were given and not taken back
	last  int // what was set last from here
}

// bind says whose limit it is. false: another's.
func (l *limit) bind(db *sql.DB) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil {
		l.db = db
	}
	return l.db == db
}

// read returns the limit that the program has set, 0 for none, and the slots beyond.
func (l *limit) read() (base, extra int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readLocked()
}

func (l *limit) readLocked() (base, extra int) {
	now := l.db.Stats().MaxOpenConnections
	if l.extra != 0 && now != l.last {
		l.extra = 0 // the program has set another since
	}
	return now - l.extra, l.extra
}

// set sets the limit if it is still from. to may be 0 for none.
func (l *limit) set(from, to int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	base, extra := l.readLocked()
	if base != from {
		return false
	}
	if to == 0 || base == 0 {
		extra = 0 // nothing counts slots without a limit
	}
	l.put(to, extra)
	return true
}

// give adds a slot for c, which was taken.
func (l *limit) give(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	base, extra := l.readLocked()
	if base == 0 || !c.owe() {
		return false
	}
	l.put(base, extra+1)
	return true
}

// takeBack removes a slot whose connection was returned.
func (l *limit) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if base, extra := l.readLocked(); extra > 0 {
		l.put(base, extra-1)
	}
}

func (l *limit) put(base, extra int) {
	l.extra, l.last = extra, base+extra
	l.db.SetMaxOpenConns(l.last)
}
