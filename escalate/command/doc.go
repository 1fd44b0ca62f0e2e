// Package command is a notifier that runs a program of the machine: a script that
// calls a phone, sends to a pager or writes to a screen.
//
//	page, err := command.New(command.Config{
//		Path: "/usr/local/bin/page-oncall",
//		Set:  map[string]escalate.Secret{"PAGER_TOKEN": token},
//	})
//
// What is run is fixed in code: an absolute path and its arguments, without a
// shell. What an incident says is written by whoever caused it, so it reaches the
// program as data only: as JSON on standard input (see
// [escalate.Notification.MarshalJSON]) and as the values of these environment
// variables, never in arguments or in names.
//
//	SELFHEAL_NOTIFICATION     id, the same for every try of a notification
//	SELFHEAL_DEDUP_KEY        the same for everything said of one incident
//	SELFHEAL_KIND             trigger, update, ask or resolve
//	SELFHEAL_REPEAT           how often this was told before, from 0
//	SELFHEAL_BEGAN_AND_ENDED  true when nobody was told while it lasted, or false
//	SELFHEAL_TITLE            one line for a person
//	SELFHEAL_TEXT             many lines for a person
//	SELFHEAL_INCIDENT         id of the incident
//	SELFHEAL_SERVICE          the service,
//	SELFHEAL_WATCH            its watch, and
//	SELFHEAL_KEY              the key of the finding
//	SELFHEAL_SEVERITY         warning or critical
//	SELFHEAL_SUMMARY          what is wrong
//	SELFHEAL_STATE            where the incident stands in its life
//	SELFHEAL_REASON           why people are told
//	SELFHEAL_PROPOSAL         what can be approved or rejected, for an ask
//	SELFHEAL_RUNBOOK          address for the reader
//
// NUL bytes and broken UTF-8 in a value become U+FFFD, and a value is cut at
// 4 KiB; the JSON is complete. [escalate.Notification.Links] are in the JSON alone,
// because they may hold a signature and other programs of the user can read an
// environment. A shell script must quote the values as "$SELFHEAL_TITLE" and must
// not evaluate them. The rest of the environment is empty unless listed in
// [Config].
//
// The exit code says what becomes of the notification; 64 and above have the
// names of sysexits.h.
//
//	0                         told
//	64 EX_USAGE               permanent: the program was called in a wrong way
//	65 EX_DATAERR             permanent: it cannot read the notification
//	67 EX_NOUSER              permanent: nobody is there to be told
//	68 EX_NOHOST              permanent: the provider does not exist
//	77 EX_NOPERM              permanent: it is not allowed to
//	78 EX_CONFIG              permanent: it is not configured
//	75 EX_TEMPFAIL, others    passing: it is tried again
//
// After a permanent failure the next target is told, see [escalate.Failure]; a
// program that is not there or may not be run is one. A program that is tried
// again must not tell people twice: it can know by SELFHEAL_NOTIFICATION.
//
// Nothing is left behind. On Unix the program leads a process group of its own.
// When its time is over the group gets SIGTERM, and SIGKILL after a grace period;
// whatever else is in the group when the program itself ends, is killed. Where
// there are no process groups, only the program itself is ended. A process that
// left the group lives on; if it holds the output open that is waited for a
// little and then given up. If the service itself dies, the program runs on.
//
// The package remediate/command is the same for the steps of a playbook.
package command
