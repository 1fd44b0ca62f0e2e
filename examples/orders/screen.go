package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// screen prints what happens while it happens.
type screen struct {
	colors bool

	mu     sync.Mutex
	out    io.Writer
	seen   map[string]int // of a folded scene: how many of a kind
	lastly string         // text of the last call
}

func newScreen(out io.Writer) *screen {
	f, ok := out.(*os.File)
	s := &screen{out: out}
	if ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		s.colors = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s *screen) paint(color, text string) string {
	if !s.colors || color == plain {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// print prints lines. mu is not held.
func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(lines...)
}

func (s *screen) put(lines ...string) {
	for _, l := range lines {
		fmt.Fprintln(s.out, strings.TrimRight(l, " "))
	}
}

// title begins a scene.
func (s *screen) title(sc *scene) {
	s.mu.Lock()
	s.seen = map[string]int{}
	s.mu.Unlock()
	head := "── " + sc.letter + " ── " + sc.title + " "
	s.print("", s.paint(bold, head+strings.Repeat("─", max(100-utf8.RuneCountInString(head), 0))))
	for _, l := range sc.tells {
		s.print("   " + s.paint(dim, l))
	}
	s.print("")
}

// world prints what somebody else than the supervisor did.
func (s *screen) world(st *stage, verb, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	color := green
	if verb == "FAULT" {
		color = red
	}
	s.unfold()
	s.put(fmt.Sprintf("%7.2fs  %s", time.Since(st.began).Seconds(), s.paint(color, fmt.Sprintf("%-8s%s", verb, what))))
}

// event prints one event of the supervisor, in the library's own words, and the
// state of the world beside it.
func (s *screen) event(st *stage, e selfheal.Event) {
	about := e.Meta()
	// In a story of one watch its name would be noise.
	line := e.Line(st.scene.folded || !strings.HasPrefix(about.Watch, st.scene.watch))
	verb, rest, _ := strings.Cut(line, " ")
	verb = strings.TrimSuffix(verb, ":")
	if _, ok := e.(selfheal.EventRelease); ok {
		return // what follows says it
	}
	gauge := ""
	if _, ok := e.(selfheal.EventOpen); !ok { // the first step may have begun by now; its own line says so
		gauge = st.scene.gauge(st)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.scene.folded && about.Watch != selfhealWatch {
		s.seen[verb]++
		if s.seen[verb] > 1 {
			return
		}
	}
	left := fmt.Sprintf("%-8s%-56s", verb, rest)
	s.put(fmt.Sprintf("%7.2fs  %s  %s", about.Time.Sub(st.began).Seconds(), s.paint(colorOf(e), left), s.paint(dim, gauge)))
	if _, ok := e.(selfheal.EventTilt); ok {
		s.put(s.paint(yellow, "          This machine is so busy that the supervisor does not trust its own readings. It does"),
			s.paint(yellow, "          nothing until it was on time for 30 s, and this scene takes that much longer."))
	}
}

// selfhealWatch is the name under which the supervisor reports on itself.
const selfhealWatch = "selfheal"

// unfold says how many more there were of each kind.
func (s *screen) unfold() {
	var more []string
	for _, verb := range []string{"found", "open", "start", "step", "hold", "close"} {
		if n := s.seen[verb]; n > 1 {
			more = append(more, fmt.Sprintf("%d more %s", n-1, verb))
		}
		delete(s.seen, verb)
	}
	if len(more) > 0 {
		s.put(s.paint(dim, "          … and alike: "+strings.Join(more, ", ")))
	}
}

// call prints a page as the person who is called gets it.
func (s *screen) call(n escalate.Notification, ok bool) {
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastly = n.Incident.Text()
	for l := range strings.Lines(s.lastly) {
		for _, part := range wrap(strings.TrimRight(l, "\n"), 88, 11) {
			s.put("          " + s.paint(red, "┃") + " " + part)
		}
	}
}

// wrap breaks a line between words, and indents what is continued.
func wrap(line string, width, indent int) []string {
	var parts []string
	for len(line) > width {
		n := strings.LastIndex(line[:width], " ")
		if n <= indent {
			break
		}
		parts = append(parts, line[:n])
		line = strings.Repeat(" ", indent) + line[n+1:]
	}
	return append(parts, line)
}

// lastCall is the text of the last page.
func (s *screen) lastCall() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastly
}

// checks ends a scene: what was told, and whether it is so.
func (s *screen) checks(cs []check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfold()
	s.put("")
	for _, c := range cs {
		if c.ok {
			s.put("   " + s.paint(green, "✓") + " " + c.what)
		} else {
			s.put("   " + s.paint(red, "✗ "+c.what+" — NOT AS TOLD"))
		}
	}
}

func colorOf(e selfheal.Event) string {
	switch x := e.(type) {
	case selfheal.EventPage, selfheal.EventAsk, selfheal.EventUndeliverable, selfheal.EventAbandoned:
		return red
	case selfheal.EventFound, selfheal.EventOpen, selfheal.EventTilt, selfheal.EventStorm, selfheal.EventBlind, selfheal.EventHold:
		return yellow
	case selfheal.EventStart, selfheal.EventUndo:
		return cyan
	case selfheal.EventStep:
		if x.Attempt.Outcome == remediate.Healed {
			return green
		}
		return yellow
	case selfheal.EventClose, selfheal.EventResolve:
		return green
	}
	return plain
}
