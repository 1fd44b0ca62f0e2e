package dependency

import "time"

// starvedAfter is how late the timer may be before the client doubts itself: as
// late as the supervisor's tick may be before it tilts.
const starvedAfter = 2 * time.Second

// keepTime returns the cell of now and sees to it that the next one begins in
// time. c.mu is held.
func (c *Client) keepTime(now time.Duration) *cell {
	cell := c.window.present(now)
	if c.ticking {
		return cell
	}
	c.ticking, c.next = true, now+c.window.cell
	if c.timer == nil {
		c.timer = time.AfterFunc(c.window.cell, c.tick)
	} else {
		c.timer.Reset(c.window.cell)
	}
	return cell
}

// tick begins a new cell, looks at what hangs, and ends when there is nothing to
// count any more.
func (c *Client) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.breaker.advance(now, &c.o)
	if now-c.next > starvedAfter {
		// Calls seemed slow because this process stood still: nothing is judged by
		// readings taken while starved.
		c.counts.starved++
		c.row.Store(0)
		c.window.forget(now)
	} else {
		c.window.next(now)
		// Only what hangs is news: that older calls leave the window is not.
		if c.window.totals(now).overdue > 0 {
			c.judge(now)
		}
	}
	if c.window.quiet(now) {
		c.ticking = false
		c.fast.Store(nil)
		return
	}
	c.publish(now)
	c.next = now + c.window.cell
	c.timer.Reset(c.window.cell)
}

// publish opens the fast path where nothing has to be asked, and closes it
// elsewhere. c.mu is held.
func (c *Client) publish(now time.Duration) {
	hindered := c.breaker.state != Closed || c.force > 0 || c.cut > 0 || c.uncut.at(now) < 1
	if hindered || !c.ticking {
		c.fast.Store(nil)
		return
	}
	c.fast.Store(c.window.present(now))
}
