// Package command is a ready action that runs a program of the machine.
//
// What is run is fixed in code: an absolute path and its arguments, without a
// shell. What a finding says is written by whoever caused it, so it reaches the
// program as data only: as JSON on standard input (see
// [remediate.Request.MarshalJSON]) and as the values of these environment
// variables, never in arguments or in names.
//
//	SELFHEAL_INCIDENT         id of the incident
//	SELFHEAL_STEP             name of the step
//	SELFHEAL_PHASE            run, undo or verify
//	SELFHEAL_ATTEMPT          rungs climbed in this incident, from 1
//	SELFHEAL_TRY              tries within the attempt, from 1
//	SELFHEAL_IDEMPOTENCY_KEY  the same for every try and after a crash
//	SELFHEAL_FENCE            fencing token of the fleet lease, or 0
//	SELFHEAL_KEY              key of the finding
//	SELFHEAL_SEVERITY         warning or critical
//	SELFHEAL_SUMMARY          one line for a person
//	SELFHEAL_VALUE            what was read,
//	SELFHEAL_LIMIT            what is allowed, and
//	SELFHEAL_UNIT             their unit
//	SELFHEAL_RUN_ID           random, of this run of the program alone
//
// NUL bytes and broken UTF-8 in a value become U+FFFD, and a value is cut at
// 4 KiB; the JSON is complete. A shell script must quote them as "$SELFHEAL_KEY"
// and must not evaluate them. The rest of the environment is empty unless listed
// in [Options].
//
// Nothing is left behind. On Unix the program leads a process group of its own.
// When ctx ends the group gets SIGTERM, and SIGKILL after a grace period;
// whatever else is in the group when the program itself ends, well or not, is
// killed. A process that left the group is not ours to kill: on Linux it is
// found by its SELFHEAL_RUN_ID, unless it wiped its environment or runs as
// another user, and named in [Error]. On other systems only the fact that it
// holds the output is known. Where there are no process groups, only the program
// itself is ended. If the service itself dies, the program runs on.
package command
