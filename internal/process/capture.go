package process

import (
	"fmt"
	"io"
	"strings"
)

// capture keeps the beginning and the end of what is written to it: the first
// says what was tried, the last what went wrong. It takes everything, so that a
// program that floods is neither blocked nor broken by a closed pipe. Its writer
// is one goroutine of os/exec, which has ended when Cmd.Wait returns.
type capture struct {
	head, tail []byte // tail is a ring once it is full
	maxHead    int
	maxTail    int
	next       int   // where the ring continues, once it is full
	total      int64 // bytes written
	complete   bool  // the last writer closed it
}

func newCapture(limit int) *capture {
	return &capture{maxHead: limit / 2, maxTail: limit - limit/2}
}

// Write never fails.
func (c *capture) Write(p []byte) (int, error) {
	n := len(p)
	c.total += int64(n)
	if room := min(c.maxHead-len(c.head), len(p)); room > 0 {
		c.head = append(c.head, p[:room]...)
		p = p[room:]
	}
	p = p[max(0, len(p)-c.maxTail):]
	if room := min(c.maxTail-len(c.tail), len(p)); room > 0 {
		c.tail = append(c.tail, p[:room]...)
		p = p[room:]
	}
	for len(p) > 0 {
		m := copy(c.tail[c.next:], p)
		p = p[m:]
		c.next = (c.next + m) % c.maxTail
	}
	return n, nil
}

// ReadFrom reads until every process that holds the output has closed it, or
// until the reading is given up. Only here one can be told from the other:
// Cmd.Wait of os/exec says so only of programs that ended well.
func (c *capture) ReadFrom(r io.Reader) (int64, error) {
	before := c.total
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		_, _ = c.Write(buf[:n])
		if err == io.EOF {
			c.complete = true
			return c.total - before, nil
		}
		if err != nil {
			return c.total - before, err
		}
	}
}

// missing is the number of bytes that were not kept.
func (c *capture) missing() int64 { return c.total - int64(len(c.head)+len(c.tail)) }

// String is what was kept, as text, with a note where something is missing.
func (c *capture) String() string {
	var b strings.Builder
	b.Write(c.head)
	if m := c.missing(); m > 0 {
		fmt.Fprintf(&b, "\n[… %d bytes left out …]\n", m)
	}
	b.Write(c.tail[c.next:])
	b.Write(c.tail[:c.next])
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}
