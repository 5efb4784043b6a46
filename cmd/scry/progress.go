package main

import (
	"fmt"
	"strings"
	"time"
)

// progress shows how far something is: on a terminal a line that is redrawn,
// elsewhere a line every few seconds. It is used by one goroutine at a time.
type progress struct {
	o    *output
	what string
	unit string // what is counted, such as rows; empty = bytes
	now  func() time.Time

	began, shown time.Time
	first, done  int64 // first is what was done before the work began
	total        int64 // 0 = not known
	drawn        bool
	said         string
}

func (o *output) progress(what, unit string) *progress {
	return &progress{o: o, what: what, unit: unit, now: time.Now}
}

// start sets the amounts from which rate and time left are counted.
func (p *progress) start(done, total int64) {
	p.began = p.now()
	p.shown = p.began
	p.first, p.done, p.total = done, done, total
}

// set tells how much is done by now.
func (p *progress) set(done int64) {
	p.done = done
	if p.o.quiet {
		return
	}
	every := 5 * time.Second
	if p.o.terminal {
		every = 100 * time.Millisecond
	}
	if now := p.now(); now.Sub(p.shown) >= every {
		p.shown = now
		p.draw(p.line(now))
	}
}

// say shows a text in place of the amounts, once.
func (p *progress) say(format string, args ...any) {
	line := clean(fmt.Sprintf(format, args...))
	if !p.o.quiet && line != p.said {
		p.said = line
		p.draw(line)
	}
}

func (p *progress) draw(line string) {
	if !p.o.terminal {
		fmt.Fprintln(p.o.err, line)
		return
	}
	fmt.Fprintf(p.o.err, "\r\x1b[K%s", line)
	p.drawn = true
}

// end takes the line away.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.o.err, "\r\x1b[K")
		p.drawn = false
	}
}

// line is the amounts with a bar, the rate and the time left.
func (p *progress) line(now time.Time) string {
	amount := func(n int64) string {
		if p.unit == "" {
			return bytesText(n)
		}
		return counted(n, p.unit)
	}
	elapsed := now.Sub(p.began).Seconds()
	rate := 0.0
	if elapsed > 0 {
		rate = float64(p.done-p.first) / elapsed
	}
	var b strings.Builder
	b.WriteString(p.what + " ")
	if p.total > 0 {
		const width = 24
		filled := int(width * min(p.done, p.total) / p.total)
		fmt.Fprintf(&b, "[%s%s] %3d%%  %s of %s", strings.Repeat("=", filled), strings.Repeat(" ", width-filled),
			100*min(p.done, p.total)/p.total, amount(p.done), amount(p.total))
	} else {
		b.WriteString(amount(p.done))
	}
	fmt.Fprintf(&b, "  %s/s", amount(int64(rate)))
	if left := p.total - p.done; p.total > 0 && left > 0 && rate > 0 {
		fmt.Fprintf(&b, "  %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}
