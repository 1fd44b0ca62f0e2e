//go:build unix

package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

func TestConfig(t *testing.T) {
	c := Config{Path: "/bin/true", Args: []string{"a"}, Env: []string{"PATH"}, Set: map[string]escalate.Secret{"A": "1"}}
	n, err := New(c)
	require.NoError(t, err)
	c.Args[0], c.Env[0], c.Set["A"] = "b", "HOME", "2"
	require.Equal(t, Config{
		Path: "/bin/true", Args: []string{"a"}, Env: []string{"PATH"}, Set: map[string]escalate.Secret{"A": "1"},
		Timeout: 30 * time.Second, MaxOutput: 64 << 10, Grace: time.Second, WaitDelay: 2 * time.Second,
	}, *n.config, "a copy")
	for want, change := range map[string]func(*Config){
		`Path "" is not absolute`:             func(c *Config) { c.Path = "" },
		`Path "sh" is not absolute`:           func(c *Config) { c.Path = "sh" },
		`Dir "x" is not absolute`:             func(c *Config) { c.Dir = "x" },
		`Args contain a NUL byte`:             func(c *Config) { c.Args = []string{"canary\x00"} },
		`Env: "" cannot name`:                 func(c *Config) { c.Env = []string{""} },
		`Env: "A=B" cannot name`:              func(c *Config) { c.Env = []string{"A=B"} },
		`the value of "A" contains a NUL`:     func(c *Config) { c.Set = map[string]escalate.Secret{"A": "canary\x00"} },
		`begin with SELFHEAL_`:                func(c *Config) { c.Set = map[string]escalate.Secret{"SELFHEAL_KEY": "canary"} },
		`Env: "selfheal_x": names`:            func(c *Config) { c.Env = []string{"selfheal_x"} },
		`Set: "A" is listed twice`:            func(c *Config) { c.Env = []string{"A"}; c.Set = map[string]escalate.Secret{"A": "canary"} },
		`Timeout is -2ns`:                     func(c *Config) { c.Timeout = -2 },
		`MaxOutput is -1`:                     func(c *Config) { c.MaxOutput = -1 },
		`Grace is -2ns`:                       func(c *Config) { c.Grace = -2 },
		`WaitDelay is -1ns`:                   func(c *Config) { c.WaitDelay = -1 },
		`Grace (2s) is not shorter than Wait`: func(c *Config) { c.Grace = 2 * time.Second },
	} {
		c := Config{Path: "/bin/true"}
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "only one")
		require.NotContains(t, err.Error(), "canary")
	}
}
