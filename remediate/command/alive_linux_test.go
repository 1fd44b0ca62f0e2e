package command

// alive says whether a process runs. One that waits to be reaped does not.
func alive(pid int) bool {
	state, _ := standing(pid)
	return state != 0 && state != 'Z' && state != 'X'
}
