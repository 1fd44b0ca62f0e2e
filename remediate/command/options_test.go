package command

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValidate(t *testing.T) {
	require.NoError(t, Options{Path: "/bin/true"}.Validate())
	require.NoError(t, Options{
		Path: "/bin/true", Args: []string{"", "-x"}, Dir: "/", Env: []string{"PATH", "http_proxy"}, Set: map[string]string{"A": ""},
		SkipExit: 1, EscalateExit: 255, MaxOutput: 1, Grace: -1, WaitDelay: time.Millisecond, LeaveRunning: true,
	}.Validate())
	for want, change := range map[string]func(*Options){
		`Path "" is not absolute`:             func(o *Options) { o.Path = "" },
		`Path "sh" is not absolute`:           func(o *Options) { o.Path = "sh" },
		`Dir "x" is not absolute`:             func(o *Options) { o.Dir = "x" },
		`contains a NUL byte`:                 func(o *Options) { o.Args = []string{"a\x00b"} },
		`Env: "" cannot name`:                 func(o *Options) { o.Env = []string{""} },
		`Env: "A=B" cannot name`:              func(o *Options) { o.Env = []string{"A=B"} },
		`Set: "A\x00" cannot name`:            func(o *Options) { o.Set = map[string]string{"A\x00": ""} },
		`the value of "A" contains a NUL`:     func(o *Options) { o.Set = map[string]string{"A": "\x00"} },
		`begin with SELFHEAL_`:                func(o *Options) { o.Set = map[string]string{"SELFHEAL_KEY": "x"} },
		`Env: "selfheal_x": names`:            func(o *Options) { o.Env = []string{"selfheal_x"} },
		`Env: "A" is listed twice`:            func(o *Options) { o.Env = []string{"A", "A"} },
		`Set: "A" is listed twice`:            func(o *Options) { o.Env = []string{"A"}; o.Set = map[string]string{"A": "x"} },
		`SkipExit is -1`:                      func(o *Options) { o.SkipExit = -1 },
		`EscalateExit is 256`:                 func(o *Options) { o.EscalateExit = 256 },
		`SkipExit and EscalateExit are both`:  func(o *Options) { o.SkipExit, o.EscalateExit = 7, 7 },
		`MaxOutput is -1`:                     func(o *Options) { o.MaxOutput = -1 },
		`Grace is -2ns`:                       func(o *Options) { o.Grace = -2 },
		`WaitDelay is -1ns`:                   func(o *Options) { o.WaitDelay = -1 },
		`Grace (2s) is not shorter than Wait`: func(o *Options) { o.Grace = 2 * time.Second },
	} {
		o := Options{Path: "/bin/true"}
		change(&o)
		err := o.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "only one")
	}
	all := Options{Path: "x", Dir: "y", Env: []string{"="}, MaxOutput: -1, WaitDelay: -1, SkipExit: -1}.Validate()
	require.Equal(t, 5, strings.Count(all.Error(), "\n"), "%v", all)
}
