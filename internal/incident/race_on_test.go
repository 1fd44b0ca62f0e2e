//go:build race

package incident

// slow says that the race detector makes everything ten times slower.
const slow = true
