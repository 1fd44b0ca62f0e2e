package evidence

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// What is read of a profile beside its strings; see profile.proto of google/pprof.
const (
	profileLocation  = 4
	profileFunction  = 5
	sampleLocation   = 1
	sampleValue      = 2
	locationID       = 1
	locationLine     = 4
	lineFunction     = 1
	lineNumber       = 2
	functionID       = 1
	functionName     = 2
	functionFilename = 4
)

const (
	mostStacks = 1000
	stacksRoom = mostText - 4<<10
)

// A census is a goroutine profile, decoded.
type census struct {
	table     []string
	groups    []group
	locations map[uint64][]frame // the innermost first, where calls were inlined
	functions map[uint64]function
}

type group struct {
	count     uint64
	locations []uint64
	labels    [][2]uint64
}

type frame struct{ function, line uint64 }

type function struct{ name, file uint64 }

// writeStacks writes a goroutine profile for people.
func writeStacks(w io.Writer, profile []byte) error {
	raw, err := gunzip(profile)
	if err != nil {
		return err
	}
	c, err := decodeCensus(raw)
	if err != nil {
		return err
	}
	slices.SortStableFunc(c.groups, func(a, b group) int { return cmp.Compare(b.count, a.count) })
	total := uint64(0)
	for _, g := range c.groups {
		total += g.count
	}
	written := 0
	rest, more := 0, uint64(0)
	if _, err := fmt.Fprintf(w, "%d goroutines, of %d stacks\n", total, len(c.groups)); err != nil {
		return err
	}
	for i, g := range c.groups {
		text := ""
		if i < mostStacks && written < stacksRoom {
			text = c.text(g)
		}
		if text == "" || written+len(text) > stacksRoom {
			rest++
			more += g.count
			continue
		}
		written += len(text)
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	if rest > 0 {
		_, err = fmt.Fprintf(w, "\nand %d more stacks, of %d goroutines\n", rest, more)
	}
	return err
}

// text is one group in the way of a traceback. Labels are written as JSON has
// them, so that redacting sees their names.
func (c *census) text(g group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d ×", g.count)
	for _, l := range g.labels {
		if l[1] > 0 {
			fmt.Fprintf(&b, " %q: %q", c.string(l[0]), c.string(l[1]))
		}
	}
	b.WriteByte('\n')
	for _, id := range g.locations {
		for _, f := range c.locations[id] {
			of := c.functions[f.function]
			b.WriteString("\t" + c.string(of.name) + "\n\t\t" + c.string(of.file) + ":" + strconv.FormatUint(f.line, 10) + "\n")
		}
	}
	return b.String()
}

func (c *census) string(i uint64) string {
	if i < uint64(len(c.table)) {
		return c.table[i]
	}
	return ""
}

func decodeCensus(raw []byte) (*census, error) {
	c := &census{locations: map[uint64][]frame{}, functions: map[uint64]function{}}
	return c, eachField(raw, func(f field) error {
		if f.wire != wireBytes {
			return nil
		}
		switch f.number {
		case profileStrings:
			c.table = append(c.table, string(f.body))
		case profileSample:
			return c.sample(f.body)
		case profileLocation:
			return c.location(f.body)
		case profileFunction:
			v, err := numbers(f.body, functionFilename)
			c.functions[v[functionID]] = function{v[functionName], v[functionFilename]}
			return err
		}
		return nil
	})
}

func (c *census) sample(msg []byte) error {
	var g group
	var values []uint64
	err := eachField(msg, func(f field) (err error) {
		switch f.number {
		case sampleLocation:
			g.locations, err = repeated(g.locations, f)
		case sampleValue:
			values, err = repeated(values, f)
		case sampleLabel:
			v, bad := numbers(f.body, labelText)
			g.labels, err = append(g.labels, [2]uint64{v[labelKey], v[labelText]}), bad
		}
		return err
	})
	if len(values) > 0 {
		g.count = values[0]
	}
	c.groups = append(c.groups, g)
	return err
}

func (c *census) location(msg []byte) error {
	var id uint64
	var frames []frame
	err := eachField(msg, func(f field) error {
		switch f.number {
		case locationID:
			id = f.value
		case locationLine:
			v, err := numbers(f.body, lineNumber)
			frames = append(frames, frame{v[lineFunction], v[lineNumber]})
			return err
		}
		return nil
	})
	c.locations[id] = frames
	return err
}

// numbers are the varints of a message, by their field, up to the given one.
func numbers(msg []byte, most uint64) (v [functionFilename + 1]uint64, err error) {
	err = eachField(msg, func(f field) error {
		if f.wire == wireVarint && f.number <= most {
			v[f.number] = f.value
		}
		return nil
	})
	return v, err
}

// repeated appends a repeated number, packed or not.
func repeated(to []uint64, f field) ([]uint64, error) {
	if f.wire == wireVarint {
		return append(to, f.value), nil
	}
	for body := f.body; len(body) > 0; {
		v, n := binary.Uvarint(body)
		if n <= 0 {
			return to, errNoProfile
		}
		to, body = append(to, v), body[n:]
	}
	return to, nil
}
