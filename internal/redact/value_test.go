package redact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"
)

const canary = "hunter2-canary"

func known() *Redactor { return New(Options{Secrets: []string{canary}}) }

type broken struct{}

func (*broken) Error() string { panic("no text") }

func TestErrorsKeepTheirMeaning(t *testing.T) {
	r := known()
	require.NoError(t, r.Error(nil))
	plain := errors.New("connection refused")
	require.Same(t, plain, r.Error(plain))

	cause := &fs.PathError{Op: "open", Path: "/run/" + canary, Err: fs.ErrNotExist}
	err := r.Error(fmt.Errorf("read config: %w", errors.Join(cause, context.DeadlineExceeded)))
	require.EqualError(t, err, "read config: open /run/***: file does not exist\ncontext deadline exceeded")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, fs.ErrExist)
	var path *fs.PathError
	require.ErrorAs(t, err, &path)
	require.Same(t, cause, path)
	for next := error(err); next != nil; next = errors.Unwrap(next) {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", next, next, next.Error(), next, next), canary)
	}
	require.Equal(t, err, r.Error(err), "once is enough")
	require.ErrorContains(t, fmt.Errorf("again: %w", err), "/run/***")

	_, err = http.Get("http://user:" + canary + "@127.0.0.1:1/\x7f?token=canary")
	require.NotContains(t, r.Error(err).Error(), "canary")
	require.EqualError(t, r.Error((*broken)(nil)), "an error of type *redact.broken whose text cannot be had")
}

func TestValues(t *testing.T) {
	r := known()
	type inner struct{ Password, Name string }
	address, err := url.Parse("https://u:p@host/x")
	require.NoError(t, err)
	for _, c := range []struct{ in, want any }{
		{nil, nil}, {7, 7}, {true, true}, {1.5, 1.5}, {"fine", "fine"}, {"x " + canary, "x ***"},
		{time.Second, time.Second}, {[]string{"a", canary}, []string{"a", "***"}}, {[]byte(canary), []byte("***")},
		{map[string]string{"token": "abc", "a": "b", canary: canary}, map[string]string{"token": "***", "a": "b", "***": "***"}},
		{map[string]any{"password": 7, "token": 7, "ok_password": true, "secret": []any{1}, "dsn": nil, "a": []any{map[string]any{"b": canary}}},
			map[string]any{"password": "***", "token": 7, "ok_password": true, "secret": "***", "dsn": nil, "a": []any{map[string]any{"b": "***"}}}},
		{inner{"true", "a"}, inner{"true", "a"}},
		{inner{"canary", "a"}, map[string]any{"Password": "***", "Name": "a"}},
		{[]inner{{"", canary}}, []any{map[string]any{"Password": "", "Name": "***"}}},
		{http.Header{"Cookie": {"a=b"}, "Host": {"h"}}, map[string]any{"Cookie": "***", "Host": []any{"h"}}},
		{address, "https://***@host/x"}, {(*url.URL)(nil), (*url.URL)(nil)},
		{json.RawMessage(`{"password":12, "a":1.50}`), json.RawMessage(`{"a":1.50,"password":"***"}`)},
		{struct {
			F func()
			S string
		}{nil, canary}, "{F:<nil> S:***}"},
	} {
		before := fmt.Sprintf("%#v", c.in)
		require.Equal(t, c.want, r.Any(c.in))
		require.Equal(t, before, fmt.Sprintf("%#v", c.in), "the caller's value is the caller's")
		require.Equal(t, fmt.Sprintf("%v", c.want), fmt.Sprintf("%v", r.Any(r.Any(c.in))))
	}
	self := map[string]any{"s": canary}
	self["self"] = self
	require.NotContains(t, fmt.Sprint(len(fmt.Sprintf("%p", r.Any(self)))), canary)
	type ring struct{ M map[string]*ring }
	around := &ring{M: map[string]*ring{}}
	around.M["x"] = around
	require.Contains(t, r.Any(around), "holds itself")
	require.Error(t, r.Any((*broken)(nil)).(error))
	same := map[string]string{"a": "b"}
	r.Map(same)["c"] = "d"
	require.Equal(t, "d", same["c"], "the same map when there is nothing to hide")
}

func TestJSONStaysJSON(t *testing.T) {
	r := known()
	for in, want := range map[string]string{
		`{"b":1.10,"a":"<x>"}`:                           `{"b":1.10,"a":"<x>"}`,
		`{"b":1.10,"a":"<x>","password":7}`:              `{"a":"<x>","b":1.10,"password":"***"}`,
		`["password:",1,2]`:                              `["password:",1,2]`,
		`"` + canary + `"`:                               `"***"`,
		`{"msg":"{\"password\":\"x\"}"}`:                 `{"msg":"{\"password\":\"***\"}"}`,
		`{"a":{"secrets":["x"],"token":true}}`:           `{"a":{"secrets":"***","token":true}}`,
		`{"password":"x"} {"password":"y"}`:              `{"password":"***"} {"password":"***"}`,
		`not JSON password=x`:                            `not JSON password=***`,
		`{"n":123456789012345678901234567890,"dsn":"x"}`: `{"dsn":"***","n":123456789012345678901234567890}`,
	} {
		require.Equal(t, want, string(r.JSON([]byte(in))))
		require.Equal(t, want, string(r.JSON([]byte(want))))
	}
	deep := strings.Repeat("[", 100) + `"` + canary + `"` + strings.Repeat("]", 100)
	require.NotContains(t, string(r.JSON([]byte(deep))), canary)
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

// A canary in every place of a record reaches no handler.
func TestLogs(t *testing.T) {
	r := known()
	type kv struct{ Password, Note string }
	write := func(make func(*bytes.Buffer) slog.Handler) string {
		var b bytes.Buffer
		log := slog.New(r.Handler(make(&b)))
		log.Info("message " + canary)
		log.Info("attributes", "note", canary, canary, 1, "password", "canary", "err", errors.New("dial "+canary), "token", []string{"canary"}, "credentials", slog.GroupValue(slog.String("a", "canary")))
		log.With("note", canary, "secret", "canary").WithGroup("group-"+canary).Info("with", "api_key", 12345678)
		log.Info("values", "v", valuer{slog.StringValue(canary)}, "deep", valuer{slog.GroupValue(slog.Any("x", valuer{slog.StringValue(canary)}), slog.String("password", "canary"))},
			"struct", kv{"canary", canary}, "pointer", &kv{"canary", canary}, "map", map[string]any{"a": map[string]string{"token": "canary"}}, "bytes", []byte(canary),
			"stringer", &url.URL{Scheme: "https", User: url.UserPassword("a", "canary"), Host: "h"}, "cookie", 1.5, slog.Group("", slog.String("passwd", "canary")))
		return b.String()
	}
	for _, out := range []string{
		write(func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }),
		write(func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }),
	} {
		require.NotContains(t, out, "canary")
		require.NotContains(t, out, "12345678")
		require.GreaterOrEqual(t, strings.Count(out, Mask), 20)
	}
	var b bytes.Buffer
	log := slog.New(r.Handler(slog.NewTextHandler(&b, &slog.HandlerOptions{AddSource: true})))
	log.Info("fine", "took", 90*time.Second, "n", 7, "token", 7, "ok", true, "at", time.Unix(0, 0).UTC(), "key", "orders")
	require.Contains(t, b.String(), "value_test.go:")
	require.Contains(t, b.String(), "msg=fine took=1m30s n=7 token=7 ok=true at=1970-01-01T00:00:00.000Z key=orders")
	require.False(t, log.Enabled(t.Context(), slog.LevelDebug))
}

func TestTheHandlerKeepsTheContractOfSlog(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, slogtest.TestHandler(known().Handler(slog.NewJSONHandler(&b, nil)), func() (lines []map[string]any) {
		for line := range strings.Lines(b.String()) {
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &m))
			lines = append(lines, m)
		}
		return lines
	}))
}

func TestAttributes(t *testing.T) {
	r := known()
	as := []slog.Attr{slog.Int("n", 1), slog.String("a", "b")}
	require.Same(t, &as[0], &r.Attrs(as)[0])
	as = append(as, slog.String("password", "x"))
	require.Equal(t, []slog.Attr{slog.Int("n", 1), slog.String("a", "b"), slog.String("password", Mask)}, r.Attrs(as))
	require.Equal(t, "x", as[2].Value.String())
	require.Equal(t, "a=***", r.Attr(slog.String("a", canary)).String())
	deep := slog.String("x", canary)
	for range 40 {
		deep = slog.Group("g", deep)
	}
	require.NotContains(t, fmt.Sprint(r.Attr(deep)), canary)
}

func TestOneRedactorServesMany(t *testing.T) {
	r := known()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				_ = r.String("password=x " + canary)
				_ = r.Any(map[string]any{"token": "x"})
			}
		})
	}
	all.Wait()
}

const ordinary = `2026-01-02T03:04:05Z INFO step ended incident=orders-7 watch=orders/queue-depth key=eu step=scale-workers outcome="no effect" took=1m30s value=9000 limit=5000 url=https://host.example:8443/incidents/0f4ee7a2-0d32-4a36-a3c1-0f36f5a4d7f0?tab=2 error="dial tcp 10.0.0.7:5432: connect: connection refused"`

func TestNothingToHideCostsNoAllocation(t *testing.T) {
	r := New(Options{Secrets: []string{canary, "another-secret", "https://chat.example/in/T0/B0/x"}, Keys: []string{"licence"}})
	attr, attrs, labels := slog.String("note", ordinary), []slog.Attr{slog.Int("n", 1), slog.String("a", "b")}, map[string]string{"region": "eu"}
	for name, f := range map[string]func(){
		"String": func() { _ = r.String(ordinary) },
		"Attr":   func() { _ = r.Attr(attr) },
		"Attrs":  func() { _ = r.Attrs(attrs) },
		"Map":    func() { _ = r.Map(labels) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func BenchmarkString(b *testing.B) {
	r := New(Options{Secrets: []string{canary, "another-secret", "https://chat.example/in/T0/B0/x", "amqp://u:pass-word@mq/"}})
	texts := map[string]string{
		"nothing": ordinary,
		"secrets": ordinary + " password=x dsn=postgres://u:p@h/d note=" + canary,
	}
	// Texts made to be slow: time a byte stays the same when they grow.
	for name, part := range map[string]string{
		"worst/addresses": "a://", "worst/mysql": "a:x@y(", "worst/tokens": "eyJaaaaaaaaaa-", "worst/names": "PWD=/", "worst/routing": "routing_key='", "worst/keys": "AIza-", "worst/tags": ":token>", "worst/references": "token=${a", "worst/secret": "hunter2-canar",
		"worst/lists": "routing_key:[", "worst/slashes": "https://hooks/", "worst/quotes": `"token":"`, "worst/pem": "-----BEGIN PRIVATE KEY",
	} {
		texts[name+"/4k"] = strings.Repeat(part, 4<<10/len(part))
		texts[name+"/256k"] = strings.Repeat(part, 256<<10/len(part))
	}
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_ = r.String(text)
			}
		})
	}
}
