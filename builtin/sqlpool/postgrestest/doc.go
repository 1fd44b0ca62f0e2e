// Package postgrestest tests package sqlpool against a real PostgreSQL that it starts
// itself: pools that are saturated or leak, sessions that hang, a server that is
// restarted. It is a module of its own because it needs a driver, and has no code for
// others.
package postgrestest
