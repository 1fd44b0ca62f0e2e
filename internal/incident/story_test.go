package incident

import (
	"fmt"
	"os"
	"strings"
)

var inputNames = []string{"look", "ran", "verified", "undone", "returned", "abandoned", "saved", "gathered", "gated", "tilt", "add", "remove", "halt", "resume", "silence", "unsilence", "ack", "approve", "reject", "safe mode", "degraded", "untold", "stop", "tick"}

var decisionNames = []string{"look", "gate", "run", "verify", "undo", "tell", "emit", "engage", "mute", "removed", "reply"}

var eventNames = []string{"found", "blip", "open", "hold", "release", "start", "step", "would", "ask", "undo", "page", "inform", "resolve", "close", "blind", "sight", "tilt", "calm", "storm", "storm over", "halt", "resume", "silence", "unsilence", "ack", "approve", "reject", "breaker", "drop", "safe mode", "safe mode over", "degraded", "recovered"}

// toldInputs writes inputs down for whoever looks for the cause of a failure.
func (w *world) tellInputs(ins []Input) {
	for n := range ins {
		in := &ins[n]
		fmt.Fprintf(w.story, "%v > %s %s %s %d/%d", w.now, inputNames[in.Kind], name(in.Watch, in.Key), in.Incident, in.Attempt, in.Try)
		if in.Kind == InLook {
			fmt.Fprintf(w.story, " since %v:", in.Started)
			for k := range in.Findings {
				fmt.Fprintf(w.story, " %q=%v/%v", in.Findings[k].Key, in.Findings[k].Value, in.Findings[k].Severity)
			}
		}
		if in.Result != OK || in.Err != nil || in.Abandoned || in.ID != "" {
			fmt.Fprintf(w.story, " result %d err %v abandoned %v id %s", in.Result, in.Err, in.Abandoned, in.ID)
		}
		if in.Silence != nil {
			fmt.Fprintf(w.story, " %+v", *in.Silence)
		}
		w.story.WriteByte('\n')
	}
}

func (w *world) tellDecision(d *Decision) {
	b := w.story
	fmt.Fprintf(b, "%v     < %s", w.now, decisionNames[d.Kind])
	switch d.Kind {
	case DoEmit:
		ev := &d.Event
		fmt.Fprintf(b, " %s %s %s %s", eventNames[ev.Kind], name(ev.Watch, ev.Key), ev.Incident, ev.Step)
		switch ev.Kind {
		case EvStep:
			fmt.Fprintf(b, " %v", ev.Attempt.Outcome)
		case EvHold, EvRelease:
			fmt.Fprintf(b, " %s", ev.Rail)
		case EvPage:
			fmt.Fprintf(b, " %s", ev.Reason)
		case EvBreaker:
			fmt.Fprintf(b, " %v", ev.Duration)
		}
	case DoTell:
		fmt.Fprintf(b, " %v inform=%v %s %s", d.Notice.Kind, d.Notice.Inform, d.Notice.DedupKey, d.Notice.Incident.Reason)
	default:
		fmt.Fprintf(b, " %s %s step %d %d/%d %v", name(d.Watch, d.Key), d.Incident, d.Step, d.Attempt, d.Try, d.On)
	}
	b.WriteByte('\n')
}

// story plays a script again and tells what happened last, of one watch if
// SELFHEAL_STORY names one.
func story(d dice) string {
	watch := os.Getenv("SELFHEAL_STORY")
	s := newScript(d)
	s.story = &strings.Builder{}
	s.play()
	out := "the options are " + fmt.Sprintf("%+v", s.o) + "\n"
	for _, n := range sortedKeys(s.watches) {
		c := s.watches[n].cfg
		out += fmt.Sprintf("watch %s every %v for %v keep %v after %v mode %d disabled %v\n%v", n, c.Every, c.For, c.KeepFor, c.After, c.Mode, c.Disabled, c.Playbook)
	}
	var lines []string // without the looks that set nothing off
	for l := range strings.Lines(s.story.String()) {
		if watch == "" || strings.Contains(l, " "+watch) || strings.Contains(l, "> t") || strings.Contains(l, "> s") {
			if n := len(lines) - 1; n >= 0 && strings.Contains(l, "> ") && strings.Contains(lines[n], "> look") && os.Getenv("SELFHEAL_ALL") == "" {
				lines = lines[:n]
			}
			lines = append(lines, l)
		}
	}
	return out + strings.Join(lines[max(0, len(lines)-60):], "")
}
