package main

import (
	"os"
	"runtime/debug"
	"testing"
)

// A world makes much garbage and keeps little: the tests let it grow for longer.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
