// Package sqlpool watches the connection pool of a *sql.DB: whether callers wait for a
// connection, who holds the connections, and who never gives them back.
//
//	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
//	db, err := tracker.Open("pgx", dsn) // was: sql.Open("pgx", dsn)
//	…
//	heal.Install(sqlpool.Module(sqlpool.Options{DB: db, Tracker: tracker}))
//
// # The tracker
//
// database/sql tells how many connections are in use, not by whom. A [Tracker] does:
// since when, where in the program, on whose behalf, and whether the connection is
// used meanwhile. It wraps the driver, so that the program keeps its *sql.DB and
// changes the line in which it opens it. Whatever holds a connection is seen: *sql.Rows,
// *sql.Tx, *sql.Conn and *sql.Stmt all check it out of the driver and return it there.
// A wrapper of *sql.DB would have been another type for every caller and library, and
// would not see rows being closed. Without a tracker the pack still sees that callers
// wait.
//
// # What is watched
//
//   - exhausted: callers wait longer than MaxWait (500 ms), on average over 10 s, or
//     nobody gets a connection. Both are told by WaitCount and WaitDuration of
//     [sql.DBStats]; the average number of callers that wait is the time they wait a
//     second (Little's law).
//   - warning: half of that for 10 min. Only told.
//   - leak: a connection that is not given back, one finding a site. Where the rows
//     became garbage before they were closed it is proven: nobody can return the
//     connection. Where it was not used for 5 min it is suspected.
//   - churn: MaxIdleClosed grows by more than one a second, so that connections are
//     opened again and again. Only told.
//
// # The ladder
//
// Of exhausted:
//
//   - await-holders (safe): gives those who hold a connection the time they are left,
//     for up to 2 min.
//   - cancel-holders (disruptive): takes connections from those past it. Calls under
//     way are cancelled, idle sessions closed, so that the server rolls back. The
//     holder gets a [TakenError] at its next call; nothing is committed behind its
//     back. database/sql counts the connection until its holder returns it, so the
//     pool gets a slot in its place until then: the server never sees more connections
//     than the program allowed.
//   - shrink-pool (disruptive, only with FairShare): fewer connections for a database
//     that is slow. Undo: the limits are put back.
//   - rebuild-pool (disruptive): every connection is replaced, once in 10 min.
//
// Of leak: reclaim (safe), which takes back what is proven leaked.
//
// All of it reaches no further than this process and its own connections. To shed load
// before the pool is rebuilt, or to replace the process after it, put steps of package
// queue or [github.com/selfheal-go/selfheal/remediate.Recycle] into the ladder of
// [Exhausted].
//
// # Never
//
// The pool never grows against a sick database. No holder is taken from that has been
// granted its time: by [AllowHold], or by a context whose deadline is to come. Nothing
// is done to a connection while the driver works on it but by its context, as package
// driver demands. Limits that the program sets meanwhile are left alone. Settings that
// database/sql does not tell are changed only where Options.Settings says what to put
// back, and not where that is contradicted. Nobody else's sessions are touched at the
// server.
//
// # When a person is called
//
// When the ladder is at its end, with who holds what; when a leak is suspected; when
// one site leaks again within 24 h of being reclaimed, or the pool is exhausted again
// after two heals: that is a mistake in the program, and no step mends it.
//
// # Costs
//
// A look of all watches at a pool with 100 connections in use took 16 µs on an idle
// machine and allocates nothing: once a second, 0.002 % of a core. A tracker added 4 to
// 5 µs and 7 to 11 small allocations to a call, most of it for the stack of the
// checkout, and some 40 ns to a row, where a query on loopback takes 90 µs. A context
// that cannot be cancelled becomes one that can, for which drivers do more: with pgx 17
// allocations a query. Nothing here starts a goroutine of its own or depends on the
// operating system.
package sqlpool
