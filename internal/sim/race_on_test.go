//go:build race

package main

// slow says that the race detector makes everything ten times slower.
const slow = true
