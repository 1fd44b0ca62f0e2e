// The sim command runs supervisors through simulated years of trouble and says
// when one breaks a promise.
//
//	go run ./internal/sim -seed 7 -hours 24
//	go run ./internal/sim -seed 1 -n 100
//
// One seed is one world: machines, watches, faults and people. With -n it runs
// that many, from -seed on. Where a promise is broken it makes the world as small
// as it can while the same promise is broken, and tells the story of what is left;
// -runs bounds how many runs that may take. -v tells everything that happens in
// the whole world instead. It exits with 1 where something was broken and with 2
// where it was called in a wrong way.
//
// The story is that of the machine on which it went wrong.
//
// Package world has the machines and their trouble, package monitor the promises.
//
// The tests of this package run the seeds that failed before (testdata/seeds.txt)
// and some fresh ones; SELFHEAL_LONG=1 runs fresh ones for a minute of CPU. With the
// build tag mutants, bugs are planted in the engine, the outbox, the journal and
// the shell one by one, and each must be caught within 30 s of CPU:
//
//	go test -tags mutants ./internal/sim -run Mutants -v
package main
