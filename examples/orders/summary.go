package main

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// result is what a scene took, as measured.
type result struct {
	letter    string
	asTold    bool
	incidents int
	healed    int // without a human
	paged     int
	detect    time.Duration // from the fault to the first finding; 0: never
	heal      time.Duration // from the fault to the verdict that it is healed; 0: never
}

// avoided is how many calls there would have been with one for each incident, less
// those that there were.
func (r result) avoided() int { return max(r.incidents-r.paged, 0) }

// measure reads the counters of the supervisor and the times of its events.
func (s *stage) measure() result {
	counts := s.sup.Status().Counts
	r := result{
		letter: s.scene.letter, asTold: true,
		incidents: int(counts.Opened), healed: int(counts.Healed), paged: s.pager.called(),
	}
	if int(counts.Paged) != r.paged {
		s.check(false, "the supervisor counts %d pages, the phone rang %d times", counts.Paged, r.paged)
	}
	if t := s.when(found); !t.IsZero() {
		r.detect = t.Sub(s.broke)
	}
	if t := s.when(ended("", remediate.Healed)); !t.IsZero() {
		r.heal = t.Sub(s.broke)
	}
	for _, c := range s.checks {
		r.asTold = r.asTold && c.ok
	}
	return r
}

// summary prints the table and says whether everything happened as told.
func (s *screen) summary(scenes []*scene, results []result, took time.Duration) bool {
	s.print("", s.paint(bold, fmt.Sprintf("%-42s incidents  healed  paged  pages avoided   to detect   to heal", "Summary")))
	var total result
	var detect, heal []time.Duration
	ok := len(results) == len(scenes)
	for i, r := range results {
		s.row(scenes[i].letter+"  "+scenes[i].title, r, r.avoided())
		total.incidents += r.incidents
		total.healed += r.healed
		total.paged += r.paged
		if r.detect > 0 {
			detect = append(detect, r.detect)
		}
		if r.heal > 0 {
			heal = append(heal, r.heal)
		}
		ok = ok && r.asTold
	}
	total.detect, total.heal = mean(detect), mean(heal)
	avoided := 0
	for _, r := range results {
		avoided += r.avoided()
	}
	if len(results) > 1 {
		s.row("   total, and mean times", total, avoided)
	}
	s.print("", s.paint(dim, "healed: without a human. To detect: from the fault to the first finding. To heal: from the fault to the"),
		s.paint(dim, "verdict that it is gone; – where a person mended it. Pages avoided: incidents less pages."), "")
	if !ok {
		s.print(s.paint(red, fmt.Sprintf("Not everything happened as told; see ✗ above. It took %.1fs.", took.Seconds())))
		return false
	}
	s.print(s.paint(green, fmt.Sprintf("Everything happened as told, in %.1fs.", took.Seconds())))
	return true
}

func (s *screen) row(name string, r result, avoided int) {
	s.print(fmt.Sprintf("%-42s %9d %7d %6d %14d %11s %9s", name, r.incidents, r.healed, r.paged, avoided, seconds(r.detect), seconds(r.heal)))
}

func seconds(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

func mean(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	return sum / time.Duration(len(ds))
}
