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
	c.MailerLimit = 100
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
		w.Playbook.Steps = append(w.Playbook.Steps, s)
	}
	return w
}

// shortened says what hurry and small have changed, a line for each watch and one
// for all sizes. Watches that are alike are named once.
func shortened(ws []selfheal.Watch, c shop.Config) []string {
	lines := []string{fmt.Sprintf("%-15s 1s → %s for every watch", "look every", short(lookEvery))}
	var last string
	for _, w := range ws {
		name := w.Name
		if group, _, _ := strings.Cut(w.Name, "/"); group == "partners" {
			name = group + "/*"
		}
		if name == last {
			continue
		}
		last = name
		var parts []string
		if w.For > 0 {
			parts = append(parts, fmt.Sprintf("For %s", slowFast(w.For)))
		}
		parts = append(parts, fmt.Sprintf("KeepFor %s", slowFast(w.KeepFor)))
		for _, s := range w.Playbook.Steps {
			parts = append(parts, fmt.Sprintf("Settle of %s %s", s.Name, slowFast(s.Settle)))
		}
		// Long ladders get a second line.
		for len(parts) > 3 {
			lines = append(lines, fmt.Sprintf("%-15s %s", name, strings.Join(parts[:3], ", ")+","))
			parts, name = parts[3:], ""
		}
		lines = append(lines, fmt.Sprintf("%-15s %s", name, strings.Join(parts, ", ")))
	}
	p := shop.Production()
	return append(lines,
		fmt.Sprintf("%-15s queue %d → %d orders, spool %d → %d KiB, of which %d → %d receipts always stay,",
			"sizes", p.QueueSize, c.QueueSize, p.SpoolLimit, c.SpoolLimit, p.SpoolKeep, c.SpoolKeep),
		fmt.Sprintf("%-15s mailer %d → %d goroutines, a worker hangs after %s → %s, a call after %s → %s", "",
			p.MailerLimit, c.MailerLimit, short(p.Stuck), short(c.Stuck), short(p.PaymentTimeout), short(c.PaymentTimeout)),
	)
}

func slowFast(d time.Duration) string { return short(d) + " → " + short(d/faster) }

// short prints 2m for what String calls 2m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}
