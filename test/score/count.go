package score

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Count of the statements that score, of each client and of all.
type Count struct {
	all     tally
	clients map[string]tally
}

type tally struct{ scored, asked int }

func (t tally) add(scored bool) tally {
	t.asked++
	if scored {
		t.scored++
	}
	return t
}

func (t tally) percent() float64 { return 100 * float64(t.scored) / float64(max(t.asked, 1)) }

// Add counts a statement, once for all and once for each client that sends it.
func (c *Count) Add(s *Statement, scored bool) {
	if c.clients == nil {
		c.clients = map[string]tally{}
	}
	c.all = c.all.add(scored)
	for _, client := range s.Clients {
		c.clients[client] = c.clients[client].add(scored)
	}
}

// Percent is the share of the statements that scored.
func (c *Count) Percent() float64 { return c.all.percent() }

// String is a table.
func (c *Count) String() string {
	var b strings.Builder
	line := func(name string, t tally) {
		fmt.Fprintf(&b, "%-34s %4d of %4d  %5.1f %%\n", name, t.scored, t.asked, t.percent())
	}
	for _, name := range slices.Sorted(maps.Keys(c.clients)) {
		line(name, c.clients[name])
	}
	line("all", c.all)
	return b.String()
}
