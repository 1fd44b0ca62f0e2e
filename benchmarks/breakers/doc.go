// Package breakers compares the closed path of circuit breakers: what a call costs
// that works, which is what a service pays all day.
//
// It is a module of its own so that nobody else depends on the libraries that it
// compares with. Run it with
//
//	GOWORK=off go test -bench . -count 10
package breakers
