package objectcache

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLedgerScenarios(t *testing.T) {
	datadriven.RunTest(t, "testdata/ledger", func(t *testing.T, d *datadriven.TestData) string {
		var bound int64
		d.ScanArgs(t, "bound", &bound)
		l, entries := newLedger(bound), map[string]*entry{}
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			var verb, name string
			var size int64
			if n, _ := fmt.Sscanf(line, "room %d", &size); n == 1 {
				fmt.Fprintf(&out, "%d bytes: %s\n", size, roomFor(l, size, entries))
				continue
			}
			n, err := fmt.Sscanf(line, "%s %s %d", &verb, &name, &size)
			require.GreaterOrEqual(t, n, 2, "%v", err)
			e := entries[name]
			switch verb {
			case "add":
				e = l.add(key{length: int64(name[0])}, size)
				entries[name] = e
			case "pin":
				l.pin(e, 1)
			case "unpin":
				l.unpin(e)
			case "drop":
				l.drop(e)
			case "lose":
				l.lose(e)
			default:
				t.Fatalf("unknown verb %q", verb)
			}
			state := "idle"
			if e.dropped {
				state = "dropped"
			} else if e.pins > 0 {
				state = "pinned"
			}
			fmt.Fprintf(&out, "%s %s, used %d\n", name, state, l.used)
		}
		return out.String()
	})
}

func roomFor(l *ledger, size int64, entries map[string]*entry) string {
	victims, ok := l.room(size)
	switch {
	case !ok:
		return "no room"
	case len(victims) == 0:
		return "there is room"
	}
	var names []string
	for _, v := range victims {
		for name, e := range entries {
			if e == v {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ") + " has to go"
}

// TestLedgerKeepsItsInvariants whatever is done with it.
func TestLedgerKeepsItsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(rapid.Int64Range(1, 64).Draw(t, "bound"))
		var all []*entry
		lost := int64(0)
		some := func(t *rapid.T, which func(*entry) bool) *entry {
			var found []*entry
			for _, e := range all {
				if which(e) {
					found = append(found, e)
				}
			}
			if len(found) == 0 {
				t.Skip("there is none")
			}
			return rapid.SampledFrom(found).Draw(t, "entry")
		}
		t.Repeat(map[string]func(*rapid.T){
			"bring": func(t *rapid.T) {
				k, size := key{length: rapid.Int64Range(0, 20).Draw(t, "key")}, rapid.Int64Range(1, 40).Draw(t, "size")
				if l.get(k) != nil {
					t.Skip("it is there")
				}
				victims, ok := l.room(size)
				if !ok {
					return
				}
				for _, v := range victims {
					require.Zero(t, v.pins, "a pinned entry has to go")
					l.drop(v)
				}
				all = append(all, l.add(k, size))
			},
			"pin":   func(t *rapid.T) { l.pin(some(t, func(e *entry) bool { return !e.dropped }), 1) },
			"unpin": func(t *rapid.T) { l.unpin(some(t, func(e *entry) bool { return e.pins > 0 })) },
			"drop":  func(t *rapid.T) { l.drop(some(t, func(e *entry) bool { return !e.dropped })) },
			"lose": func(t *rapid.T) {
				e := some(t, func(e *entry) bool { return !e.dropped && e.pins == 0 })
				l.lose(e)
				lost += e.size
			},
			"": func(t *rapid.T) {
				used, idle, there := lost, 0, 0
				for _, e := range all {
					if !e.dropped || e.pins > 0 {
						used += e.size
					}
					if !e.dropped {
						there++
						require.Same(t, e, l.get(e.key))
						if e.pins == 0 {
							idle++
						}
					}
				}
				require.Equal(t, used, l.used)
				require.LessOrEqual(t, l.used, l.bound)
				require.Equal(t, idle, l.idle.Len())
				require.Len(t, l.entries, there)
			},
		})
	})
}
