package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/examples/orders/shop"
)

const (
	faster    = 200 // times
	lookEvery = 100 * time.Millisecond
)

// small is the service with sizes that fill within seconds.
func small() shop.Config {
	c := shop.Production()
	c.QueueSize = 100
	c.Stuck = 1500 * time.Millisecond
	c.PaymentTimeout = time.Second
	c.MailerLimit = 40
	c.SpoolLimit = 1024
	c.SpoolKeep = 12
	return c
}

// hurry makes the times of a watch shorter. Nothing else of it changes: what is
// watched, what is tried, and every rail.
func hurry(w selfheal.Watch) selfheal.Watch {
	w.For /= faster
	w.KeepFor /= faster
	steps := w.Playbook.Steps
	w.Playbook.Steps = nil
	for _, s := range steps {
		s.Settle /= faster
		s.Retry.Initial /= faster
		w.Playbook.Steps = append(w.Playbook.Steps, s)
	}
	return w
}

// shortened is a table of what hurry and small have changed. Watches that are alike
// are named once.
func shortened(ws []selfheal.Watch, c shop.Config) []string {
	row := func(name, wait, keep, settle string) string {
		return fmt.Sprintf("%-16s %-13s %-12s %s", name, wait, keep, settle)
	}
	lines := []string{row("watch", "For", "KeepFor", "Settle")}
	var last string
	for _, w := range ws {
		name := w.Name
		if group, _, _ := strings.Cut(name, "/"); group == "partners" {
			name = group + "/*"
		}
		if name == last {
			continue
		}
		last = name
		var settle []string
		for _, s := range w.Playbook.Steps {
			text := s.Name + " " + slowFast(s.Settle)
			if s.Retry.Initial > 0 {
				text += fmt.Sprintf(" (%d tries, %s apart)", s.Retry.Tries, slowFast(s.Retry.Initial))
			}
			settle = append(settle, text)
		}
		lines = append(lines, row(name, slowFast(w.For), slowFast(w.KeepFor), strings.Join(settle, ", ")))
	}
	p := shop.Production()
	return append(lines, "",
		fmt.Sprintf("every watch looks each 1s → %v; a worker hangs after %v → %v; a call gives up after %v → %v",
			lookEvery, p.Stuck, c.Stuck, p.PaymentTimeout, c.PaymentTimeout),
		fmt.Sprintf("room for %d → %d orders, %d → %d KiB of receipts (the newest %d → %d stay), %d → %d mailer goroutines",
			p.QueueSize, c.QueueSize, p.SpoolLimit, c.SpoolLimit, p.SpoolKeep, c.SpoolKeep, p.MailerLimit, c.MailerLimit),
	)
}

func slowFast(d time.Duration) string {
	if d == 0 {
		return "–" // the default, which stays as it is
	}
	return short(d) + " → " + short(d/faster)
}

// short prints 2m for what String calls 2m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}
