// Command selfheal talks to the console of a service that embeds selfheal, and
// reads the journal of one that runs no longer.
//
//	selfheal status                          how everything stands
//	selfheal incidents [ID]                  what is open (-all, -closed: also what was)
//	selfheal watch                           what happens, as it happens
//	selfheal halt -reason WHY                stop all healing
//	selfheal resume                          go on
//	selfheal silence -for 2h -reason WHY GLOB
//	selfheal unsilence ID
//	selfheal ack ID [-for 8h]                take an incident
//	selfheal snooze -for 8h ID               no calls for it for a while
//	selfheal look WATCH                      ask its detector now
//	selfheal plan WATCH                      show what it would do; runs nothing
//	selfheal approve PROPOSAL                show a plan, and let it run
//	selfheal reject PROPOSAL
//	selfheal journal DIR [-verify]           read a journal, also a damaged one
//	selfheal completion bash|zsh|fish        text for the shell
//	selfheal version                         which version this is
//
// # Where and who
//
// The console is at -url or $SELFHEAL_URL: an http or https address that ends
// where the handler is mounted, or a unix socket as unix:///run/orders.sock, with
// :/prefix after it where there is one. Who asks is said by a bearer token, from
// the file of -token-file or $SELFHEAL_TOKEN_FILE, or from $SELFHEAL_TOKEN; never
// by an argument, which other users of the machine could read. It is not sent over
// plain http to another machine.
//
// # Output
//
// Text for people; -o json for programs: what the console answers, as docs/api.md
// describes it; for watch a line a JSON value, for journal likewise. What a service
// says cannot control the terminal: such characters are shown as �.
//
// # Exit codes
//
//	0  done
//	1  what was asked has the answer no: -check found something open or healing
//	   held, -verify found damage, a plan was not approved
//	2  the command is not understood
//	3  the service cannot be reached, or failed
//	4  not allowed
//	5  there is no such thing, or it is no longer what was shown
//	130  interrupted
package main
