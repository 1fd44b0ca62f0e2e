// Package process runs a program of the machine and leaves nothing of it behind.
//
// [Run] is what an action and a notifier that run a program have in common. On
// Unix the program leads a process group of its own. When ctx ends the group gets
// SIGTERM, and SIGKILL after a grace period; whatever else is in the group when
// the program itself ends, well or not, is killed. A process that left the group
// is not ours to kill: [Exit] says when it held the output open. Where there are
// no process groups, only the program itself is ended.
//
// Around it stand the pieces that both sides must do alike: what a variable may be
// called and hold ([CheckVariables], [Clean], [Variables]), how long to wait and
// how much to keep ([Bounds]), and the words for how a program ended ([How],
// [LastLine]). What a program is told, and what its exit code means, is theirs.
//
// It is a leaf: it imports the standard library only, and every room may use it.
package process
