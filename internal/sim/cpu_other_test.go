//go:build !unix

package main

import "time"

// cpu is the time of day, where the processor time of a process takes more than
// the standard library: on a machine that does nothing else it is the same.
func cpu() time.Duration { return time.Duration(time.Now().UnixNano()) }
