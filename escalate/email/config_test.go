package email

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfig(t *testing.T) {
	good := Config{Addr: "smtp.example.com:587", From: "a@example.com", To: []string{"b@example.com"}}
	n, err := New(good)
	require.NoError(t, err)
	require.True(t, n.startTLS)
	require.False(t, n.atOnce)
	require.Equal(t, 30*time.Second, n.timeout)
	require.Equal(t, "smtp.example.com", n.tls.ServerName)
	require.NotEmpty(t, n.hello)
	good.Addr, good.Timeout, good.TLSConfig = "[::1]:465", -1, &tls.Config{ServerName: "other"}
	n, err = New(good)
	require.NoError(t, err)
	require.True(t, n.atOnce)
	require.False(t, n.startTLS)
	require.Equal(t, "other", n.tls.ServerName)
	require.NotSame(t, good.TLSConfig, n.tls)

	for want, change := range map[string]func(*Config){
		`Addr "" is not host:port`:           func(c *Config) { c.Addr = "" },
		`Addr "smtp.example.com" is not`:     func(c *Config) { c.Addr = "smtp.example.com" },
		`Addr "h:0" is not`:                  func(c *Config) { c.Addr = "h:0" },
		`Addr ":25" is not`:                  func(c *Config) { c.Addr = ":25" },
		`From "" is no address`:              func(c *Config) { c.From = "" },
		`From "ü@example.com" has char`:      func(c *Config) { c.From = "ü@example.com" },
		`To is empty`:                        func(c *Config) { c.To = nil },
		`To "x" is no address`:               func(c *Config) { c.To = []string{"x"} },
		`To "\"a b\"@x.example" has`:         func(c *Config) { c.To = []string{`"a b"@x.example`} },
		`To "a@x.example\r\nDATA" is no`:     func(c *Config) { c.To = []string{"a@x.example\r\nDATA"} },
		`To names b@example.com twice`:       func(c *Config) { c.To = []string{"b@example.com", "B <b@example.com>"} },
		`Username and Password belong`:       func(c *Config) { c.Username = "a" },
		`Password belong together`:           func(c *Config) { c.Password = "canary" },
		`holds a line break`:                 func(c *Config) { c.Username, c.Password = "a", "canary\n" },
		`sent in the clear`:                  func(c *Config) { c.Username, c.Password, c.TLS = "a", "canary", TLSNone },
		`mean nothing beside TLSNone`:        func(c *Config) { c.TLS, c.RootCAs = TLSNone, x509.NewCertPool() },
		`TLS is tls(9)`:                      func(c *Config) { c.TLS = 9 },
		`RootCAs is set, and TLSConfig`:      func(c *Config) { c.RootCAs = x509.NewCertPool(); c.TLSConfig = &tls.Config{RootCAs: c.RootCAs} },
		`InsecureSkipVerify lets anybody`:    func(c *Config) { c.TLSConfig = &tls.Config{InsecureSkipVerify: true} },
		`Hello "a b" is no host name`:        func(c *Config) { c.Hello = "a b" },
		`Timeout is -2ns: use a duration, 0`: func(c *Config) { c.Timeout = -2 },
	} {
		c := Config{Addr: "smtp.example.com:587", From: "a@example.com", To: []string{"b@example.com"}}
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "only one")
		require.NotContains(t, err.Error(), "canary")
	}
	_, err = New(Config{})
	require.Equal(t, 2, strings.Count(err.Error(), "\n"), "%v", err)
	require.Equal(t, "required, at once, none", strings.Join([]string{TLSRequired.String(), TLSAtOnce.String(), TLSNone.String()}, ", "))
}
