package batch

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata/*.txt")

// TestScenarios plays testdata/*.txt in fake time. A file holds scenarios:
//
//	== name
//	config slots=1 rows=8 ...      see configure
//	device fixed=1ms cell=100us    a run takes fixed + cell × padded rows × padded length
//	at 0ms call a deadline=50ms    items: n=2 rows=1 length=16 cost=7 kind=1 priority=1 tenant=x,
//	                               and what the run does with them: bad, panic, err, hang, slow
//	at 3ms cancel a                also: drain, close, stats
//
// Several queues that share permits come after "share permits=2 short=1ms",
// each with a line "queue name", then its own config and device; calls, drain,
// close and stats then say queue=name.
//
//	----
//	the runs and answers, in order of time
//
// Nothing but the text says what is right: after a change read the difference
// that -update makes.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split("\n"+string(data), "\n== ")
			out := []string{strings.TrimPrefix(parts[0], "\n")}
			for _, part := range parts[1:] {
				name, body, _ := strings.Cut(part, "\n")
				in, want, _ := strings.Cut(body, "----\n")
				want = strings.TrimSpace(want)
				var got string
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { got = strings.TrimSpace(play(t, in)) })
					if got != want && !*update {
						t.Errorf("got\n%s\nwant\n%s", got, want)
					}
				})
				out = append(out, fmt.Sprintf("%s\n%s----\n%s\n", name, in, got))
			}
			if *update {
				text := strings.TrimSuffix(strings.Join(out, "\n== "), "\n") + "\n"
				if err := os.WriteFile(file, []byte(strings.TrimPrefix(text, "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// work is the value of a scenario's item.
type work struct{ name, behaviour string }

type player struct {
	t       *testing.T
	start   time.Time
	mu      chan struct{} // holds the right to write lines
	lines   []line
	shared  *Device
	queues  []*model
	cancels map[string]context.CancelFunc
}

// model is a queue and what its runs cost.
type model struct {
	*player
	name        string // with a space after it; empty when there is only one
	cfg         Config
	seeded      bool
	fixed, cell time.Duration
	q           *Queue[work, string]
}

type line struct {
	at   time.Duration
	text string
}

func play(t *testing.T, script string) string {
	p := &player{t: t, start: time.Now(), mu: make(chan struct{}, 1), cancels: map[string]context.CancelFunc{}}
	m := &model{player: p, fixed: time.Millisecond}
	sc := bufio.NewScanner(strings.NewReader(script))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		switch f[0] {
		case "share":
			permits, short := 1, time.Duration(0)
			for _, o := range f[1:] {
				switch k, v, _ := strings.Cut(o, "="); k {
				case "permits":
					permits = p.number(v)
				case "short":
					short = p.duration(v)
				default:
					t.Fatalf("share %q", o)
				}
			}
			p.shared = NewDevice(permits, short)
		case "queue":
			m = &model{player: p, name: f[1] + " ", fixed: time.Millisecond}
			m.cfg.Device = p.shared
			p.queues = append(p.queues, m)
		case "config":
			p.configure(&m.cfg, f[1:])
		case "device":
			for _, o := range f[1:] {
				switch k, v, _ := strings.Cut(o, "="); k {
				case "fixed":
					m.fixed = p.duration(v)
				case "cell":
					m.cell = p.duration(v)
				case "known":
					m.seeded = true
				default:
					t.Fatalf("device %q", o)
				}
			}
		case "at":
			if p.queues == nil {
				p.queues = []*model{m}
			}
			for _, m := range p.queues {
				m.open()
			}
			time.Sleep(p.duration(f[1]) - time.Since(p.start))
			synctest.Wait()
			p.act(f[2], f[3:])
			synctest.Wait()
		default:
			t.Fatalf("line %q", sc.Text())
		}
	}
	time.Sleep(time.Minute) // everything ends by then
	synctest.Wait()
	for _, m := range p.queues {
		m.q.Close()
	}
	if d := p.shared; d != nil && (d.free != d.permits || len(d.members)+len(d.waiting)+len(d.runs) > 0) {
		t.Errorf("the device keeps %+v", d)
	}
	slices.SortStableFunc(p.lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) })
	var b strings.Builder
	for _, l := range p.lines {
		fmt.Fprintf(&b, "%-7s %s\n", l.at, l.text)
	}
	return b.String()
}

func (p *model) open() {
	if p.q != nil {
		return
	}
	cfg := p.cfg
	if p.seeded {
		full := cfg.withDefaults()
		table := newCostTable(&full)
		for _, rows := range table.rows {
			for _, length := range table.lengths[:min(len(table.lengths), 20)] {
				s := Shape{rows, length}
				cfg.Costs = append(cfg.Costs, Cost{s, p.takes(s)})
			}
		}
	}
	q, err := New(cfg, p.run)
	if err != nil {
		p.t.Fatal(err)
	}
	p.q = q
}

func (p *model) takes(s Shape) time.Duration {
	return p.fixed + p.cell*time.Duration(s.Rows*max(s.Length, 1))
}

func (p *player) say(format string, args ...any) {
	p.mu <- struct{}{}
	p.lines = append(p.lines, line{time.Since(p.start), fmt.Sprintf(format, args...)})
	<-p.mu
}

func (p *model) run(ctx context.Context, b *Batch[work, string]) error {
	var names []string
	for _, w := range b.Items {
		names = append(names, w.name)
	}
	p.say("%sslot %d runs %d×%d: %s", p.name, b.Slot, b.Shape.Rows, b.Shape.Length, strings.Join(names, " "))
	time.Sleep(p.takes(b.Shape))
	for i, w := range b.Items {
		switch w.behaviour {
		case "bad":
			return errors.New("bad item")
		case "panic":
			panic("boom")
		case "err":
			b.Errs[i] = errors.New("item error")
		case "slow":
			time.Sleep(2 * time.Second)
		case "hang":
			<-ctx.Done()
			return errors.New("terminated")
		}
		b.Outputs[i] = strings.ToUpper(w.name)
	}
	return nil
}

func (p *player) act(verb string, f []string) {
	m := p.queues[0]
	f = slices.DeleteFunc(f, func(o string) bool {
		name, ok := strings.CutPrefix(o, "queue=")
		if ok {
			m = p.queues[slices.IndexFunc(p.queues, func(m *model) bool { return m.name == name+" " })]
		}
		return ok
	})
	switch verb {
	case "call":
		m.call(f[0], f[1:])
	case "cancel":
		p.cancels[f[0]]()
	case "drain":
		go func() {
			err := m.q.Drain(p.t.Context())
			p.say("%sdrained: %v", m.name, err)
		}()
	case "close":
		go func() {
			m.q.Close()
			p.say("%sclosed", m.name)
		}()
	case "stats":
		p.say("%s%+v", m.name, m.q.Stats())
	default:
		p.t.Fatalf("verb %q", verb)
	}
}

func (p *model) call(name string, options []string) {
	var c Call
	item := Item[work]{Value: work{name: name}}
	n := 1
	ctx, cancel := context.WithCancel(p.t.Context())
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "n":
			n = p.number(v)
		case "rows":
			item.Rows = p.number(v)
		case "length":
			item.Length = p.number(v)
		case "cost":
			item.Cost = int64(p.number(v))
		case "kind":
			item.Kind = uint64(p.number(v))
		case "priority":
			c.Priority = p.number(v)
		case "tenant":
			c.Tenant = v
		case "deadline":
			var done context.CancelFunc
			ctx, done = context.WithTimeout(ctx, p.duration(v))
			cancel = both(cancel, done)
		case "bad", "panic", "err", "hang", "slow":
			item.Value.behaviour = k
		default:
			p.t.Fatalf("option %q", o)
		}
	}
	p.cancels[name] = cancel
	items := slices.Repeat([]Item[work]{item}, n)
	if n > 1 {
		for i := range items {
			items[i].Value.name = fmt.Sprintf("%s%d", name, i)
			if i > 0 { // only the first misbehaves
				items[i].Value.behaviour = ""
			}
		}
	}
	go func() {
		defer cancel()
		for i, r := range p.q.Do(ctx, c, items) {
			id := items[i].Value.name
			if r.Err != nil {
				p.say("%s: %v", id, r.Err)
				continue
			}
			if r.Value != strings.ToUpper(id) {
				p.t.Errorf("%s was answered %q", id, r.Value)
			}
			inline := ""
			if r.Inline {
				inline = " inline"
			}
			p.say("%s: ok, waited %v, ran %v%s", id, r.Queue, r.Compute, inline)
		}
	}()
}

func both(a, b func()) context.CancelFunc { return func() { b(); a() } }

func (p *player) configure(c *Config, options []string) {
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "slots":
			c.Slots = p.number(v)
		case "width":
			c.Width = p.number(v)
		case "rows":
			c.MaxRows = p.number(v)
		case "items":
			c.MaxItems = p.number(v)
		case "cost":
			c.MaxCost = int64(p.number(v))
		case "padding":
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			c.MaxPadding = f
		case "rowsteps":
			c.RowSteps = p.numbers(v)
		case "lengthsteps":
			c.LengthSteps = p.numbers(v)
		case "queued":
			c.MaxQueuedRows = p.number(v)
		case "queuedcost":
			c.MaxQueuedCost = int64(p.number(v))
		case "window":
			c.Window = p.duration(v)
		case "inline":
			c.Inline = p.duration(v)
		case "patience":
			c.Patience = p.duration(v)
		case "lookahead":
			c.Lookahead = p.number(v)
		case "weights":
			c.Weights = map[string]float64{}
			for w := range strings.SplitSeq(v, ",") {
				tenant, weight, _ := strings.Cut(w, ":")
				c.Weights[tenant] = float64(p.number(weight))
			}
		case "noretry":
			c.NoRetry = true
		case "lock":
			c.LockThreads = true
		default:
			p.t.Fatalf("config %q", o)
		}
	}
}

func (p *player) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) numbers(s string) (ns []int) {
	for f := range strings.SplitSeq(s, ",") {
		ns = append(ns, p.number(f))
	}
	return ns
}

func (p *player) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}
