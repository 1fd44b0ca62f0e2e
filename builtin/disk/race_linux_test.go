//go:build race

package disk

// underRace says that everything takes several times as long.
const underRace = true
