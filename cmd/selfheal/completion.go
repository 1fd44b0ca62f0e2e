package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
)

// version says which version this is, as the module system knows it.
func version(_ context.Context, c *call) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	v := cmp.Or(info.Main.Version, "unknown")
	if c.json() {
		fmt.Fprintf(c.out, "{\"version\":%q,\"go\":%q}\n", v, info.GoVersion)
		return nil
	}
	c.say("selfheal %s, %s", v, info.GoVersion)
	return nil
}

// completion prints what a shell evaluates to complete the commands.
func completion(_ context.Context, c *call) error {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	all := strings.Join(names, " ")
	switch c.args[0] {
	case "bash", "zsh":
		if c.args[0] == "zsh" {
			fmt.Fprintln(c.out, "autoload -U +X bashcompinit && bashcompinit")
		}
		fmt.Fprintln(c.out, "_selfheal() {\n  local cur=${COMP_WORDS[COMP_CWORD]}\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \""+all+"\" -- \"$cur\")); return\n  fi\n  case ${COMP_WORDS[1]} in")
		for _, cmd := range commands() {
			fmt.Fprintf(c.out, "    %s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", cmd.name, strings.Join(c.flagNames(&cmd), " "))
		}
		fmt.Fprintln(c.out, "  esac\n}\ncomplete -o default -F _selfheal selfheal")
	case "fish":
		for _, cmd := range commands() {
			fmt.Fprintf(c.out, "complete -c selfheal -n __fish_use_subcommand -f -a %s -d '%s'\n", cmd.name, strings.ReplaceAll(cmd.what, "'", `\'`))
			for _, f := range c.flagNames(&cmd) {
				fmt.Fprintf(c.out, "complete -c selfheal -n '__fish_seen_subcommand_from %s' -o %s\n", cmd.name, strings.TrimPrefix(f, "-"))
			}
		}
	default:
		return usage("completion for %q is not known: bash, zsh or fish", c.args[0])
	}
	return nil
}

func (c *call) flagNames(cmd *command) []string {
	var names []string
	(&call{world: c.world, cmd: cmd}).flagSet().VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	return names
}
