//go:build unix && !linux

package process

// awaitUnreaped is not known here: the group is cleared right after its leader
// was reaped. In between its number could in theory be given to another group.
func awaitUnreaped(int) bool { return false }
