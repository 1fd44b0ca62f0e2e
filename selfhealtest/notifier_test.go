package selfhealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/escalate"
)

// bell is a notifier with its provider that keeps the whole contract, but for its
// flaw.
type bell struct {
	flaw string
	quit <-chan struct{}
	busy atomic.Int32

	mu              sync.Mutex
	rung            map[string]bool
	failing, silent bool
}

const token = "xoxb-s3cret/+token"

func (b *bell) Notify(ctx context.Context, n escalate.Notification) error {
	switch b.flaw {
	case "no-leak":
		go func() { <-b.quit }()
	case "read-only":
		if len(n.Incident.Attempts) > 0 {
			n.Incident.Attempts[0].Step = strings.ToUpper(n.Incident.Attempts[0].Step)
		}
	case "concurrent":
		if b.busy.Add(1) > 1 {
			b.busy.Add(-1)
			return errors.New("busy")
		}
		time.Sleep(time.Millisecond)
		defer b.busy.Add(-1)
	}
	if ctx.Err() != nil {
		switch b.flaw {
		case "cancelled":
			return nil
		case "cancelled/slow":
			<-b.quit
		}
		return ctx.Err()
	}
	b.mu.Lock()
	failing, silent := b.failing, b.silent
	b.mu.Unlock()
	switch {
	case silent:
		return b.wait(ctx)
	case failing && b.flaw == "failure":
		return nil
	case failing && b.flaw == "secrets":
		return errors.New(`post "https://bell.example/` + token + `": 500`)
	case failing && b.flaw == "secrets/escaped":
		return errors.New("Authorization: Basic eG94Yi1zM2NyZXQvK3Rva2Vu")
	case failing:
		return errors.New("bell: answered 500")
	}
	if err, dropped := b.flawed(n); dropped {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = map[string]bool{}
	}
	id := n.ID
	if b.flaw == "same-id" {
		id += fmt.Sprint(len(b.rung))
	}
	if b.flaw == "same-id/error" && b.rung[id] {
		return errors.New("409 conflict")
	}
	b.rung[id] = true
	return nil
}

// flawed is what goes wrong with some contents.
func (b *bell) flawed(n escalate.Notification) (err error, dropped bool) {
	switch b.flaw {
	case "trigger", "update", "ask", "resolve":
		return nil, n.Kind.String() == b.flaw && n.DedupKey == "conformance-1"
	case "hostile-text":
		return errors.New("400 invalid UTF-8"), !utf8.ValidString(n.Incident.Finding.Summary)
	case "hostile-text/panic":
		if strings.Contains(n.Incident.Watch, "\n") {
			panic("net/http: invalid header")
		}
	case "huge":
		return errors.New("413 too large"), len(n.Incident.Finding.Summary) > 100_000
	case "huge/attempts":
		return errors.New("413 too large"), len(n.Incident.Attempts) > 1000
	case "empty":
		return errors.New("400 no title"), reflect.ValueOf(n.Incident).IsZero()
	case "odd-values":
		return errors.New("json: unsupported value: NaN"), math.IsNaN(n.Incident.Finding.Value)
	case "odd-values/panic":
		_ = []string{"trigger", "update", "ask", "resolve"}[n.Kind]
	}
	return nil, false
}

func (b *bell) wait(ctx context.Context) error {
	<-ctx.Done()
	midway := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case b.flaw == "cancel-midway/slow" && midway, b.flaw == "deadline/slow" && !midway:
		<-b.quit
	case b.flaw == "cancel-midway" && midway, b.flaw == "deadline" && !midway:
		return nil
	}
	return ctx.Err()
}

func TestNotifierSuiteIsSharp(t *testing.T) {
	var only *bell
	sharp(t, notifierSuite(), []string{
		"fixture", "trigger", "update", "ask", "resolve", "same-id", "same-id/error", "failure", "secrets", "secrets/escaped",
		"hostile-text", "hostile-text/panic", "huge", "huge/attempts", "empty", "odd-values", "odd-values/panic", "read-only",
		"cancelled", "cancelled/slow", "cancel-midway", "cancel-midway/slow", "deadline", "deadline/slow", "concurrent", "no-leak",
	}, func(t *testing.T, flaw string) NotifierFixture {
		b := &bell{flaw: flaw, quit: quitter(t)}
		if flaw == "fixture" {
			if only == nil {
				only = b
			}
			b = only
			b.mu.Lock()
			b.rung, b.failing, b.silent = nil, false, false
			b.mu.Unlock()
		}
		set := func(field *bool) func() { return func() { b.mu.Lock(); defer b.mu.Unlock(); *field = true } }
		return NotifierFixture{
			Notifier: b,
			Messages: func() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.rung) },
			Fail:     set(&b.failing),
			Hang:     set(&b.silent),
			Secrets:  []string{"", token},
			Patience: short,
		}
	})
}

func TestNotifierFixtureSaysWhatItLacks(t *testing.T) {
	o := judge(t, notifierSuite(), func(*testing.T) NotifierFixture { return NotifierFixture{} })
	assert.Equal(t, []string{"it lacks a Notifier"}, o.breaches["fixture"])
}

func TestASecretIsNotRepeatedByTheFailure(t *testing.T) {
	o := judge(t, notifierSuite(), func(*testing.T) NotifierFixture {
		b := &bell{flaw: "secrets"}
		return NotifierFixture{Notifier: b, Fail: func() { b.failing = true }, Secrets: []string{token}}
	})
	assert.Equal(t, []string{"an error of Notify shows Secrets[0]"}, o.breaches["secrets"])
}

// The notifiers that need no provider keep the contract.
func TestNotifierOnReadyNotifiers(t *testing.T) {
	t.Run("Log", func(t *testing.T) {
		TestNotifier(t, func(*testing.T) NotifierFixture {
			var mu sync.Mutex
			var b bytes.Buffer
			return NotifierFixture{
				Notifier: escalate.Log(slog.New(slog.NewJSONHandler(writer(func(p []byte) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					return b.Write(p)
				}), nil))),
				Messages: func() int { mu.Lock(); defer mu.Unlock(); return strings.Count(b.String(), "\n") },
				Skip:     map[string]string{"same-id": "a log has no memory"},
			}
		})
	})
	t.Run("Pager", func(t *testing.T) {
		TestNotifier(t, func(*testing.T) NotifierFixture {
			p := &Pager{}
			return NotifierFixture{
				Notifier: p,
				Messages: func() int { return len(p.Pages()) + len(p.Resolved()) },
				Fail:     func() { p.Fail(errBroken) },
				Skip:     map[string]string{"same-id": "it records what it was given"},
			}
		})
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
