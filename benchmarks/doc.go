// Package benchmarks measures parts of selfheal beside libraries that do the same,
// in one run on one machine. It is a module of its own, so that nobody who uses
// selfheal depends on them. Each folder has one part: worker, beside suture.
//
//	go test ./... -run . -bench . -benchmem
//
// What does not depend on how busy the machine is, bytes and memory, is a test;
// times are benchmarks, to be read as ratios of the two sides.
package benchmarks
