package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// The exit codes, which doc.go explains.
const (
	exitDone        = 0
	exitNo          = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitForbidden   = 4
	exitMissing     = 5
	exitInterrupted = 130
)

// world is what a command touches, so that tests can be the world.
type world struct {
	in          io.Reader
	out, err    io.Writer
	getenv      func(string) string
	interactive bool // somebody can be asked
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	info, err := os.Stdin.Stat()
	w := &world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv,
		interactive: err == nil && info.Mode()&os.ModeCharDevice != 0,
	}
	code := w.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// command is a subcommand.
type command struct {
	name, args, what string
	must             []string // flags that it does not do without
	run              func(ctx context.Context, c *call) error
	flags            func(c *call, f *flag.FlagSet)
	offline          bool // it needs no service
}

// usage is how the command is written.
func (cmd *command) usage() string {
	s := cmd.name
	for _, name := range cmd.must {
		s += " -" + name + " " + map[string]string{"reason": "WHY", "for": "8h"}[name]
	}
	return strings.TrimSpace(s + " " + cmd.args)
}

func commands() []command {
	return []command{
		{name: "status", what: "how everything stands", run: status, flags: func(c *call, f *flag.FlagSet) {
			f.BoolVar(&c.check, "check", false, "exit with 1 if an incident is open or healing is held")
		}},
		{name: "incidents", args: "[ID]", what: "what is open, or one incident with all that happened", run: incidents, flags: func(c *call, f *flag.FlagSet) {
			f.BoolVar(&c.all, "all", false, "also those that are over")
			f.BoolVar(&c.closed, "closed", false, "only those that are over")
			f.StringVar(&c.search, "q", "", "only those that contain this `text`")
		}},
		{name: "watch", what: "what happens, as it happens, until interrupted", run: watch},
		{name: "halt", must: []string{"reason"}, what: "stop all healing, undos included", run: post("halt"), flags: reasonFlag},
		{name: "resume", what: "let healing go on", run: post("resume")},
		{name: "silence", must: []string{"for", "reason"}, args: "[WATCH]", what: "neither act on nor tell of what matches this glob", run: post("silence"), flags: func(c *call, f *flag.FlagSet) {
			reasonFlag(c, f)
			forFlag(c, f)
			f.StringVar(&c.key, "key", "", "`glob` that the key must match")
		}},
		{name: "unsilence", args: "ID", what: "lift a silence", run: post("unsilence")},
		{name: "ack", args: "ID", what: "take an incident: no calls until it closes, or for -for", run: post("ack"), flags: forFlag},
		{name: "snooze", must: []string{"for"}, args: "ID", what: "no calls for an incident for a while, whoever has it", run: post("snooze"), flags: forFlag},
		{name: "look", args: "WATCH", what: "ask the detector of a watch now", run: post("look")},
		{name: "plan", args: "WATCH", what: "show what a watch would do now; runs nothing", run: plan},
		{name: "approve", args: "PROPOSAL", what: "show a plan and, after a yes, let it run", run: approve, flags: func(c *call, f *flag.FlagSet) {
			f.BoolVar(&c.yes, "yes", false, "do not ask")
			f.StringVar(&c.plan, "plan", "", "do not ask, if this is the plan's `fingerprint`")
		}},
		{name: "reject", args: "PROPOSAL", what: "say no to a plan", run: post("reject")},
		{name: "journal", args: "DIR", what: "what a journal says happened; the service need not run", run: readJournal, offline: true, flags: func(c *call, f *flag.FlagSet) {
			f.BoolVar(&c.verify, "verify", false, "only say whether it is whole; exit with 1 if not")
			f.BoolVar(&c.all, "all", false, "also what is for the library alone")
		}},
		{name: "completion", args: "bash|zsh|fish", what: "print what completes these commands in a shell", run: completion, offline: true},
		{name: "version", what: "which version this is", run: version, offline: true},
	}
}

func reasonFlag(c *call, f *flag.FlagSet) {
	f.StringVar(&c.reason, "reason", "", "`why`, for everybody who wonders")
}

func forFlag(c *call, f *flag.FlagSet) {
	f.StringVar(&c.forTime, "for", "", "how `long`: 90m, 8h, or a number of minutes")
}

// call is one use of a command.
type call struct {
	*world
	cmd  *command
	args []string

	url, tokenFile, output string
	timeout                time.Duration
	client                 *client

	check, all, closed, yes, verify    bool
	search, reason, forTime, key, plan string
}

func (c *call) json() bool { return c.output == "json" }

// usageError is a command that is not understood.
type usageError struct{ what string }

func (e *usageError) Error() string { return e.what }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errNo is an answer that is a no, and has been said.
var errNo = errors.New("no")

func (w *world) run(ctx context.Context, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return w.help(args)
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return w.exit(ctx, w.start(ctx, &cmd, args[1:]))
		}
	}
	return w.exit(ctx, usage("there is no command %q: selfheal help lists them", args[0]))
}

// start reads the flags, which may stand anywhere, and runs the command.
func (w *world) start(ctx context.Context, cmd *command, args []string) error {
	c := &call{world: w, cmd: cmd}
	f := c.flagSet()
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				w.help([]string{"help", cmd.name})
				return nil
			}
			return usage("%v: selfheal %s -h lists what there is", err, cmd.name)
		}
		if f.NArg() == 0 {
			break
		}
		c.args = append(c.args, f.Arg(0))
		args = f.Args()[1:]
	}
	if c.output != "text" && c.output != "json" {
		return usage("-o %s: write text or json", c.output)
	}
	switch most := len(strings.Fields(cmd.args)); {
	case len(c.args) > most:
		return usage("%q is too much: selfheal %s", c.args[most], cmd.usage())
	case len(c.args) < most && !strings.HasPrefix(cmd.args, "["):
		return usage("%s is missing: selfheal %s", cmd.args, cmd.usage())
	}
	for _, name := range cmd.must {
		if f.Lookup(name).Value.String() == "" {
			return usage("-%s is missing: selfheal %s", name, cmd.usage())
		}
	}
	if !cmd.offline {
		var err error
		if c.client, err = newClient(c); err != nil {
			return err
		}
		defer c.client.close()
	}
	return cmd.run(ctx, c)
}

func (c *call) flagSet() *flag.FlagSet {
	f := flag.NewFlagSet(c.cmd.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.output, "o", "text", "text or json")
	if !c.cmd.offline {
		f.StringVar(&c.url, "url", "", "`address` of the console; else $SELFHEAL_URL")
		f.StringVar(&c.tokenFile, "token-file", "", "`file` with the bearer token; else $SELFHEAL_TOKEN_FILE, or the token itself in $SELFHEAL_TOKEN")
		f.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	}
	if c.cmd.flags != nil {
		c.cmd.flags(c, f)
	}
	return f
}

// exit says what went wrong, and returns the code for it.
func (w *world) exit(ctx context.Context, err error) int {
	var wrong *usageError
	var answered *statusError
	code := exitUnreachable
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errNo):
		return exitNo
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &wrong):
		code = exitUsage
	case errors.As(err, &answered):
		code = answered.exit()
	}
	fmt.Fprintln(w.err, "selfheal:", printable(strings.TrimPrefix(err.Error(), "selfheal: ")))
	return code
}

func (w *world) help(args []string) int {
	if len(args) > 1 {
		for _, cmd := range commands() {
			if cmd.name == args[1] {
				c := &call{world: w, cmd: &cmd}
				fmt.Fprintf(w.out, "selfheal %s\n    %s\n\n", cmd.usage(), cmd.what)
				f := c.flagSet()
				f.SetOutput(w.out)
				f.PrintDefaults()
				return exitDone
			}
		}
		fmt.Fprintf(w.err, "selfheal: there is no command %q\n", args[1])
		return exitUsage
	}
	to, code := w.out, exitDone
	if len(args) == 0 {
		to, code = w.err, exitUsage
	}
	fmt.Fprintln(to, "selfheal talks to the console of a service that embeds selfheal.")
	fmt.Fprintln(to)
	for _, cmd := range commands() {
		fmt.Fprintf(to, "  %-38s %s\n", cmd.usage(), cmd.what)
	}
	fmt.Fprint(to, `
selfheal COMMAND -h lists the flags of a command. -o json is for programs.

  where   -url or $SELFHEAL_URL: https://orders.example/selfheal/ or, for a socket,
          unix:///run/orders.sock:/selfheal
  who     a bearer token from the file of -token-file or $SELFHEAL_TOKEN_FILE, or from
          $SELFHEAL_TOKEN; reading may need none
  exit    0 done, 1 the answer is no, 2 not understood, 3 not reached, 4 not allowed,
          5 no such thing or no longer what was shown, 130 interrupted
`)
	return code
}
